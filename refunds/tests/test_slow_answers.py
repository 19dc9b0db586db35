"""An answer that comes after the refund got another number says nothing about that number."""

from datetime import timedelta

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown
from gateways.interface import RefundReport, RefundRequest, RefundState
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.submission import refund_report_apply, refund_retry, refund_submit
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


SLOW = {
    "closed": stage.says(RefundState.CLOSED),
    "success": stage.says(RefundState.SUCCESS),
    "processing": stage.says(RefundState.PROCESSING),
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
