"""Every verified notice of a refund ends in the books or as a case, or is taken up again:
notice × our state × the gateway's answer to a question about it, at both gateways.

In the two large tables every second answer in turns, by the seed; all of them with REFUSALS=all.
"""

import os
from datetime import timedelta
from itertools import product

import pytest
from django.db import transaction

from conftest import SEED
from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted, RejectReason
from gateways.interface import RefundState, TradeReport, TradeState
from payments.invariants import CHECKS as payments_checks
from payments.models import PaymentCallback, PaymentException, PaymentTransaction
from refunds.invariants import CHECKS as refunds_checks
from refunds.models import Refund
from refunds.services.notices import CASE_AFTER, TAKES_MAX, notices_take
from refunds.services.numbers import gateway_refund_no
from refunds.services.requests import refund_review
from refunds.services.submission import refunds_sweep
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, REVIEWER, SOME, Answers
from tcmpay.common import clock
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db

SUCCESS, CLOSED, ABNORMAL = RefundState.SUCCESS, RefundState.CLOSED, RefundState.ABNORMAL
KINDS = [("wechat", SUCCESS), ("wechat", CLOSED), ("wechat", ABNORMAL), ("alipay", SUCCESS)]
ANSWERS = {
    "done": stage.says(SUCCESS),
    "done, without an amount": stage.says(SUCCESS, amount=None),
    "processing": stage.says(RefundState.PROCESSING),
    "asked too early": stage.says_nothing,
    "closed": stage.says(CLOSED),
    "abnormal": stage.says(ABNORMAL),
    "another trade's": stage.says(SUCCESS, transaction_id="T-another"),
    "refused": stage.fails(
        GatewayRejected("no", code="NO_AUTH", reason=RejectReason.CONFIGURATION)
    ),
    "no answer": stage.fails(GatewayUnknown("timeout")),
    "untrusted": stage.fails(GatewayUntrusted("signature")),
    "nonsense": stage.fails(ValueError("a fault of ours")),
}
REFUNDS = {
    "pending": stage.pending,
    "approved": stage.unsent,
    "sent": stage.sent,
    "done": stage.done,
    "failed": stage.failed,
    "closed": stage.closed,
    "rejected": stage.rejected,
    "withdrawn": stage.withdrawn,
}
PAYMENTS = {
    "paid": stage.paid,
    "not paid": stage.started,
    "paid too late": stage.paid_late,
}
NUMBERS = ("console-1", "RFD" + "0" * 24)
# The books are judged after these; how the other answers end differs only in the case.
AUDITED = {"done", "asked too early"}


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "hold"
    with clock.frozen(BEGUN_AT):
        yield


class Cell:
    """One notice, taken up until nothing more happens by itself."""

    def __init__(self, callback: PaymentCallback, answer: str) -> None:
        self.callback = callback
        notice = callback.refund_notice or {}
        self.number = notice["out_refund_no"]
        self.state = RefundState(notice["state"])
        self.answer = answer
        self.answers = Answers(refund=ANSWERS[answer], query=ANSWERS[answer])

    def run(self, *, is_patient: bool = False) -> "Cell":
        now = clock.now()
        with stage.gateway_answers(self.answers):
            for _take in range(TAKES_MAX + 2):
                with clock.frozen(now):
                    notices_take()
                self.callback.refresh_from_db()
                again_at = self.callback.next_take_at
                if self.callback.is_picked_up or self._is_for_decision:
                    break
                assert again_at is not None, "it is taken up again"
                assert now < again_at <= now + timedelta(hours=1)
                if self.callback.takes >= CASE_AFTER and not is_patient:
                    assert self.cases, "staff know by now"
                    break
                now = again_at
        return self

    @property
    def _is_for_decision(self) -> bool:
        return self.callback.takes == 0 and self.callback.next_take_at is not None

    @property
    def cases(self) -> list[PaymentException]:
        open_ones = PaymentException.objects.filter(closed_at=None)
        ids = [str(key) for key in Refund.objects.values_list("id", flat=True)]
        return [case for case in open_ones if self.number in case.reason or case.subject in ids]

    @property
    def booked(self) -> list[Refund]:
        done = Refund.objects.filter(status="success")
        return [
            refund
            for refund in done
            if self.number
            in (gateway_refund_no(refund), (refund.refund_response or {}).get("out_refund_no"))
        ]

    def is_accounted_for(self) -> bool:
        if self.cases:
            return True
        if self.state is SUCCESS:
            return bool(self.booked) and self.callback.is_picked_up is True
        # What did not happen and isn't booked needs nothing; what is booked was asked about.
        is_old = self.answer.startswith("done")
        return (self.state is CLOSED and not self.booked) or (bool(self.booked) and is_old)


def end_of(callback: PaymentCallback, answer: str) -> bool:
    """Run it to its end and judge that; whether the gateway was asked about the refund."""
    cell = Cell(callback, answer).run()
    assert cell.is_accounted_for(), (cell.number, cell.callback.takes)
    assert len(cell.booked) <= 1
    for payment in PaymentTransaction.objects.filter(transaction_type="payment"):
        assert payment.refund_reserved <= payment.amount
    if answer not in AUDITED:
        return cell.answers.questions > 0
    wrong = [
        violation.message
        for check in (*refunds_checks, *payments_checks)
        for violation in check(Scope())
        if not violation.is_notice and not violation.is_unfinished
    ]
    assert wrong == []
    return cell.answers.questions > 0


def all_answers(prepare) -> None:
    """Each answer from the same beginning; where nothing is asked, all of them are one."""
    answered(prepare, ANSWERS)


def answers_in_turns(prepare, cell: int) -> None:
    """Every second answer; the others in the neighbouring cells, and with the next seed."""
    if os.environ.get("REFUSALS") == "all":
        all_answers(prepare)
    else:
        answered(prepare, list(ANSWERS)[(cell + SEED) % 2 :: 2])


def answered(prepare, answers) -> None:
    for answer in answers:
        beginning = transaction.savepoint()
        is_asked = end_of(prepare(), answer)
        transaction.savepoint_rollback(beginning)
        if not is_asked:
            break


@pytest.mark.parametrize("state_of_ours", REFUNDS)
@pytest.mark.parametrize(("method", "told"), KINDS)
def test_no_notice_under_our_number_is_dropped(method, told, state_of_ours):
    def prepare() -> PaymentCallback:
        payment = stage.paid(method)
        refund = REFUNDS[state_of_ours](payment)
        payment.refresh_from_db()
        return stage.noticed(payment, refund.refund_no, told)

    answers_in_turns(prepare, KINDS.index((method, told)) + list(REFUNDS).index(state_of_ours))


ROOM = {
    "free": lambda payment: None,
    "held by a request": lambda payment: [stage.pending(payment) for _ in range(3)],
    "gone": lambda payment: [stage.done(payment) for _ in range(3)],
}


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("method", "told"), KINDS)
def test_no_notice_of_a_refund_made_elsewhere_is_dropped(method, told, number, room):
    def prepare() -> PaymentCallback:
        payment = stage.paid(method)
        ROOM[room](payment)
        payment.refresh_from_db()
        return stage.noticed(payment, number, told)

    answers_in_turns(prepare, KINDS.index((method, told)) + list(ROOM).index(room))


@pytest.mark.parametrize("payment_state", PAYMENTS)
@pytest.mark.parametrize(("method", "told"), KINDS)
def test_nor_whatever_the_payment_is(method, told, payment_state):
    all_answers(lambda: stage.noticed(PAYMENTS[payment_state](method), "console-1", told))


@pytest.mark.parametrize(("method", "told"), KINDS)
def test_nor_of_a_payment_that_we_do_not_know(method, told):
    def prepare() -> PaymentCallback:
        payment = stage.paid(method)
        return stage.noticed(payment, "console-1", told, out_trade_no="ORD-of-others")

    all_answers(prepare)


@pytest.mark.parametrize("told", [SUCCESS, CLOSED, ABNORMAL])
def test_nor_one_that_contradicts_a_console_refund_in_the_books(told):
    def prepare() -> PaymentCallback:
        payment = stage.paid("wechat")
        stage.noticed(payment, "console-1", SUCCESS)
        assert notices_take() == 1
        return stage.noticed(payment, "console-1", told)

    all_answers(prepare)


def test_nor_of_one_under_the_number_of_the_trade():
    """Alipay: a refund that was asked for without a number."""

    def prepare() -> PaymentCallback:
        payment = stage.paid("alipay")
        return stage.noticed(payment, payment.out_trade_no or "", SUCCESS)

    all_answers(prepare)


# --- how single ones end --------------------------------------------------------------------------


def taken(answer: str, *, after: timedelta = timedelta(0)) -> int:
    answers = Answers(refund=ANSWERS[answer], query=ANSWERS[answer])
    with stage.gateway_answers(answers), clock.frozen(clock.now() + after):
        return notices_take()


def open_kinds() -> list[str]:
    cases = PaymentException.objects.filter(closed_at=None).order_by("kind")
    return [case.kind for case in cases]


def test_asked_too_early_it_is_asked_again_and_booked():
    payment = stage.paid("alipay")
    stage.noticed(payment, "console-1", SUCCESS)
    assert taken("asked too early") == 0
    assert taken("done", after=timedelta(seconds=14)) == 0
    assert taken("done", after=timedelta(seconds=15)) == 1
    refund = Refund.objects.get()
    assert (refund.cause, refund.refund_amount, refund.status) == ("outside", SOME, "success")
    payment.refresh_from_db()
    assert payment.refund_reserved == SOME
    assert open_kinds() == ["outside_refund"]


def test_a_case_that_the_gateways_word_answers_after_all_closes_itself():
    payment = stage.paid("alipay")
    callback = stage.noticed(payment, "console-1", SUCCESS)
    for minutes in range(0, 200, 10):
        taken("no answer", after=timedelta(minutes=minutes))
    assert open_kinds() == ["unbooked_refund"]
    assert taken("done", after=timedelta(hours=5)) == 1
    assert open_kinds() == ["outside_refund"]
    callback.refresh_from_db()
    assert callback.is_picked_up


def test_a_day_of_questions_in_vain_leaves_it_to_staff():
    callback = stage.noticed(stage.paid("alipay"), "console-1", SUCCESS)
    cell = Cell(callback, "asked too early").run(is_patient=True)
    assert (cell.callback.is_picked_up, cell.answers.questions) == (True, TAKES_MAX)
    assert open_kinds() == ["unbooked_refund"]


def test_told_of_a_pending_refund_it_waits_for_the_review_and_is_booked():
    payment = stage.paid("wechat")
    refund = stage.pending(payment)
    callback = stage.noticed(payment, refund.refund_no, SUCCESS)
    assert taken("done") == 0
    assert open_kinds() == ["unbooked_refund"]
    refund_review(actor=REVIEWER, refund_id=refund.id, is_approved=True, notes="x")
    assert taken("done", after=timedelta(minutes=1)) == 1
    refund.refresh_from_db()
    callback.refresh_from_db()
    assert (refund.status, callback.is_picked_up, open_kinds()) == ("success", True, [])


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_told_of_a_rejected_refund_it_is_booked_as_made_elsewhere(method):
    payment = stage.paid(method)
    refund = stage.rejected(payment)
    stage.noticed(payment, refund.refund_no, SUCCESS)
    assert taken("done") == 1
    refund.refresh_from_db()
    assert refund.status == "cancelled"
    outside = Refund.objects.get(cause="outside")
    assert (outside.status, outside.refund_amount) == ("success", SOME)
    assert open_kinds() == ["outside_refund"]


def test_told_of_an_approved_refund_before_it_was_sent_it_is_done():
    payment = stage.paid("wechat")
    refund = stage.unsent(payment)
    stage.noticed(payment, refund.refund_no, SUCCESS)
    assert taken("no answer") == 1
    refund.refresh_from_db()
    assert (refund.status, refund.external_refund_id) == ("success", f"G{refund.refund_no}")
    with stage.gateway_answers(Answers(ANSWERS["nonsense"], ANSWERS["nonsense"])):
        assert refunds_sweep() == 0, "nothing is left to send"


def test_without_a_number_of_its_own_it_may_be_one_of_ours():
    payment = stage.paid("alipay")
    stage.done(payment)
    stage.noticed(payment, payment.out_trade_no or "", SUCCESS, refunded_total=SOME)
    assert taken("asked too early") == 1
    assert Refund.objects.count() == 1
    assert open_kinds() == []


def test_without_a_number_and_beyond_what_we_know_it_is_not():
    payment = stage.paid("alipay")
    stage.done(payment)
    stage.noticed(payment, payment.out_trade_no or "", SUCCESS, refunded_total=2 * SOME)
    assert taken("asked too early") == 0
    assert taken("done", after=timedelta(minutes=1)) == 1
    assert Refund.objects.filter(cause="outside", status="success").count() == 1


# --- trades that say so themselves ----------------------------------------------------------------


@pytest.mark.parametrize("is_whole", [False, True], ids=["wechat", "alipay, all of it"])
def test_a_trade_that_had_refunds_we_know_nothing_of_is_a_case(is_whole):
    attempt = stage.started("alipay" if is_whole else "wechat")
    report = stage.trade(attempt, has_refunds=True, is_refundable=not is_whole)
    for _told in range(2):
        stage.trade_report_apply(method=attempt.payment_method, report=report)
    assert open_kinds() == ["unbooked_refund"]
    # Known by then: the notice of the refund books it, and the case closes itself.
    stage.noticed(PaymentTransaction.objects.get(), "console-1", SUCCESS, amount=SOME)
    assert taken("done") == 1
    assert open_kinds() == ["outside_refund"]


@pytest.mark.parametrize("ours", [stage.sent, stage.done, stage.failed])
def test_one_that_our_own_refund_explains_is_none(ours):
    payment = stage.paid("wechat")
    ours(payment)
    before = open_kinds()
    stage.trade_report_apply(method="wechat", report=stage.trade(payment, has_refunds=True))
    assert open_kinds() == before


def test_a_booked_trade_that_is_said_to_be_closed_unpaid_is_a_case():
    payment = stage.paid("wechat")
    before = stage.Books()
    report = TradeReport(payment.out_trade_no or "", TradeState.CLOSED)
    assert stage.trade_report_apply(method="wechat", report=report).verdict == "mismatch"
    assert stage.Books() == before
    assert open_kinds() == ["mismatch"]


def test_the_cells_are_many():
    """The lists above are the field's: none of them was emptied."""
    assert len(KINDS) * len(REFUNDS) * len(ANSWERS) == 352
    assert len(list(product(KINDS, NUMBERS, ROOM, ANSWERS))) == 264


def test_of_those_that_wait_with_the_same_words_one_is_enough():
    payment = stage.paid("alipay")
    for _copy in range(3):
        stage.noticed(payment, "console-1", SUCCESS)
    stage.noticed(payment, "console-2", SUCCESS)
    assert taken("asked too early") == 2
    assert taken("done", after=timedelta(minutes=1)) == 2
    assert Refund.objects.filter(status="success").count() == 2
