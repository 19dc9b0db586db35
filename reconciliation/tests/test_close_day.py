"""``manage.py close_day``: what stands in the way, and closing by two of the staff."""

import io
import json
from datetime import datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from balances.models import BalanceTransaction
from config.gateways.versions import rows_lock, version_append
from config.models import PaymentConfig
from payments.models import PaymentOrder, PaymentTransaction
from reconciliation.closing_errors import FiguresChanged
from reconciliation.errors import DayIsClosed
from reconciliation.management.commands import close_day
from reconciliation.models import BillFile, DailyClose, Difference, ReconciledDay
from reconciliation.services.closing import close_propose
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillSource, BillType, DifferenceType
from reconciliation.tests import kit
from reconciliation.tests.days import (
    DAY,
    funded,
    morning_after,
    paid,
    paid_from_balance,
    patient,
)
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import money_unit

pytestmark = pytest.mark.django_db
MERCHANT = "1900000001"


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture(autouse=True)
def _next_morning():
    with clock.frozen(morning_after(DAY)):
        yield


@pytest.fixture
def day():
    """45 paid by WeChat Pay, and 30 from the balance."""
    owner = patient()
    funded(owner, "100.00")
    paid_from_balance(owner)
    return paid(owner, "45.00")


@pytest.fixture
def staff():
    for name in ("zhang", "li"):
        StaffUser.objects.create_superuser(username=name, password="x")
    StaffUser.objects.create_user(username="wang", password="x", is_staff=True)


def run(*arguments: str) -> tuple[int, dict]:
    """The exit code and what was printed."""
    out = io.StringIO()
    code = 0
    try:
        call_command("close_day", str(DAY), *arguments, "--json", stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(out.getvalue())


def at_a_gateway(payment: PaymentTransaction) -> None:
    """As if it had been paid at the real one, of a merchant that is configured."""
    for key, value in {"app_id": "wx1", "mch_id": MERCHANT}.items():
        PaymentConfig.objects.filter(payment_method="wechat", config_key=key).update(
            config_value=value
        )

    @money_unit
    def version():
        return version_append("wechat", rows_lock("wechat"), actor=SYSTEM).id

    PaymentTransaction.objects.filter(id=payment.id).update(
        is_mock=False, config_version_id=version()
    )


def bill(run_at: datetime | None, **facts) -> ReconciledDay:
    file = BillFile.objects.create(
        payment_method="wechat", merchant=MERCHANT, day=DAY, bill_type=BillType.TRADE,
        sha256="a" * 64, source=BillSource.FETCHED, current_key=f"wechat:{MERCHANT}:{DAY}:trade",
        lines=1, quarantined=facts.pop("quarantined", 0),
    )  # fmt: skip
    return ReconciledDay.objects.create(
        payment_method="wechat", merchant=MERCHANT, day=DAY, trade_bill=file, runs=1,
        run_at=run_at, our_payments=1, our_receipts=Decimal("45.00"), total=Decimal("45.00"),
        verified=Decimal("45.00"), fees=Decimal("0.27000"), **facts,
    )  # fmt: skip


def blocks(told: dict) -> list[str]:
    return [block["code"] for block in told["blocks"]]


def test_a_ready_day_is_told_and_nothing_is_closed(day):
    code, told = run()
    assert (code, told["state"], told["blocks"], told["signature"]) == (0, "ready", [], None)
    sums = ("receipts", "refunds", "fees", "net")
    assert [told[name] for name in sums] == ["75.00", "0.00", "0.00", "75.00"]
    assert told["by_method"]["balance"] == {
        "receipts": "30.00",
        "refunds": "0.00",
        "fees": "0.00",
        "net": "30.00",
    }
    assert (told["balance_opening"], told["balance_closing"]) == ("0.00", "70.00")
    assert (told["open_differences"], told["verified_share"]) == (0, "1.0000")


def test_two_of_the_staff_close_it(day, staff):
    code, told = run("--by", "zhang", "--second", "li")
    assert (code, told["state"], told["by"], told["second"]) == (0, "closed", "zhang", "li")
    assert len(told["signature"]) == 64
    assert run() == (0, told)


def test_one_person_alone_closes_nothing(day, staff):
    code, told = run("--by", "zhang", "--second", "zhang")
    assert (code, told["state"]) == (1, "ready")
    assert "两人" in told["refused"]
    assert not DailyClose.objects.exists()


def test_what_could_not_be_signed_does_not_stay_waiting(day, staff, monkeypatch):
    def changed(**_asked):
        raise FiguresChanged()

    monkeypatch.setattr(close_day, "close_sign", changed)
    code, told = run("--by", "zhang", "--second", "li")
    assert (code, told["state"], told["refused"]) == (1, "ready", str(FiguresChanged.message))
    assert DailyClose.objects.get().status == "withdrawn"


@pytest.mark.parametrize("arguments", [(), ("--by", "chen")])
def test_what_somebody_put_forward_is_signed_by_another(day, staff, arguments):
    StaffUser.objects.create_superuser(username="chen", password="x")
    zhang = StaffUser.objects.get(username="zhang")
    close_propose(actor=zhang.as_actor(), day=DAY)
    code, told = run(*arguments, "--second", "zhang")
    assert (code, told["state"]) == (1, "ready")
    out = io.StringIO()
    call_command("close_day", str(DAY), stdout=out)
    assert "2026-11-24 待签字" in out.getvalue()
    assert "zhang" in out.getvalue()
    code, told = run(*arguments, "--second", "li")
    assert (code, told["state"], told["by"], told["second"]) == (0, "closed", "zhang", "li")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--by", "zhang"),
        ("--second", "zhang"),
        ("--by", "zhang", "--second", "nobody"),
        ("--by", "zhang", "--second", "wang"),
        ("--by", "wang", "--second", "zhang"),
    ],
    ids=["one", "the other", "unknown", "may not sign", "may not propose"],
)
def test_it_refuses_people_who_may_not(day, staff, arguments):
    with pytest.raises(CommandError):
        call_command("close_day", str(DAY), *arguments)
    assert run()[1]["state"] == "ready"


def test_it_refuses_what_is_no_day():
    with pytest.raises(CommandError):
        call_command("close_day", "yesterday")


def test_money_at_a_gateway_waits_for_its_bill(day, staff):
    at_a_gateway(day)
    code, told = run("--by", "zhang", "--second", "li")
    assert (code, told["state"], blocks(told)) == (1, "open", ["bill_missing"])
    bill(clock.now())
    code, told = run("--by", "zhang", "--second", "li")
    assert (code, told["state"]) == (0, "closed")
    assert (told["fees"], told["net"], told["expected"]) == ("0.27", "74.73", "44.73")


def test_the_gateways_word_that_nothing_moved_is_a_bill_too(day):
    at_a_gateway(day)
    row = bill(clock.now(), is_without_movement=True)
    row.trade_bill = None
    row.save()
    BillFile.objects.all().delete()
    assert run()[1]["state"] == "ready"


NOT_COMPARED = {
    "never": {"run_at": None},
    "before another bill came": {"trade_bill": None},
    "before a payment was booked": {"our_payments": 0, "our_receipts": 0},
    "before a refund was booked": {"our_refunds": 1, "our_refunded": 1},
}


@pytest.mark.parametrize("facts", NOT_COMPARED.values(), ids=NOT_COMPARED)
def test_a_bill_that_was_not_compared_with_what_there_is_now_stands_in_the_way(day, facts):
    at_a_gateway(day)
    bill(clock.now())
    assert blocks(run()[1]) == []
    ReconciledDay.objects.update(**facts)
    assert blocks(run()[1]) == ["not_compared"]


def found(row: ReconciledDay, kind: DifferenceType, **facts) -> None:
    Difference.objects.create(
        day=row, difference_type=kind, fact=kind, theirs=Decimal("9.00"), bill=row.trade_bill,
        **facts,
    )  # fmt: skip


def test_what_is_open_stands_in_the_way(day):
    at_a_gateway(day)
    row = bill(clock.now(), quarantined=2)
    found(row, DifferenceType.THEIRS_ONLY)
    found(row, DifferenceType.OURS_ONLY, is_doubtful=True)
    found(row, DifferenceType.LINE)
    code, told = run()
    assert (code, blocks(told)) == (1, ["quarantined", "doubtful", "differences"])
    assert told["open_differences"] == 3


def test_what_is_gone_does_not(day):
    at_a_gateway(day)
    row = bill(clock.now())
    found(row, DifferenceType.THEIRS_ONLY, gone_at=clock.now())
    assert run()[1]["blocks"] == []


def test_the_text_is_for_people(day, staff):
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("close_day", str(DAY + ONE_DAY), stdout=out)
    assert "请先日结 2026-11-24" in out.getvalue()
    assert "这一天还没有结束满一小时" in out.getvalue()
    assert "  收款: 0.00" in out.getvalue()
    assert "receipts" not in out.getvalue()


def test_a_ledger_that_does_not_meet_the_orders_stands_in_the_way(day):
    BalanceTransaction.objects.filter(related_type="order").update(amount="31.00")
    assert blocks(run()[1]) == ["ledger", "ledger_orders"]


def test_a_day_is_compared_then_closed_and_takes_no_other_bill_from_then_on(staff):
    payment = kit.attempt("wechat", kit.configured("wechat"))
    PaymentOrder.objects.filter(id=payment.order_id).update(paid_on=DAY)
    assert blocks(run()[1]) == ["bill_missing"]
    kit.imported("wechat", [kit.payment_row(payment)])
    assert blocks(run()[1]) == ["not_compared"]
    day_reconcile(actor=SYSTEM, merchant=kit.merchant("wechat"), day=DAY)
    code, told = run("--by", "zhang", "--second", "li")
    assert (code, told["state"], told["receipts"]) == (0, "closed", "30.00")
    assert (told["fees"], told["expected"]) == ("0.18", "29.82")
    assert [bill["sha256"] for bill in DailyClose.objects.get().bills] == [
        BillFile.objects.get().sha256
    ]
    with pytest.raises(DayIsClosed):
        kit.imported("wechat", [], is_replacing=True)
