"""Every number that a gateway names is compared with ours: what differs changes nothing and becomes
a case for staff, whether it comes in a notice or in an answer."""

from datetime import timedelta
from decimal import Decimal

import pytest

from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_config_set
from gateways.interface import RefundState
from payments.channels import is_of_another_merchant
from payments.models import PaymentException, PaymentTransaction
from refunds.services.notices import notices_take
from refunds.services.submission import refunds_sweep
from refunds.tests import stage
from refunds.tests.stage import ALL, BEGUN_AT, SOME, Answers, Books
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db

OTHERS = {
    "another trade of ours": {"out_trade_no": "ORD-another"},
    "another payment's number": {"transaction_id": "T-another"},
    "another refund's number": {"refund_id": "G-another"},
    "another amount": {"amount": SOME + Decimal("0.01")},
    "another total": {"total_amount": ALL + SOME},
}
METHODS = ("wechat", "alipay")


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def open_kinds() -> list[str]:
    return [case.kind for case in PaymentException.objects.filter(closed_at=None)]


@pytest.mark.parametrize("told", ["success", "closed", "abnormal", "processing"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_notice_under_our_number_about_something_else(method, other, told):
    payment = stage.paid(method)
    refund = stage.sent(payment)
    before = Books()
    for _told in range(2):
        stage.noticed(payment, refund.refund_no, RefundState(told), **other)
    assert notices_take() == 2
    assert Books() == before
    assert open_kinds() == ["unbooked_refund"]
    # The right one is booked all the same.
    stage.noticed(payment, refund.refund_no, RefundState.SUCCESS)
    assert notices_take() == 1
    refund.refresh_from_db()
    assert refund.status == "success"


# Before it is sent the gateway's number of a refund is not known.
ANSWERS = [("query", name) for name in OTHERS] + [
    ("refund", name) for name in OTHERS if name != "another refund's number"
]


@pytest.mark.parametrize(("call", "name"), ANSWERS)
def test_an_answer_about_something_else(call, name):
    other = OTHERS[name]
    refund = stage.sent(stage.paid("wechat"))
    if call == "refund":
        refund = stage.unsent(stage.paid("wechat"))
    with clock.frozen(clock.now() + timedelta(minutes=5)):
        wrong = stage.says(RefundState.SUCCESS, **other)
        with stage.gateway_answers(Answers(wrong, wrong)):
            refunds_sweep()
        refund.refresh_from_db()
        assert refund.status == "processing"
        assert "unbooked_refund" in open_kinds()
        assert not PaymentTransaction.objects.filter(
            transaction_type="refund", status="success"
        ).exists()
    # Asked again, the gateway speaks of ours.
    right = stage.says(RefundState.SUCCESS)
    with (
        clock.frozen(clock.now() + timedelta(hours=1)),
        stage.gateway_answers(Answers(right, right)),
    ):
        refunds_sweep()
    refund.refresh_from_db()
    assert refund.status == "success"


@pytest.mark.parametrize("name", ["transaction_id", "total_amount"])
@pytest.mark.parametrize("method", METHODS)
def test_a_notice_of_a_console_refund_about_something_else(method, name):
    payment = stage.paid(method)
    before = Books()
    other = {"transaction_id": "T-another", "total_amount": ALL + SOME}[name]
    stage.noticed(payment, "console-1", RefundState.SUCCESS, **{name: other})
    assert notices_take() == 1
    assert Books() == before
    assert open_kinds() == ["unbooked_refund"]


def test_the_other_gateway_knows_nothing_of_our_number():
    payment, elsewhere = stage.paid("wechat"), stage.paid("alipay")
    refund = stage.sent(payment)
    before = Books()
    stage.noticed(elsewhere, refund.refund_no, RefundState.CLOSED)
    notices_take()
    assert Books() == before


def test_numbers_that_a_message_does_not_carry_are_not_compared():
    payment = stage.paid("wechat")
    refund = stage.sent(payment)
    nothing = {"out_trade_no": "", "transaction_id": "", "refund_id": "", "total_amount": None}
    stage.noticed(payment, refund.refund_no, RefundState.SUCCESS, **nothing)
    assert notices_take() == 1
    refund.refresh_from_db()
    assert (refund.status, open_kinds()) == ("success", [])


def test_after_a_closed_one_the_gateways_number_is_another():
    payment = stage.paid("wechat")
    assert stage.closed(payment).external_refund_id is None


# --- whose message it is --------------------------------------------------------------------------


@pytest.fixture
def of_a_merchant():
    """A payment that began under a configuration of its own."""
    for key, value in {"app_id": "wx0000000000000001", "mch_id": "1900000001"}.items():
        gateway_config_set(actor=SYSTEM, method="wechat", key=key, value=value)
    payment = stage.paid("wechat")
    version = gateway_config_current("wechat").version_id
    PaymentTransaction.objects.filter(id=payment.id).update(config_version_id=version)
    payment.refresh_from_db()
    return payment


@pytest.mark.parametrize(
    ("app_id", "merchant_id", "is_another"),
    [
        ("wx0000000000000001", "1900000001", False),
        ("", "1900000001", False),
        ("", "", False),
        ("wx0000000000000002", "1900000001", True),
        ("wx0000000000000001", "1900000002", True),
    ],
)
def test_a_merchant_or_application_that_the_payment_did_not_begin_with(
    of_a_merchant, app_id, merchant_id, is_another
):
    found = is_of_another_merchant(of_a_merchant, app_id=app_id, merchant_id=merchant_id)
    assert found is is_another


@pytest.mark.parametrize(
    "prepared",
    [{"body": {"appid": "wx0000000000000001"}}, {"app_id": "wx0000000000000001"}],
    ids=["as WeChat's request names it", "as Alipay's is kept beside its request"],
)
def test_another_app_of_the_same_merchant_is_another_one_too(of_a_merchant, prepared):
    """A merchant has an app for each scene: what counts is the one that the payment began for."""
    other = "wx0000000000000002"
    gateway_config_set(actor=SYSTEM, method="wechat", key="app_id_app", value=other)
    of_a_merchant.config_version_id = gateway_config_current("wechat").version_id
    of_a_merchant.request_data = {}
    assert not is_of_another_merchant(of_a_merchant, app_id=other, merchant_id="")
    of_a_merchant.request_data = {"prepared": prepared}
    assert is_of_another_merchant(of_a_merchant, app_id=other, merchant_id="")
    begun_for = "wx0000000000000001"
    assert not is_of_another_merchant(of_a_merchant, app_id=begun_for, merchant_id="")


def test_another_merchants_refund_notice_changes_nothing(of_a_merchant):
    refund = stage.sent(of_a_merchant)
    before = Books()
    stage.noticed(of_a_merchant, refund.refund_no, RefundState.SUCCESS, merchant_id="1900000002")
    assert notices_take() == 1
    assert (Books(), open_kinds()) == (before, ["unbooked_refund"])


@pytest.mark.parametrize("state", ["paid", "closed"])
def test_another_merchants_trade_notice_changes_nothing(of_a_merchant, state):
    attempt = stage.started("wechat")
    PaymentTransaction.objects.filter(id=attempt.id).update(
        config_version_id=of_a_merchant.config_version_id
    )
    before = Books()
    report = stage.trade(
        attempt, merchant_id="1900000002", state=stage.TradeState(state), transaction_id="T9"
    )
    settlement = stage.trade_report_apply(method="wechat", report=report)
    assert (settlement.verdict, Books(), open_kinds()) == ("mismatch", before, ["mismatch"])
