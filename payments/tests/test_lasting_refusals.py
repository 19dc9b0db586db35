"""When refusals last, what staff are told, and what is due when they are over."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from payments.models import GatewayExchange, PaymentException, PaymentTransaction
from payments.services.lasting_refusals import (
    LASTING_AFTER,
    LASTING_COUNT,
    LOOK_BACK,
    UNVERIFIED,
    Cause,
    cause_case_open,
    refused_since_the_last_answer,
)
from payments.services.silence import gateways_silent_report, silent_methods
from payments.states import QUESTIONS, ExceptionKind, ExchangeKind, ExchangeOutcome
from tcmpay.common import clock
from tests.clinic import started_attempt

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
REFUSED, ANSWERED, UNKNOWN = (
    ExchangeOutcome.REJECTED,
    ExchangeOutcome.ANSWERED,
    ExchangeOutcome.UNKNOWN,
)


@pytest.fixture(autouse=True)
def _now(settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    with clock.frozen(clock.now()):
        yield


@pytest.fixture
def attempt() -> PaymentTransaction:
    return started_attempt()


def asked(
    attempt: PaymentTransaction,
    ago: Iterable[timedelta],
    outcome: ExchangeOutcome = REFUSED,
    answer: str = "SIGN_ERROR",
    kind: ExchangeKind = ExchangeKind.QUERY,
) -> None:
    GatewayExchange.objects.filter(transaction=attempt, asked_at=None).delete()
    for one in ago:
        GatewayExchange.objects.create(
            transaction=attempt,
            kind=kind,
            outcome=outcome,
            answer=answer,
            message="签名错误",
            asked_at=clock.now() - one,
        )


def evenly(count: int, over: timedelta) -> list[timedelta]:
    return [over * index / (count - 1) for index in range(count)]


def test_so_many_refusals_over_so_long_are_a_case(attempt):
    asked(attempt, evenly(LASTING_COUNT, LASTING_AFTER))
    assert gateways_silent_report() == 1
    case = PaymentException.objects.get(kind="gateway_silent")
    assert case.payment_method == "wechat"
    assert "SIGN_ERROR 签名错误" in case.reason
    assert "核对商户私钥" in case.reason
    assert silent_methods() == ["wechat"]
    assert gateways_silent_report() == 0  # told once


@pytest.mark.parametrize(
    ("count", "over"),
    [(LASTING_COUNT - 1, LASTING_AFTER), (LASTING_COUNT, LASTING_AFTER - SECOND)],
    ids=["too few", "too short"],
)
def test_fewer_or_sooner_are_none(attempt, count, over):
    asked(attempt, evenly(count, over))
    assert gateways_silent_report() == 0
    assert silent_methods() == []


@pytest.mark.parametrize("answer", UNVERIFIED)
def test_answers_that_nobody_can_believe_count_as_refusals(attempt, answer):
    asked(attempt, evenly(LASTING_COUNT, LASTING_AFTER), UNKNOWN, answer)
    assert gateways_silent_report() == 1


def test_no_answer_at_all_does_not(attempt):
    asked(attempt, evenly(LASTING_COUNT, LASTING_AFTER), UNKNOWN, "TRANSPORT")
    assert gateways_silent_report() == 0


def test_an_answer_to_the_same_kind_of_call_ends_what_was_before_it(attempt):
    asked(attempt, [3 * SECOND])
    asked(attempt, [2 * SECOND], ANSWERED, "unpaid")
    assert refused_since_the_last_answer(QUESTIONS) == {}
    asked(attempt, [SECOND])
    [told] = refused_since_the_last_answer(QUESTIONS).values()
    assert [one.asked_at for one in told] == [clock.now() - SECOND]


def test_an_answer_to_another_kind_of_call_or_by_another_gateway_ends_nothing(attempt):
    asked(attempt, [3 * SECOND])
    asked(attempt, [2 * SECOND], ANSWERED, "closed", ExchangeKind.CLOSE)
    asked(started_attempt("alipay"), [2 * SECOND], ANSWERED, "unpaid")
    assert list(refused_since_the_last_answer(QUESTIONS)) == [Cause("wechat", "SIGN_ERROR")]


def test_what_is_long_ago_is_forgotten(attempt):
    asked(attempt, [LOOK_BACK + SECOND])
    assert refused_since_the_last_answer(QUESTIONS) == {}
    asked(attempt, [LOOK_BACK])
    assert list(refused_since_the_last_answer(QUESTIONS)) == [Cause("wechat", "SIGN_ERROR")]


def waiting(method: str = "wechat", code: str | None = "SIGN_ERROR") -> PaymentTransaction:
    attempt = started_attempt(method)
    later = clock.now() + timedelta(minutes=5)
    rows = PaymentTransaction.objects.filter(id=attempt.id)
    rows.update(error_code=code, next_check_at=later)
    return attempt


def due() -> set[object]:
    rows = PaymentTransaction.objects.filter(next_check_at__lte=clock.now())
    return set(rows.values_list("id", flat=True))


def test_when_it_is_over_the_case_ends_and_all_that_waited_is_due():
    both = {waiting().id, waiting().id}
    waiting("alipay")
    waiting(code=None)
    cause_case_open(ExceptionKind.GATEWAY_SILENT, Cause("wechat", "SIGN_ERROR"), reason="不再回答")
    assert gateways_silent_report() == 1
    case = PaymentException.objects.get(kind="gateway_silent")
    assert (case.outcome, case.closed_at) == ("settled", clock.now())
    assert due() == both
    assert gateways_silent_report() == 0


def test_while_it_lasts_one_is_asked_about_the_one_that_is_due_first():
    attempt = waiting()
    first = waiting()
    soon = clock.now() + SECOND
    PaymentTransaction.objects.filter(id=first.id).update(next_check_at=soon)
    asked(attempt, evenly(LASTING_COUNT, LASTING_AFTER))
    assert gateways_silent_report() == 1
    assert due() == {first.id}


def test_what_begins_and_what_ends_are_counted_together(attempt):
    cause_case_open(ExceptionKind.GATEWAY_SILENT, Cause("alipay", "40002"), reason="不再回答")
    asked(attempt, evenly(LASTING_COUNT, LASTING_AFTER))
    assert gateways_silent_report() == 2
