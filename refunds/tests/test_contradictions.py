"""What can't be read, and what contradicts our books: a case each, once, and again when new."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.models import PaymentCallback, PaymentException
from payments.services.callbacks import refund_notices_waiting
from payments.services.exceptions import exception_write_off_ask
from payments.services.settlement import trade_report_apply
from refunds.models import Refund
from refunds.services.cases import case_write_off_decide
from refunds.services.notices import CASE_AFTER, TAKES_MAX, notices_take
from refunds.services.submission import refunds_sweep
from refunds.tests import stage
from refunds.tests.stage import ALL, BEGUN_AT, REVIEWER, SOME, Answers
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db

SECOND = Actor(uuid.uuid4(), Role.ADMIN)
SUCCESS, CLOSED, ABNORMAL = RefundState.SUCCESS, RefundState.CLOSED, RefundState.ABNORMAL


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def open_cases() -> list[PaymentException]:
    return list(PaymentException.objects.filter(closed_at=None))


def close_all() -> None:
    for case in open_cases():
        exception_write_off_ask(actor=REVIEWER, exception_id=case.id, reason="已核对")
        case_write_off_decide(actor=SECOND, exception_id=case.id, is_confirmed=True, notes="同意")


# --- what can't be read --------------------------------------------------------------------------

UNREADABLE = {
    "unknown state": {"state": "SETTLED"},
    "no amount": {"amount": "thirty"},
    "no time": {"completed_at": "yesterday"},
    "a number for a text": {"out_refund_no": 7},
    "a list": None,
}


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE)
def test_a_notice_that_can_not_be_read_ends_as_a_case(damage):
    payment = stage.paid("wechat")
    callback = stage.noticed(payment, "console-1", SUCCESS)
    kept = [] if damage is None else {**(callback.refund_notice or {}), **damage}
    PaymentCallback.objects.filter(id=callback.id).update(refund_notice=kept)
    now = clock.now()
    for takes in range(1, TAKES_MAX + 1):
        with clock.frozen(now):
            notices_take()
        now += timedelta(hours=1)
        assert bool(open_cases()) == (takes >= CASE_AFTER)
    assert not refund_notices_waiting().exists()
    [case] = open_cases()
    assert (case.kind, case.transaction_id) == ("unbooked_refund", payment.id)
    assert str(callback.id) in case.reason


def test_it_holds_up_no_other():
    payment = stage.paid("wechat")
    callback = stage.noticed(payment, "console-1", SUCCESS)
    PaymentCallback.objects.filter(id=callback.id).update(refund_notice={"state": "SETTLED"})
    stage.noticed(payment, "console-2", SUCCESS)
    assert notices_take() == 1


# --- contradictions of what is booked ------------------------------------------------------------

Says = Callable[[RefundRequest], RefundReport]


def told(refund: Refund, state: RefundState, query: Says, **facts: object) -> None:
    stage.noticed(refund.transaction, refund.refund_no, state, **facts)
    with stage.gateway_answers(Answers(query, query)):
        assert notices_take() == 1


def test_the_same_contradiction_is_one_case_and_stays_closed():
    refund = stage.done(stage.paid("wechat"))
    told(refund, CLOSED, stage.says(CLOSED))
    told(refund, CLOSED, stage.says(CLOSED))
    assert len(open_cases()) == 1
    close_all()
    told(refund, CLOSED, stage.says(CLOSED))
    assert open_cases() == []


def test_another_contradiction_of_the_same_refund_is_another_case():
    refund = stage.done(stage.paid("wechat"))
    told(refund, CLOSED, stage.says(CLOSED))
    close_all()
    told(refund, ABNORMAL, stage.says(ABNORMAL))
    assert len(open_cases()) == 1
    close_all()
    told(refund, SUCCESS, stage.says_nothing, amount=ALL)
    assert len(open_cases()) == 1
    assert PaymentException.objects.count() == 3


def test_an_old_message_that_agrees_closes_no_contradiction():
    refund = stage.done(stage.paid("wechat"))
    told(refund, CLOSED, stage.says(CLOSED))
    told(refund, SUCCESS, stage.says_nothing)
    assert len(open_cases()) == 1


# --- beside a console refund that nobody confirms yet ---------------------------------------------


def test_a_refund_beside_an_unconfirmed_one_is_refused_and_leaves_room_for_it():
    """Alipay's notice of a console refund names no amount: nothing is held for it meanwhile."""
    payment = stage.paid("alipay")
    ours = stage.unsent(payment)
    stage.noticed(payment, "console-1", SUCCESS, refunded_total=ALL)
    assert _taken(stage.says_nothing, minutes=0) == 0
    refuse = stage.fails(stage.GatewayRejected("too much", code="ACQ.REFUND_AMT_RESTRICTION"))
    with stage.gateway_answers(Answers(refuse, stage.says_nothing)):
        refunds_sweep()
        with clock.frozen(BEGUN_AT + timedelta(minutes=1)):
            refunds_sweep()
    ours.refresh_from_db()
    assert ours.status == "failed"
    assert _taken(stage.says(SUCCESS, amount=ALL), minutes=1) == 1
    payment.refresh_from_db()
    done = Refund.objects.get(status="success")
    assert (done.cause, done.refund_amount, payment.refund_reserved) == ("outside", ALL, ALL)


def _taken(query: Says, *, minutes: int) -> int:
    with (
        stage.gateway_answers(Answers(query, query)),
        clock.frozen(BEGUN_AT + timedelta(minutes=minutes)),
    ):
        return notices_take()


def test_what_else_was_refunded_in_the_console_is_told_after_a_part_was_booked():
    """Alipay's trade is closed once all of it went back; only a part of that is in our books."""
    payment = stage.paid("alipay")
    report = stage.trade(payment, has_refunds=True, is_refundable=False)
    unbooked = PaymentException.objects.filter(kind="unbooked_refund")
    for _again in range(2):
        trade_report_apply(method="alipay", report=report)
    assert [case.outcome for case in unbooked] == [""]
    stage.noticed(payment, "console-1", SUCCESS, amount=SOME)
    assert notices_take() == 1
    assert [case.outcome for case in unbooked.all()] == ["settled"]
    trade_report_apply(method="alipay", report=report)
    assert sorted(case.outcome for case in unbooked.all()) == ["", "settled"]
