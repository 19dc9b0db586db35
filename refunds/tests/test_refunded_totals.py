"""Alipay tells the trade's refunded total beside "done": what our books can't explain is a case,
and the refund is booked on the gateway's word about itself, as a question asks for it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gateways.interface import RefundState
from payments.models import PaymentException, PaymentTransaction
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.submission import refunds_sweep
from refunds.tests import stage
from refunds.tests.stage import ALL, BEGUN_AT, SOME, Answers
from tcmpay.common import clock
from tcmpay.common.money import Money

pytestmark = pytest.mark.django_db

FEN = Decimal("0.01")
DONE = RefundState.SUCCESS


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture
def payment() -> PaymentTransaction:
    return stage.paid("alipay")


def later(minutes: int):
    return clock.frozen(BEGUN_AT + timedelta(minutes=minutes))


def send(refund: Refund, total: Money | None) -> str:
    """The gateway says that it is done, and ``total``; whether it is, and the open cases."""
    done = stage.says(DONE, amount=None, refund_id="", refunded_total=total)
    with stage.gateway_answers(Answers(done, stage.says_nothing)):
        refunds_sweep()
    return state(refund)


def state(refund: Refund) -> str:
    refund.refresh_from_db()
    kinds = [case.kind for case in PaymentException.objects.filter(closed_at=None)]
    return " ".join([refund.status, *kinds])


def test_the_first_one_is_all_of_it(payment):
    assert send(stage.unsent(payment), SOME) == "success"


def test_a_later_one_comes_on_top(payment):
    stage.done(payment)
    with later(5):
        assert send(stage.unsent(payment), 2 * SOME) == "success"


def test_where_no_total_is_told_there_is_nothing_to_compare(payment):
    assert send(stage.unsent(payment), None) == "success"


@pytest.mark.parametrize("total", [SOME + FEN, SOME - FEN, 2 * SOME, ALL])
def test_another_total_is_a_case_and_books_nothing(payment, total):
    refund = stage.unsent(payment)
    assert send(refund, total) == "processing unbooked_refund"
    [case] = PaymentException.objects.all()
    assert f"{total}" in case.reason
    payment.refresh_from_db()
    assert payment.refund_reserved == SOME


@pytest.mark.parametrize("total", [SOME, 2 * SOME - FEN, 2 * SOME + FEN])
def test_nor_does_another_beside_what_went_back_before(payment, total):
    stage.done(payment)
    with later(5):
        assert send(stage.unsent(payment), total) == "processing unbooked_refund"


@pytest.mark.parametrize(
    ("asked", "then"),
    [(SOME, "success unbooked_refund"), (SOME + FEN, "processing unbooked_refund unbooked_refund")],
    ids=["its amount", "another amount"],
)
def test_the_gateways_word_about_itself_decides(payment, asked, then):
    refund = stage.unsent(payment)
    send(refund, 2 * SOME)
    with (
        later(1),
        stage.gateway_answers(Answers(stage.says_nothing, stage.says(DONE, amount=asked))),
    ):
        refunds_sweep()
    assert state(refund) == then


@pytest.mark.parametrize(("total", "is_explained"), [(2 * SOME, True), (2 * SOME + FEN, False)])
def test_another_refund_of_ours_that_is_on_its_way_may_be_among_it(payment, total, is_explained):
    stage.sent(payment)
    with later(1):
        refund = stage.unsent(payment)
        done = stage.says(DONE, amount=None, refund_id="", refunded_total=total)
        working = stage.says(RefundState.PROCESSING, refund_id="")
        with stage.gateway_answers(Answers(done, working)):
            refunds_sweep()
    assert (state(refund) == "success") is is_explained


def test_one_that_waits_to_be_sent_is_not_among_it(payment):
    refund = stage.unsent(payment)
    stage.pending(payment)
    assert send(refund, 2 * SOME) == "processing unbooked_refund"


def test_one_that_was_done_since_need_not_be_among_it(payment):
    """Its answer, or its notice, was under way while another one was sent and booked."""
    slow = stage.sent(payment)
    with later(1):
        stage.done(payment)
    stage.noticed(payment, slow.refund_no, DONE, refunded_total=SOME)
    assert notices_take() == 1
    assert state(slow) == "success"


@pytest.mark.parametrize("total", [SOME - FEN, SOME + FEN])
def test_so_is_the_total_of_a_notice(payment, total):
    refund = stage.sent(payment)
    stage.noticed(payment, refund.refund_no, DONE, refunded_total=total)
    notices_take()
    assert state(refund) == "processing unbooked_refund"


def test_an_old_notice_of_one_that_is_booked_says_nothing_new(payment):
    refund = stage.done(payment)
    with later(5):
        stage.done(payment)
    stage.noticed(payment, refund.refund_no, DONE, refunded_total=SOME)
    assert notices_take() == 1
    assert state(refund) == "success"
