"""Each call to a gateway leaves a line, however it ends."""

import pytest

from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted
from payments.models import GatewayExchange
from payments.services.exchanges import Question, ask
from payments.states import ExchangeKind, ExchangeOutcome
from tests.clinic import started_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def mock_gateways(settings):
    settings.MOCK_CALLBACKS = True


@pytest.mark.parametrize(
    ("error", "outcome", "word"),
    [
        (GatewayRejected("no", code="NO_AUTH"), ExchangeOutcome.REJECTED, "NO_AUTH"),
        (GatewayUnknown("silent", code="TRANSPORT"), ExchangeOutcome.UNKNOWN, "TRANSPORT"),
        (GatewayUntrusted("forged", code="BAD"), ExchangeOutcome.UNTRUSTED, "BAD"),
        (ZeroDivisionError("a fault of ours"), ExchangeOutcome.UNKNOWN, "FAULT"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_call_that_fails_is_kept_and_its_own_error_is_raised(error, outcome, word):
    attempt = started_attempt()

    def call():
        raise error

    with pytest.raises(type(error)) as raised:
        ask(Question(ExchangeKind.QUERY, attempt), call)
    assert raised.value is error
    kept = GatewayExchange.objects.filter(kind=ExchangeKind.QUERY).get()
    assert (kept.outcome, kept.answer) == (outcome, word)
