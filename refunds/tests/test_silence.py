"""What was asked in vain is due at once when its gateway answers again: once, and nothing else."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from payments.models import GatewayExchange, PaymentException
from payments.services.lasting_refusals import Cause, cause_case_open, cause_case_settle
from payments.services.silence import RECOVERED_FOR
from payments.states import ExceptionKind, ExchangeKind, ExchangeOutcome
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.services.silence import refunds_hurry_after_silence
from refunds.services.submission import refunds_sweep
from refunds.states import ABNORMAL
from refunds.tests.stage import ends_before_the_first_write
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_id
from tests.clinic import report_paid, started_attempt

pytestmark = pytest.mark.django_db
ADMIN = Actor(new_id(), Role.ADMIN)
LATER = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _now(settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    with clock.frozen(clock.now()):
        yield


def in_doubt(method: str = "wechat", code: str = "TRANSPORT", later: timedelta = LATER) -> Refund:
    attempt = started_attempt(method)
    report_paid(attempt)
    owner = Actor(attempt.order.user_id, Role.PATIENT)
    refund = refund_request(
        actor=owner, order_id=attempt.order_id, amount=Decimal("4.00"), reason="退号"
    )
    refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")
    Refund.objects.filter(id=refund.id).update(
        error_code=code, next_check_at=clock.now() + later, submissions=3
    )
    return refund


def silence(method: str = "wechat", code: str = "SIGN_ERROR") -> PaymentException:
    cause_case_open(ExceptionKind.GATEWAY_SILENT, Cause(method, code), reason="不再回答")
    return PaymentException.objects.get(kind="gateway_silent", payment_method=method)


@money_unit
def over(case: PaymentException) -> None:
    assert cause_case_settle(case, "已恢复")


def due() -> set[object]:
    refunds_hurry_after_silence()
    return set(Refund.objects.filter(next_check_at__lte=clock.now()).values_list("id", flat=True))


def test_while_it_is_silent_one_is_asked_about_the_one_that_is_due_first():
    in_doubt()
    first = in_doubt(later=LATER / 2)
    in_doubt("alipay", later=LATER / 4)
    silence()
    assert due() == {first.id}


def test_when_it_answers_again_all_that_waited_for_it_is_due():
    waiting = {in_doubt().id, in_doubt().id}
    in_doubt("alipay")
    in_doubt(code="")
    in_doubt(code=ABNORMAL)
    over(silence())
    assert due() == waiting


def test_what_ended_meanwhile_is_never_due():
    ended, other = in_doubt(), in_doubt()
    over(silence())
    with ends_before_the_first_write(ended):
        assert due() == {other.id}


def test_a_long_time_after_nothing_is_hurried_any_more():
    over(silence())
    with clock.frozen(clock.now() + RECOVERED_FOR):
        in_doubt()
        assert due() == set()
    with clock.frozen(clock.now() + RECOVERED_FOR - timedelta(seconds=1)):
        assert due() == set(Refund.objects.values_list("id", flat=True))


def test_what_was_asked_about_since_has_its_own_pace():
    asked, other = in_doubt(), in_doubt()
    over(silence())
    GatewayExchange.objects.create(
        transaction_id=asked.transaction_id,
        refund_id=asked.id,
        kind=ExchangeKind.QUERY_REFUND,
        outcome=ExchangeOutcome.UNKNOWN,
        asked_at=clock.now(),
    )
    assert due() == {other.id}


def test_a_case_that_staff_closed_says_nothing_about_the_gateway():
    in_doubt()
    PaymentException.objects.filter(id=silence().id).update(
        closed_at=clock.now(), outcome="closed", closed_by=F("id")
    )
    assert due() == set()


def test_the_sweep_asks_about_what_is_hurried():
    in_doubt()
    assert refunds_sweep() == 0
    over(silence())
    assert refunds_sweep() == 1
