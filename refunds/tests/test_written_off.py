"""A case of a refund that staff wrote off says that its money went back by another way, or is not
owed any more: no door sends that refund again, and what the gateway proves is booked all the same.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.models import PaymentException
from payments.services.exceptions import exception_open
from payments.states import ExceptionKind
from refunds.bulk_plan import Wanted, plan_of
from refunds.errors import MoneyGivenBack, RefundExceedsPaid, RefundGivenBack
from refunds.invariants import check_unfinished
from refunds.models import Refund
from refunds.services.cases import case_give_back, case_refund, case_retry, case_write_off_decide
from refunds.services.notices import notices_take
from refunds.services.own_cases import refund_case_open
from refunds.services.requests import refund_request, refund_review
from refunds.services.retries import refund_ask_again, refund_retry
from refunds.services.stopping import refund_stop
from refunds.services.submission import refund_submit
from refunds.services.surplus import surplus_sweep
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME, WANG, Gateway, write_off
from tcmpay.common import clock
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import Scope
from tcmpay.common.money import ZERO
from tests.api.kit import nothing_moves

pytestmark = pytest.mark.django_db

Answer = Callable[[RefundRequest], RefundReport]
DONE = stage.says(RefundState.SUCCESS)
CLOSED = stage.says(RefundState.CLOSED)
ABNORMAL = stage.says(RefundState.ABNORMAL)
REFUSED = stage.fails(GatewayRejected("no", code="TRADE_ERROR", reason=RejectReason.OTHER))
both_stages = pytest.mark.parametrize("is_confirmed", [True, False], ids=["written off", "asked"])


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.REFUND_SECOND_APPROVAL_OVER = None
    with clock.frozen(BEGUN_AT):
        yield


def case_of(kind: str) -> PaymentException:
    return PaymentException.objects.get(kind=kind, closed_at=None)


def state(refund: Refund) -> tuple[object, ...]:
    refund.refresh_from_db()
    refund.transaction.refresh_from_db()
    return refund.status, refund.error_code, refund.transaction.refund_reserved


def retry(refund: Refund) -> Refund:
    return refund_retry(actor=WANG, refund_id=refund.id, reason="再退一次")


@both_stages
def test_a_refused_one_is_not_retried(is_confirmed):
    refund = stage.failed(stage.paid("wechat"))
    write_off(case_of("refund_refused"), is_confirmed=is_confirmed)
    with pytest.raises(RefundGivenBack) as refusal:
        retry(refund)
    assert "余额调整" in str(refusal.value.text), "it says what to do"
    assert state(refund) == ("failed", "TRADE_ERROR", ZERO)


def test_it_is_retried_once_the_write_off_is_taken_back():
    refund = stage.failed(stage.paid("wechat"))
    case = case_of("refund_refused")
    write_off(case, is_confirmed=False)
    case_write_off_decide(actor=WANG, exception_id=case.id, is_confirmed=False, notes="没还")
    assert retry(refund).status == "processing"


def test_the_write_off_of_another_refund_of_the_same_payment_hinders_nobody():
    payment = stage.paid("wechat")
    stage.failed(payment)
    write_off(case_of("refund_refused"))
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        other = stage.failed(payment)
    assert retry(other).status == "processing"


@pytest.mark.parametrize("written_off", ["refund_refused", "late_payment"])
@both_stages
def test_surplus_money_does_not_go_by_any_door(written_off, is_confirmed):
    payment = stage.paid_late("alipay")
    surplus_sweep()
    gateway = Gateway(refund=REFUSED)
    gateway.sweep_at(0, 60, 120)
    refund = Refund.objects.get()
    assert (refund.status, gateway.sendings) == ("failed", 1)
    write_off(case_of(written_off), is_confirmed=is_confirmed)
    with pytest.raises(RefundGivenBack):
        retry(refund)
    is_late = written_off == "late_payment"
    other = case_of("refund_refused" if is_late else "late_payment")
    with pytest.raises(RefundGivenBack):
        (case_retry if is_late else case_give_back)(
            actor=stage.REVIEWER, exception_id=other.id, reason="退"
        )
    gateway.sweep_at(4000, 90000)
    assert gateway.sendings == 1
    payment.refresh_from_db()
    assert payment.refund_reserved == ZERO


@pytest.mark.parametrize("then", [stage.says_nothing, CLOSED], ids=["unknown", "closed"])
@both_stages
def test_one_that_can_not_reach_its_payer_is_neither_sent_nor_freed(then, is_confirmed):
    refund = stage.unsent(stage.paid("wechat"))
    gateway = Gateway(refund=ABNORMAL, query=ABNORMAL)
    gateway.sweep_at(0)
    write_off(case_of("refund_abnormal"), is_confirmed=is_confirmed)
    gateway.query = then
    gateway.sweep_at(*range(100, 400000, 20000))
    assert state(refund) == ("processing", "GIVEN_BACK", SOME)
    assert gateway.sendings == 1


def test_one_that_was_written_off_between_its_retry_and_its_sending_is_not_sent():
    payment = stage.paid("wechat")
    refund = stage.closed(payment)
    case = case_of("refund_refused")
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        retry(refund)
        write_off(case)
    gateway = Gateway(refund=DONE)
    gateway.sweep_at(4000, 8000)
    assert (gateway.sendings, state(refund)) == (0, ("processing", "GIVEN_BACK", SOME))


@both_stages
def test_proof_that_it_went_back_after_all_is_booked_with_a_case(is_confirmed):
    payment = stage.paid("wechat")
    refund = stage.failed(payment)
    write_off(case_of("refund_refused"), is_confirmed=is_confirmed)
    stage.noticed(payment, refund.refund_no, RefundState.SUCCESS)
    assert notices_take() == 1
    assert state(refund) == ("success", "", SOME)
    twice = case_of("refunded_twice")
    assert case_refund(twice) == refund


@pytest.mark.parametrize("kind", ["stuck_refund", "unbooked_refund", "outside_refund"])
def test_a_case_that_does_not_say_so_hinders_no_retry(kind):
    refund = stage.failed(stage.paid("wechat"))
    opened = money_unit(refund_case_open)
    opened(ExceptionKind(kind), refund, refund.transaction, "x")
    PaymentException.objects.filter(kind=kind).update(write_off_by=WANG.id)
    assert retry(refund).status == "processing"
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        assert refund_submit(refund_id=refund.id)


# --- a new request instead ------------------------------------------------------------------------


def failed_of(amount: Decimal) -> Refund:
    """A refund of ``amount`` (yuan) of a payment of 30 that the gateway refused."""
    payment = stage.paid("wechat")
    refund = refund_request(
        actor=stage.PLATFORM, order_id=payment.order_id, amount=amount, reason="x"
    )
    refund_review(actor=stage.REVIEWER, refund_id=refund.id, is_approved=True, notes="")
    Gateway(refund=REFUSED).sweep_at(0, 60, 120, 800)
    assert state(refund)[0] == "failed"
    return refund


def ask(refund: Refund, amount: str) -> Refund:
    return refund_request(
        actor=stage.PLATFORM, order_id=refund.order_id, amount=Decimal(amount), reason="again"
    )


@both_stages
def test_its_money_is_not_asked_back_by_a_new_request(is_confirmed):
    refund = failed_of(stage.ALL)
    write_off(case_of("refund_refused"), is_confirmed=is_confirmed)
    with pytest.raises(MoneyGivenBack) as refusal:
        ask(refund, "0.01")
    assert refusal.value.facts["available"] == ZERO
    assert Refund.objects.count() == 1


@both_stages
def test_a_request_that_waited_meanwhile_is_not_approved_with_its_money(is_confirmed):
    refund = failed_of(Decimal("20.00"))
    waiting = ask(refund, "20.00")
    write_off(case_of("refund_refused"), is_confirmed=is_confirmed)
    with nothing_moves(), pytest.raises(MoneyGivenBack):
        refund_review(actor=WANG, refund_id=waiting.id, is_approved=True, notes="同意")
    refund_review(actor=WANG, refund_id=waiting.id, is_approved=False, notes="已另行退还")
    assert state(waiting)[0] == "cancelled"


def test_a_request_within_what_is_left_beside_it_is_approved():
    refund = failed_of(Decimal("20.00"))
    waiting = ask(refund, "10.00")
    write_off(case_of("refund_refused"))
    refund_review(actor=WANG, refund_id=waiting.id, is_approved=True, notes="同意")
    assert state(waiting)[0] == "processing"


def test_what_is_left_beside_it_is_asked_back():
    refund = failed_of(SOME)
    write_off(case_of("refund_refused"))
    with pytest.raises(MoneyGivenBack):
        ask(refund, "20.01")
    with pytest.raises(RefundExceedsPaid, match="REFUND_EXCEEDS_PAID"):
        ask(refund, "30.01")
    ask(refund, "20.00")


def test_another_refund_that_failed_is_not_retried_with_its_money():
    first = failed_of(Decimal("20.00"))
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        other = ask(first, "20.00")
        refund_review(actor=stage.REVIEWER, refund_id=other.id, is_approved=True, notes="")
    Gateway(refund=REFUSED).sweep_at(4000, 4100, 4800)
    write_off(PaymentException.objects.get(fact_key__contains=first.id))
    with pytest.raises(MoneyGivenBack):
        retry(other)


@both_stages
def test_a_bulk_passes_it_over_and_says_why(is_confirmed):
    whole, part = failed_of(stage.ALL), failed_of(SOME)
    for case in PaymentException.objects.all():
        write_off(case, is_confirmed=is_confirmed)
    rows = [Wanted(str(whole.order_id)), Wanted(str(part.order_id))]
    first, second = plan_of(rows).rows
    assert (first.code, second.code, second.amount) == ("REFUND_GIVEN_BACK", "", Decimal("20.00"))
    assert "另行退还" in first.refusal
    beyond = Wanted(str(part.order_id), Decimal("20.01"))
    assert plan_of([beyond]).rows[0].code == "REFUND_GIVEN_BACK"


# --- one that stays in progress ------------------------------------------------------------------


def still_going(kind: str) -> Refund:
    """In progress for good: one that can't reach its payer, or that nobody can ask about."""
    refund = stage.unsent(stage.paid("wechat"))
    if kind == "refund_abnormal":
        Gateway(refund=ABNORMAL).sweep_at(0)
    else:
        gateway = Gateway(refund=stage.NO_ANSWER, query=stage.NO_ANSWER)
        gateway.sweep_at(0)
        with clock.frozen(BEGUN_AT + timedelta(seconds=1)):
            refund_stop(actor=stage.REVIEWER, refund_id=refund.id, reason="账号已停用")
        gateway.sweep_at(*range(2, 2400, 60))
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        write_off(case_of(kind))
    return refund


def asked_within(days: int, answer: Answer) -> list[datetime]:
    """When the gateway was asked about it, swept whenever something is due."""
    asked: list[datetime] = []

    def query(request: RefundRequest) -> RefundReport:
        asked.append(clock.now())
        return answer(request)

    gateway = Gateway(query=query)
    end = BEGUN_AT + timedelta(days=days)
    while (due := Refund.objects.get().next_check_at) is not None and due <= end:
        gateway.sweep_at(max((due - BEGUN_AT).total_seconds(), 3600) + 1)
        assert Refund.objects.get().next_check_at != due
    assert gateway.sendings == 0
    return asked


each_kind = pytest.mark.parametrize("kind", ["refund_abnormal", "stopped_refund"])


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("refund_abnormal", ABNORMAL),
        ("refund_abnormal", stage.FORBIDDEN),
        ("stopped_refund", stage.says_nothing),
        ("stopped_refund", CLOSED),
        ("stopped_refund", stage.NO_ANSWER),
    ],
)
def test_it_is_asked_about_once_a_day_at_most_and_ever_more_rarely(kind, answer):
    refund = still_going(kind)
    asked = asked_within(100, answer)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert 5 < len(asked) < 10
    assert min(gaps) >= timedelta(days=1)
    assert gaps == sorted(gaps)
    assert state(refund)[0::2] == ("processing", SOME)
    assert PaymentException.objects.filter(closed_at=None).count() == 0, "nobody is told again"


@each_kind
def test_the_audit_says_what_it_is(kind):
    refund = still_going(kind)
    asked_within(100, stage.says_nothing)
    with clock.frozen(BEGUN_AT + timedelta(days=100)):
        [found] = check_unfinished(Scope())
    assert (found.object_id, found.is_notice) == (str(refund.id), True)
    assert "已核销" in str(found.message)


def test_it_does_not_tell_whether_a_silent_gateway_answers_again():
    """That one refund would be asked about in every sweep, as long as the gateway is silent."""
    refund = still_going("stopped_refund")
    with clock.frozen(BEGUN_AT + timedelta(hours=2)):
        open_silence = money_unit(exception_open)
        open_silence(ExceptionKind.GATEWAY_SILENT, method="wechat", fact="NO_AUTH")
    gateway = Gateway(query=stage.FORBIDDEN)
    gateway.sweep_at(7200)
    refund.refresh_from_db()
    before = refund.next_check_at
    gateway.sweep_at(*range(7260, 8000, 60))
    refund.refresh_from_db()
    assert refund.next_check_at == before


def test_staff_may_ask_about_it_at_any_time():
    refund = still_going("stopped_refund")
    asked_within(3, stage.says_nothing)
    with clock.frozen(BEGUN_AT + timedelta(days=3)):
        refund_ask_again(actor=WANG, refund_id=refund.id, reason="网关已恢复")
    Gateway(query=DONE).sweep_at(3 * 86400 + 5)
    assert state(refund)[0] == "success"
    assert case_of("refunded_twice")
