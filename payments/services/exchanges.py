"""Calling a gateway, and keeping for people what was asked and what came of it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db import DatabaseError

from gateways.errors import GatewayError, GatewayRejected, GatewayUnknown
from payments.models import GatewayExchange, PaymentTransaction
from payments.states import ExchangeKind, ExchangeOutcome
from tcmpay.common import clock
from tcmpay.common.request_id import current_request_id

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Question:
    """What a gateway is asked, and about which attempt or refund."""

    kind: ExchangeKind
    transaction: PaymentTransaction
    refund_id: UUID | None = None


def ask(question: Question, call: Callable[[], Answer]) -> Answer:
    """The answer of ``call``, with the exchange kept; no transaction is open here.

    Raises whatever ``call`` raises, with that kept, too.
    """
    asked_at, started = clock.now(), time.monotonic()
    try:
        answer = call()
    except GatewayError as error:
        outcome, word, message = _outcome(error), error.code, error.message
        raise
    else:
        outcome, word, message = ExchangeOutcome.ANSWERED, _word(answer), ""
        return answer
    finally:
        exchange = GatewayExchange(
            transaction=question.transaction,
            refund_id=question.refund_id,
            kind=question.kind,
            outcome=outcome,
            answer=word[:64],
            message=message[:300],
            asked_at=asked_at,
            took_ms=round((time.monotonic() - started) * 1000),
            request_id=current_request_id(),
        )
        _keep(exchange)


def _keep(exchange: GatewayExchange) -> None:
    """The log of a call must not decide what becomes of the money: without it, we go on."""
    try:
        exchange.save(force_insert=True)
    except DatabaseError:
        logger.exception("exchange_not_kept", extra={"kind": str(exchange.kind)})


def _outcome(error: GatewayError) -> ExchangeOutcome:
    if isinstance(error, GatewayRejected):
        return ExchangeOutcome.REJECTED
    if isinstance(error, GatewayUnknown):
        return ExchangeOutcome.UNKNOWN
    return ExchangeOutcome.UNTRUSTED


def _word(answer: object) -> str:
    """The state that a report tells of; an answer without one is its own word, or none."""
    state = getattr(answer, "state", answer)
    return state if isinstance(state, str) else ""
