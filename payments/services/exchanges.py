"""Calling a gateway, and keeping for people what was asked and what came of it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from gateways.errors import GatewayError, GatewayRejected, GatewayUnknown
from gateways.interface import RefundReport, TradeReport
from payments.metrics import call_timed
from payments.models import GatewayExchange, PaymentTransaction
from payments.states import ExchangeKind, ExchangeOutcome
from tcmpay.audit.logs import log_append
from tcmpay.common import clock
from tcmpay.common.db import money_unit
from tcmpay.common.money import MONEY_MAX, ZERO, Money
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
    asked_at, started, told = clock.now(), time.monotonic(), None
    # What a fault of our own leaves behind: the gateway may have done it.
    outcome, word, message = ExchangeOutcome.UNKNOWN, "FAULT", ""
    try:
        answer = told = call()
    except GatewayError as error:
        outcome, word, message = _outcome(error), error.code, error.message
        raise
    else:
        outcome, word, message = ExchangeOutcome.ANSWERED, _word(answer), ""
        return answer
    finally:
        exchange = _exchange(
            question,
            told,
            outcome=outcome,
            answer=word[:64],
            message=message[:300],
            asked_at=asked_at,
            took_ms=round((time.monotonic() - started) * 1000),
        )
        call_timed(exchange)
        _keep(exchange)


def answer_keep(question: Question, told: TradeReport, *, asked_at: datetime) -> None:
    """Keep the answer that made us open the attempt that it is about: there was none to ask about.

    Inside the caller's unit, after its locks. The time that it took is not known.
    """
    answered = {"outcome": ExchangeOutcome.ANSWERED, "answer": _word(told)[:64]}
    log_append(_exchange(question, told, asked_at=asked_at, **answered))


def _exchange(question: Question, told: object, **other: Any) -> GatewayExchange:
    return GatewayExchange(
        transaction=question.transaction,
        refund_id=question.refund_id,
        kind=question.kind,
        external_id=_number(told)[:64],
        amount=_amount(told),
        request_id=current_request_id(),
        **other,
    )


def _keep(exchange: GatewayExchange) -> None:
    """The log of a call must not decide what becomes of the money: without it, we go on."""
    try:
        _append(exchange)
    except Exception:
        # Whatever it is, the gateway's answer is worth more than its line in the log.
        logger.exception("exchange_not_kept", extra={"kind": str(exchange.kind)})


@money_unit
def _append(exchange: GatewayExchange) -> None:
    log_append(exchange)


def _outcome(error: GatewayError) -> ExchangeOutcome:
    if isinstance(error, GatewayRejected):
        return ExchangeOutcome.REJECTED
    if isinstance(error, GatewayUnknown):
        return ExchangeOutcome.UNKNOWN
    return ExchangeOutcome.UNTRUSTED


def _number(told: object) -> str:
    """The gateway's number of the payment or refund that a report tells of."""
    number = told.refund_id if isinstance(told, RefundReport) else ""
    return told.transaction_id if isinstance(told, TradeReport) else number


def _amount(told: object) -> Money | None:
    amount = told.amount if isinstance(told, TradeReport | RefundReport) else None
    return amount if amount is not None and ZERO <= amount <= MONEY_MAX else None


def _word(answer: object) -> str:
    """The state that a report tells of; an answer without one is its own word, or none."""
    state = getattr(answer, "state", answer)
    return state if isinstance(state, str) else ""
