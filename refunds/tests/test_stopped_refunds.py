"""Staff have a refund sent no more: its money is freed on the gateway's word alone."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gateways.interface import RefundState
from payments.models import PaymentException
from payments.services.exceptions import exception_close
from refunds.errors import (
    NoSurplus,
    RefundGivenBack,
    RefundNotStoppable,
    SelfReview,
    StopNeedsSecondPerson,
)
from refunds.limits import LIMITS, SENDING_SECONDS_MAX
from refunds.models import Refund
from refunds.services.cases import case_refund, case_write_off_decide
from refunds.services.retries import refund_retry
from refunds.services.stopping import refund_stop
from refunds.services.surplus import surplus_refund_begin, surplus_return, surplus_sweep
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, FORBIDDEN, NO_ANSWER, SOME, WANG, Gateway, write_off
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.money import ZERO

pytestmark = pytest.mark.django_db

DONE = stage.says(RefundState.SUCCESS)


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.REFUND_SECOND_APPROVAL_OVER = None
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture(params=["wechat", "alipay"])
def refund(request):
    return stage.unsent(stage.paid(request.param))


def stop(refund, *, at: int, by: Actor = stage.REVIEWER) -> None:
    with clock.frozen(BEGUN_AT + timedelta(seconds=at)):
        refund_stop(actor=by, refund_id=refund.id, reason="账号已停用")
    refund.refresh_from_db()


def state(refund) -> tuple[str, str, Decimal]:
    refund.refresh_from_db()
    refund.transaction.refresh_from_db()
    return refund.status, refund.error_code, refund.transaction.refund_reserved


def test_it_ends_when_the_gateway_says_that_it_does_not_exist(refund):
    gateway = Gateway()
    gateway.sweep_at(0, 60, 120)
    sent = gateway.sendings
    stop(refund, at=130)
    assert state(refund) == ("processing", "NO_AUTH", SOME), "nothing is free by that alone"
    gateway.sweep_at(131, 200, 400)
    assert state(refund) == ("failed", "STOPPED", ZERO)
    assert gateway.sendings == sent
    assert "账号已停用" in PaymentException.objects.get(kind="refund_refused").reason
    told = AuditEvent.objects.get(action="refund_stopped")
    assert (told.actor_id, told.reason) == (stage.REVIEWER.id, "账号已停用")


def test_one_that_was_never_sent_ends_by_a_question_too(refund):
    stop(refund, at=61)
    gateway = Gateway()
    gateway.sweep_at(62)
    assert (gateway.sendings, state(refund)) == (0, ("failed", "STOPPED", ZERO))


def test_what_was_sent_just_now_is_not_believed_to_be_unknown(refund):
    """It may be on its way to the gateway still, which then needs its time to know it."""
    gateway = Gateway(refund=NO_ANSWER)
    gateway.sweep_at(0)
    stop(refund, at=1)
    on_its_way = SENDING_SECONDS_MAX + LIMITS[refund.transaction.payment_method].known_after.seconds
    gateway.sweep_at(2, on_its_way - 1)
    assert state(refund) == ("processing", "TIMEOUT", SOME)
    gateway.sweep_at(on_its_way)
    assert state(refund) == ("failed", "STOPPED", ZERO)
    assert gateway.sendings == 1


def test_an_answer_that_is_older_than_the_sending_ends_nothing(refund):
    """Whoever asked was held up, and another worker sent it meanwhile."""
    gateway = Gateway(refund=NO_ANSWER)
    gateway.sweep_at(0)

    def asked_before_it_was_sent_again(request):
        later = BEGUN_AT + timedelta(hours=1)
        Refund.objects.filter(id=refund.id).update(sendings=2, sent_at=later)
        stop(refund, at=3601)
        with clock.frozen(later + timedelta(hours=1)):
            return stage.says_nothing(request)

    gateway.query = asked_before_it_was_sent_again
    gateway.sweep_at(60)
    assert state(refund) == ("processing", "TIMEOUT", SOME)


def test_money_that_is_back_after_all_is_booked(refund):
    gateway = Gateway(refund=NO_ANSWER)
    gateway.sweep_at(0)
    stop(refund, at=1)
    gateway.query = DONE
    gateway.sweep_at(2)
    assert state(refund) == ("success", "", SOME)


@pytest.mark.parametrize("query", [FORBIDDEN, NO_ANSWER], ids=["refused", "unanswered"])
def test_where_the_gateway_can_not_be_asked_the_money_is_held_and_a_case_says_what_to_do(query):
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway(query=query)
    gateway.sweep_at(0, 60, 120)
    stop(refund, at=130)
    gateway.sweep_at(*range(140, 2500, 180))
    assert state(refund)[::2] == ("processing", SOME)
    assert gateway.sendings == 1
    case = PaymentException.objects.get()
    assert (case.kind, case.outcome) == ("stopped_refund", "")
    gateway.query = stage.says_nothing
    gateway.sweep_at(3000)
    assert state(refund) == ("failed", "STOPPED", ZERO)
    case.refresh_from_db()
    assert case.outcome == "settled"


def test_whoever_stops_one_that_was_stuck_is_told_of_it_anew():
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway(refund=NO_ANSWER, query=NO_ANSWER)
    gateway.sweep_at(*range(0, 2500, 180))
    stuck = PaymentException.objects.get()
    exception_close(actor=stage.REVIEWER, exception_id=stuck.id, resolution="已问网关")
    stop(refund, at=2500)
    gateway.sweep_at(*range(2500, 5000, 180))
    assert PaymentException.objects.get(closed_at=None).kind == "stopped_refund"


def test_no_case_of_refused_refunds_waits_for_it():
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway()
    gateway.sweep_at(*range(0, 600, 180))
    assert PaymentException.objects.get(kind="gateway_refusing").closed_at is None
    stop(refund, at=601)
    gateway.query = NO_ANSWER
    gateway.sweep_at(*range(610, 3000, 180))
    cases = PaymentException.objects.order_by("kind").values_list("kind", "outcome")
    assert list(cases) == [("gateway_refusing", "settled"), ("stopped_refund", "")]


def test_staff_may_send_it_again_later(refund):
    stop(refund, at=61)
    gateway = Gateway(refund=DONE)
    gateway.sweep_at(62)
    with clock.frozen(BEGUN_AT + timedelta(seconds=70)):
        refund_retry(actor=WANG, refund_id=refund.id, reason="账号已恢复")
    gateway.sweep_at(71)
    assert (gateway.sendings, state(refund)) == (1, ("success", "", SOME))


def test_what_the_gateway_has_taken_on_goes_its_way():
    refund = stage.sent(stage.paid("wechat"))
    with pytest.raises(RefundNotStoppable):
        stop(refund, at=61)


def test_nobody_stops_twice_and_nobody_their_own(refund):
    with pytest.raises(SelfReview):
        stop(refund, at=61, by=stage.OWNER)
    stop(refund, at=61)
    with pytest.raises(RefundNotStoppable):
        stop(refund, at=62, by=WANG)


def test_two_people_stop_what_two_have_to_approve(refund, settings):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("5.00")
    gateway = Gateway()
    stop(refund, at=61)
    gateway.sweep_at(62)
    assert (refund.stopped_by, gateway.sendings) == (None, 1), "it goes on until they agree"
    with pytest.raises(StopNeedsSecondPerson):
        stop(refund, at=63)
    stop(refund, at=64, by=WANG)
    assert (refund.stop_asked_by, refund.stopped_by) == (stage.REVIEWER.id, WANG.id)
    gateway.sweep_at(200)
    assert state(refund) == ("failed", "STOPPED", ZERO)


# --- a case that was written off -----------------------------------------------------------------


def unanswerable() -> tuple[Refund, Gateway, PaymentException]:
    """One that was sent and stopped, of which nobody can learn anything, with its case."""
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway(refund=NO_ANSWER, query=NO_ANSWER)
    gateway.sweep_at(0)
    stop(refund, at=1)
    gateway.sweep_at(*range(2, 2400, 180))
    return refund, gateway, PaymentException.objects.get(kind="stopped_refund")


@pytest.mark.parametrize("is_confirmed", [True, False], ids=["written off", "asked for"])
@pytest.mark.parametrize(
    "query", [stage.says_nothing, stage.says(RefundState.CLOSED)], ids=["unknown", "closed"]
)
def test_what_went_back_by_another_way_never_goes_again(query, is_confirmed):
    refund, gateway, case = unanswerable()
    write_off(case, is_confirmed=is_confirmed)
    gateway.query = query
    gateway.sweep_at(9000, 18000)
    assert state(refund) == ("processing", "GIVEN_BACK", SOME), "its amount is free for nobody"
    assert gateway.sendings == 1
    assert PaymentException.objects.get() == case, "nobody is told again"
    with pytest.raises(RefundGivenBack):
        refund_retry(actor=WANG, refund_id=refund.id, reason="再退一次")


def test_it_ends_when_the_write_off_is_taken_back():
    refund, gateway, case = unanswerable()
    write_off(case, is_confirmed=False)
    case_write_off_decide(actor=WANG, exception_id=case.id, is_confirmed=False, notes="没还")
    gateway.query = stage.says_nothing
    gateway.sweep_at(9000)
    assert state(refund) == ("failed", "STOPPED", ZERO)


@pytest.mark.parametrize("is_confirmed", [True, False], ids=["written off", "asked for"])
def test_what_went_back_both_ways_becomes_a_case(is_confirmed):
    refund, gateway, case = unanswerable()
    write_off(case, is_confirmed=is_confirmed)
    gateway.query = DONE
    gateway.sweep_at(9000)
    assert state(refund) == ("success", "", SOME)
    both = PaymentException.objects.get(closed_at=None)
    assert (both.kind, case_refund(both)) == ("refunded_twice", refund)


def test_surplus_money_that_was_written_off_is_not_given_back_by_a_later_policy(settings):
    settings.LATE_PAYMENT_POLICY = "hold"
    payment = stage.paid_late("wechat")
    write_off(PaymentException.objects.get(), is_confirmed=False)
    settings.LATE_PAYMENT_POLICY = "refund"
    assert (surplus_sweep(), surplus_refund_begin(payment.id, payment.order_id)) == (0, None)
    with pytest.raises(NoSurplus):
        surplus_return(actor=stage.REVIEWER, transaction_id=payment.id, reason="x")


# --- what comes again ----------------------------------------------------------------------------


def open_kinds() -> set[str]:
    return set(PaymentException.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_one_that_is_stopped_again_is_told_of_again():
    refund, gateway, _case = unanswerable()
    gateway.query = stage.says_nothing
    gateway.sweep_at(9000)
    with clock.frozen(BEGUN_AT + timedelta(seconds=9001)):
        refund_retry(actor=WANG, refund_id=refund.id, reason="账号已恢复")
    gateway.query = NO_ANSWER
    gateway.sweep_at(9002)
    stop(refund, at=9003)
    gateway.sweep_at(*range(9004, 12000, 180))
    again = PaymentException.objects.get(kind="stopped_refund", closed_at=None)
    assert case_refund(again) == refund
    gateway.query = DONE
    gateway.sweep_at(20000)
    assert state(refund)[0] == "success"
    assert open_kinds() == set(), "a success ends every one of its cases"


@pytest.mark.parametrize(("hours", "is_told"), [(23, False), (25, True)])
def test_one_whose_case_was_closed_by_hand_is_told_of_again_a_day_later(hours, is_told):
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway(refund=NO_ANSWER, query=NO_ANSWER)
    gateway.sweep_at(*range(0, 2500, 180))
    with clock.frozen(BEGUN_AT):
        case = PaymentException.objects.get(kind="stuck_refund")
        exception_close(actor=WANG, exception_id=case.id, resolution="已问网关")
    gateway.sweep_at(hours * 3600)
    assert (open_kinds() == {"stuck_refund"}) is is_told
    assert state(refund)[0] == "processing"
