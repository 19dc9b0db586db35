"""What the statistics count, by the contract's definition."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from conftest import SEED
from payments.models import PaymentOrder
from payments.selectors import order_statistics
from tcmpay.common.clock import business_day
from tcmpay.common.ids import new_id
from tcmpay.common.money import ZERO

FIGURES = [
    "total_orders", "total_amount", "paid_orders", "paid_amount", "refunded_orders",
    "refunded_amount",
]  # fmt: skip


def figures(api, by, query: str = "") -> list:
    data = api.get(f"statistics?{query}", by=by).accepted()
    assert list(data) == FIGURES
    return [data[name] for name in FIGURES]


def test_nothing_is_zero(api, patient):
    answer = api.get("statistics", by=patient)
    assert answer.message == "获取支付统计成功"
    assert figures(api, patient) == [0, "0.00", 0, "0.00", 0, "0.00"]


def test_every_order_counts_once_in_whatever_state(api, story, rich_patient, admin):
    story.order(rich_patient, "1.00")
    story.cancel(story.order(rich_patient, "2.00"), rich_patient)
    story.paid_from_balance(rich_patient, "10.00")
    assert figures(api, rich_patient) == [3, "13.00", 1, "10.00", 0, "0.00"]


def test_a_refunded_order_stays_paid(api, story, rich_patient, admin):
    order = story.paid_from_balance(rich_patient, "30.00")
    story.review(story.refund(order, rich_patient, "10.00"), admin)
    assert figures(api, rich_patient) == [1, "30.00", 1, "30.00", 1, "10.00"]
    story.review(story.refund(order, rich_patient, "20.00"), admin)
    assert figures(api, rich_patient) == [1, "30.00", 1, "30.00", 1, "30.00"]


def test_refunded_orders_counts_orders_and_only_what_was_given_back(
    api, story, rich_patient, admin
):
    for _ in range(2):
        order = story.paid_from_balance(rich_patient, "30.00")
        for _ in range(2):
            story.review(story.refund(order, rich_patient, "5.00"), admin)
        story.review(story.refund(order, rich_patient, "5.00"), admin, approved=False)
        story.refund(order, rich_patient, "5.00")
    assert figures(api, rich_patient)[4:] == [2, "20.00"]


def test_a_refund_at_a_gateway_counts_when_it_is_done(api, story, rich_patient, admin):
    order = story.paid_at_gateway(rich_patient)
    story.review(story.refund(order, rich_patient), admin)
    assert figures(api, rich_patient)[4:] == [0, "0.00"]
    story.worker_runs()
    assert figures(api, rich_patient)[4:] == [1, "30.00"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-11-22", [0, "0.00", 0, "0.00", 0, "0.00"]),
        ("2026-11-23", [1, "30.00", 0, "0.00", 0, "0.00"]),
        ("2026-11-24", [0, "0.00", 1, "30.00", 0, "0.00"]),
        ("2026-11-25", [0, "0.00", 0, "0.00", 1, "30.00"]),
        ("2026-11-26", [0, "0.00", 0, "0.00", 0, "0.00"]),
    ],
)
def test_each_figure_has_its_own_day(api, story, clock, rich_patient, admin, day, expected):
    """Made on the 23rd, paid on the 24th, given back on the 25th, in Shanghai."""
    clock.set(datetime.fromisoformat("2026-11-23T15:59:59Z"))
    order = story.order(rich_patient)
    clock.set(datetime.fromisoformat("2026-11-23T16:00:00Z"))
    story.pay(order, rich_patient)
    clock.set(datetime.fromisoformat("2026-11-24T15:59:59Z"))
    refund = story.refund(order, rich_patient)
    clock.set(datetime.fromisoformat("2026-11-24T16:00:00Z"))
    story.review(refund, admin)
    assert figures(api, rich_patient, f"start_date={day}&end_date={day}") == expected


def test_an_administrator_sees_everybody_or_one_user(
    api, story, rich_patient, other_patient, admin
):
    story.paid_from_balance(rich_patient, "10.00")
    story.order(other_patient, "5.00")
    assert figures(api, admin) == [2, "15.00", 1, "10.00", 0, "0.00"]
    one = figures(api, admin, f"user_id={other_patient.name}")
    assert one == [1, "5.00", 0, "0.00", 0, "0.00"]


def test_sums_are_exact_beyond_what_a_float_keeps(api, story, admin, patient):
    story.fund(patient, "99999999.99")
    for _ in range(3):
        story.order(patient, "99999999.99")
    for amount in ("0.10", "0.20", "0.30"):
        story.paid_from_balance(patient, amount)
    expected = [6, "300000000.57", 3, "0.60", 0, "0.00"]
    assert figures(api, patient) == expected
    assert figures(api, admin) == expected


@pytest.mark.parametrize("query", ["user_id=1", "status=paid", "page=1", "start_date=x"])
def test_it_refuses_what_it_does_not_understand(api, admin, query):
    api.get(f"statistics?{query}", by=admin).invalid(query.partition("=")[0])


def test_a_period_is_what_lies_in_it_wherever_in_the_day_it_begins(db):
    """Whole days are counted by their day and what is left of them by the moment."""
    chance = random.Random(SEED)
    begin = datetime(2026, 3, 1, 16, tzinfo=UTC)  # midnight in Shanghai
    moments = [begin + timedelta(minutes=chance.randrange(4 * 24 * 60)) for _order in range(60)]
    moments += [begin + timedelta(days=day) for day in range(4)]
    for number, moment in enumerate(moments):
        PaymentOrder.objects.create(
            order_no=f"ORD{number}", user_id=new_id(), order_type="other", status="paid",
            amount=Decimal(number + 1), payment_method="balance", expire_time=moment,
            created_at=moment, created_on=business_day(moment),
            payment_time=moment, paid_on=business_day(moment), booked_at=moment,
        )  # fmt: skip
    edges = [begin + timedelta(days=day) for day in range(4)] + moments[:10] + [None]
    for _period in range(60):
        start, end = chance.choice(edges), chance.choice(edges)
        amounts = [
            Decimal(number + 1)
            for number, moment in enumerate(moments)
            if (start is None or moment >= start) and (end is None or moment < end)
        ]
        found = order_statistics(start_date=start, end_date=end)
        assert (found.total_orders, found.total_amount) == (len(amounts), sum(amounts, ZERO))
        assert (found.paid_orders, found.paid_amount) == (len(amounts), sum(amounts, ZERO))
