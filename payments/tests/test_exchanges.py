"""Each call to a gateway leaves a line, however it ends."""

from unittest.mock import patch

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted
from payments.models import GatewayExchange
from payments.services.exchanges import Question, ask
from payments.states import ExchangeKind, ExchangeOutcome
from tcmpay.common.transitions import LostUpdate
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


@pytest.mark.parametrize(
    "fault",
    [LostUpdate("a head"), ImproperlyConfigured("no key"), DatabaseError("gone")],
    ids=lambda value: type(value).__name__,
)
def test_a_line_that_can_not_be_kept_costs_no_answer(fault):
    attempt = started_attempt()
    with patch("payments.services.exchanges.log_append", side_effect=fault):
        assert ask(Question(ExchangeKind.QUERY, attempt), lambda: "answer") == "answer"
    assert not GatewayExchange.objects.filter(kind=ExchangeKind.QUERY).exists()
