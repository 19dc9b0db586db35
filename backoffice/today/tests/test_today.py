"""The first page: every figure equals the list behind it, whether kept or counted."""

import html
import re
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings

from backoffice.models import DayTotal, TotalKind, TotalledDay
from backoffice.ops.audit import audit
from backoffice.today.day_totals import SETTLED_AFTER, changed_days, counted, kept, totals
from backoffice.today.services import day_totals_catch_up, day_totals_keep
from balances.services import balance_top_up
from config.models import PriceConfig
from gateways.interface import TradeReport, TradeState
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from payments.states import Verdict
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db

MODELS = {
    "/admin/payments/paymentorder/": (PaymentOrder, "amount"),
    "/admin/refunds/refund/": (Refund, "refund_amount"),
}
FIGURE = re.compile(
    r'<a class="tcm-link tcm-money" href="([^"]+)"><span class="tcm-money">([\d.,]+)</span></a>'
    r'\s*<span class="tcm-muted">(\d+) 笔'
)


# What this module's tests begin with, each of them: a test without it belongs elsewhere.
@pytest.fixture(autouse=True)
def business(_business, db, settings):
    """Four days of orders and refunds by all ways and two services."""
    settings.MOCK_CALLBACKS = True
    cache.clear()


@pytest.fixture(scope="module")
def _business(lasting):
    with override_settings(MOCK_CALLBACKS=True):
        cache.clear()
        do_business()


def do_business() -> None:
    PriceConfig.objects.update_or_create(
        service_type="appointment_online",
        defaults={
            "service_name": "视频问诊",
            "price": Decimal("30.00"),
            "effective_date": clock.today() - timedelta(days=100),
        },
    )
    reviewer = Actor(uuid.uuid4(), Role.ADMIN)
    for back in (40, 3, 1, 0):
        with clock.frozen(clock.now() - timedelta(days=back)):
            owner = Actor(uuid.uuid4(), Role.PATIENT)
            balance_top_up(user_id=owner.id, amount=Decimal("500.00"), reason="x", actor=SYSTEM)
            for method in ("balance", "wechat", "alipay"):
                for service in ("", "appointment_online"):
                    paid(owner, method, service)
            order = PaymentOrder.objects.filter(user_id=owner.id, payment_method="balance").first()
            refund = refund_request(
                actor=owner, order_id=order.id, amount=Decimal("4.56"), reason="x"
            )
            refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="x")


def paid(owner: Actor, method: str, service: str) -> None:
    order = order_create(
        actor=Actor(uuid.uuid4(), Role.SERVICE),
        command=OrderCommand(
            user_id=owner.id,
            order_type="appointment" if service else "consultation",
            amount=None if service else Decimal("12.34"),
            service_type=service,
        ),
    )
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    if method != "balance":
        attempt = PaymentTransaction.objects.get(order=order)
        report = TradeReport(
            attempt.out_trade_no, TradeState.PAID, str(uuid.uuid4()), attempt.amount
        )
        trade_report_apply(method=method, report=report, is_mock=True)


@pytest.fixture
def page(client) -> Client:
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="finance", is_staff=True)
    user.groups.set(Group.objects.filter(name="finance"))
    client.force_login(user)
    return client


def behind(page: Client, link: str) -> tuple[int, Decimal]:
    """How many rows the linked list holds, and their sum."""
    parts = urlsplit(html.unescape(link))
    answer = page.get(html.unescape(link))
    assert answer.status_code == 200, link
    model, amount = MODELS[parts.path]
    assert parse_qs(parts.query)
    rows = answer.context["cl"].queryset
    assert rows.model is model
    return rows.count(), sum((getattr(row, amount) for row in rows), Decimal(0))


LONG_AGO = "first=2026-01-01&last=2026-12-31"


@pytest.mark.parametrize(
    "period", ["", "period=yesterday", "period=month", "period=last_week", "period=year", LONG_AGO]
)
@pytest.mark.parametrize("is_kept", [False, True], ids=["counted", "kept"])
def test_every_sum_equals_the_list_behind_it(page, business, period, is_kept):
    if is_kept:
        assert day_totals_catch_up() > 30
    shown = FIGURE.findall(page.get(f"/admin/?{period}").content.decode())
    assert len(shown) >= 2 * (3 + 2 + 1), "three ways, two services, the sum"
    for link, amount, number in shown:
        assert behind(page, link) == (int(number), Decimal(amount.replace(",", ""))), link
    assert any(int(number) for _link, _amount, number in shown)


def test_orders_by_state_equal_their_lists(page, business):
    content = page.get("/admin/").content.decode()
    shown = re.findall(r'<a class="tcm-link" href="([^"]+created_on_from[^"]+)">(\d+)</a>', content)
    assert len(shown) == 12
    assert [behind(page, link)[0] for link, _number in shown] == [
        int(number) for _link, number in shown
    ]
    assert sum(int(number) for _link, number in shown) == 12


def test_kept_sums_are_the_counted_ones_and_time_stands_still_in_them(business):
    day = clock.today() - timedelta(days=3)
    first = day - timedelta(days=60)
    before = {kind: counted(kind, first, clock.today()) for kind in TotalKind}
    assert day_totals_catch_up() > 0
    assert TotalledDay.objects.filter(day=day).exists()
    assert not TotalledDay.objects.filter(day=clock.today()).exists()
    assert {kind: totals(kind, first, clock.today()) for kind in TotalKind} == before
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payment_orders SET amount = 99 WHERE paid_on = %s", [day])
    assert totals(TotalKind.RECEIPTS, first, clock.today()) == before[TotalKind.RECEIPTS]


def test_totalling_twice_changes_nothing(business):
    day = clock.today() - timedelta(days=1)
    day_totals_keep(day, clock.now())
    columns = ("kind", "payment_method", "service", "number", "amount")
    once = sorted(DayTotal.objects.filter(day=day).values_list(*columns))
    day_totals_keep(day, clock.now())
    assert sorted(DayTotal.objects.values_list(*columns)) == once
    assert once


def test_a_day_is_totalled_once_nobody_can_still_be_paying_in_it(business):
    midnight = clock.day_start(clock.today() + timedelta(days=1))
    with clock.frozen(midnight + SETTLED_AFTER - timedelta(seconds=1)):
        day_totals_catch_up()
    today = clock.today()
    assert not TotalledDay.objects.filter(day=today).exists()
    with clock.frozen(midnight + SETTLED_AFTER):
        day_totals_catch_up()
    assert TotalledDay.objects.filter(day=today).exists()


def paid_late(owner: Actor, paid_at: datetime) -> PaymentTransaction:
    """A payment of that moment that we hear of only now."""
    with clock.frozen(paid_at - timedelta(minutes=1)):
        order = order_create(
            actor=Actor(uuid.uuid4(), Role.SERVICE),
            command=OrderCommand(
                user_id=owner.id, order_type="consultation", amount=Decimal("7.00")
            ),
        )
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    attempt = PaymentTransaction.objects.get(order=order)
    number = attempt.out_trade_no
    report = TradeReport(number, TradeState.PAID, number, attempt.amount, paid_at=paid_at)
    trade_report_apply(method="wechat", report=report)
    return PaymentTransaction.objects.get(id=attempt.id)


def outside_refund(payment: PaymentTransaction, completed_at: datetime) -> None:
    PaymentCallback.objects.create(
        payment_method="wechat",
        verdict=Verdict.REFUND_NOTICE,
        body_sha256="",
        is_picked_up=False,
        refund_notice={
            "out_refund_no": "console-1",
            "state": "success",
            "refund_id": "503001",
            "out_trade_no": payment.out_trade_no,
            "transaction_id": payment.trade_no,
            "amount": "3.00",
            "completed_at": completed_at.isoformat(),
        },
    )
    assert notices_take() == 1


def test_money_that_lands_on_a_totalled_day_counts_there_at_once_and_is_kept_soon(business):
    day = clock.today() - timedelta(days=3)
    noon = clock.day_start(day) + timedelta(hours=12)
    in_half_an_hour = clock.now() + 2 * SETTLED_AFTER
    day_totals_catch_up()

    def shown(kind: TotalKind) -> Decimal:
        sums = totals(kind, day, day)
        assert sums == counted(kind, day, day)
        return sum((total.amount for total in sums.values()), Decimal(0))

    receipts, refunds = shown(TotalKind.RECEIPTS), shown(TotalKind.REFUNDS)
    payment = paid_late(Actor(uuid.uuid4(), Role.PATIENT), noon)
    outside_refund(payment, noon + timedelta(hours=1))
    with clock.frozen(in_half_an_hour):
        assert shown(TotalKind.RECEIPTS) == receipts + Decimal("7.00")
        assert shown(TotalKind.REFUNDS) == refunds + Decimal("3.00")
        assert "T1" not in findings()
        assert changed_days() == {day}

        day_totals_catch_up()
        assert changed_days() == set()
        assert kept(TotalKind.RECEIPTS, day) == counted(TotalKind.RECEIPTS, day, day)
        assert kept(TotalKind.REFUNDS, day) == counted(TotalKind.REFUNDS, day, day)
        assert "T1" not in findings()


def test_without_totals_no_day_has_changed(business):
    assert changed_days() == set()


def findings() -> list[str]:
    return [found.code for _check, all_ in audit(Scope()) for found in all_]


def test_the_audit_finds_a_total_that_is_not_its_rows_sum(business):
    day_totals_catch_up()
    assert "T1" not in findings()
    DayTotal.objects.filter(kind=TotalKind.RECEIPTS, payment_method="wechat").update(amount=1)
    assert findings().count("T1") >= 3


LINK = re.compile(r'href="(/admin/[^"]*\?[^"]+)"')


def test_every_list_that_the_page_links_to_opens_as_it_is_filtered(page, business):
    links = {html.unescape(link) for link in LINK.findall(page.get("/admin/").content.decode())}
    assert len(links) > 10
    for link in links:
        answer = page.get(link)
        assert answer.status_code == 200, link
