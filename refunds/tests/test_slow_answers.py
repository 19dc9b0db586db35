"""An answer that comes after the refund got another number says nothing about that number."""

from datetime import timedelta

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.models import PaymentTransaction
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.numbers import gateway_refund_no
from refunds.services.requests import refund_review
from refunds.services.retries import refund_retry
from refunds.services.submission import refund_report_apply, refund_submit
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME, Answers, Books
from tcmpay.common import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def sent_again(refund: Refund) -> None:
    """The gateway closes the running number, and the refund is sent under the next one."""
    report = RefundReport(refund.refund_no, RefundState.CLOSED, amount=SOME)
    refund_report_apply(refund_id=refund.id, report=report)
    refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="再试")
    running = stage.says(RefundState.PROCESSING)
    with stage.gateway_answers(Answers(running, running)):
        refund_submit(refund_id=refund.id)


# Without a number of the gateway's own, as Alipay answers: only ours tells which it is about.
SLOW = {
    "closed": stage.says(RefundState.CLOSED, refund_id=""),
    "success": stage.says(RefundState.SUCCESS, refund_id=""),
    "processing": stage.says(RefundState.PROCESSING, refund_id=""),
    "not found": stage.says_nothing,
    "refused": stage.fails(GatewayRejected("no", code="PARAM_ERROR")),
    "no answer": stage.fails(GatewayUnknown("slow", code="TIMEOUT")),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("call", ["refund", "query"])
def test_an_answer_about_the_closed_number_changes_nothing(call, slow):
    payment = stage.paid("wechat")
    refund = stage.sent(payment) if call == "query" else stage.unsent(payment)
    kept: list[Books] = []

    def answer_late(request: RefundRequest) -> RefundReport:
        assert request.out_refund_no == refund.refund_no
        sent_again(refund)
        kept.append(Books())
        return slow(request)

    with (
        clock.frozen(clock.now() + timedelta(minutes=5)),
        stage.gateway_answers(Answers(answer_late, answer_late)),
    ):
        refund_submit(refund_id=refund.id)
    assert [Books()] == kept
    refund.refresh_from_db()
    assert (refund.status, refund.number_generation, refund.sendings) == ("processing", 2, 1)


def test_a_notice_about_the_closed_number_changes_nothing():
    payment = stage.paid("wechat")
    refund = stage.sent(payment)
    sent_again(refund)
    before = Books()
    stage.noticed(payment, refund.refund_no, RefundState.CLOSED)
    assert notices_take() == 1
    assert Books() == before


# --- a number that was called closed, and brought the money back ----------------------------------


def success_of(payment: PaymentTransaction, number: str) -> None:
    stage.noticed(payment, number, RefundState.SUCCESS)
    assert notices_take() == 1


@pytest.mark.parametrize("is_retried", [False, True], ids=["failed", "to be sent again"])
def test_success_wins_over_a_closing_while_nothing_else_was_sent(is_retried):
    payment = stage.paid("wechat")
    refund = stage.closed(payment)
    if is_retried:
        refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="再试")
    success_of(payment, refund.refund_no)
    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.status, gateway_refund_no(refund)) == ("success", refund.refund_no)
    assert payment.refund_reserved == SOME
    assert Refund.objects.count() == 1
    with stage.gateway_answers(Answers(stage.fails(AssertionError()), stage.says_nothing)):
        assert not refund_submit(refund_id=refund.id)


def test_once_the_next_number_is_sent_the_former_ones_success_is_a_refund_beside_it():
    payment = stage.paid("wechat")
    refund = stage.sent(payment)
    sent_again(refund)
    success_of(payment, refund.refund_no)
    refund.refresh_from_db()
    assert (refund.status, gateway_refund_no(refund)) == ("processing", f"{refund.refund_no}R2")
    assert Refund.objects.get(cause="outside").status == "success"


def test_where_others_hold_its_amount_it_is_asked_about_under_the_number_that_succeeded():
    payment = stage.paid("wechat")
    refund = stage.closed(payment)
    others = [stage.pending(payment) for _ in range(3)]
    stage.noticed(payment, refund.refund_no, RefundState.SUCCESS)
    assert notices_take() == 0, "the notice waits for room"
    refund.refresh_from_db()
    assert (refund.status, refund.error_code) == ("failed", "ABNORMAL")
    for other in others:
        refund_review(actor=stage.REVIEWER, refund_id=other.id, is_approved=False, notes="x")
    refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="其余已拒绝")
    answers = Answers(stage.fails(AssertionError()), stage.says(RefundState.SUCCESS))
    with stage.gateway_answers(answers):
        refund_submit(refund_id=refund.id)
    refund.refresh_from_db()
    assert (refund.status, refund.external_refund_id) == ("success", f"G{refund.refund_no}")
