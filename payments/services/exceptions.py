"""Opening and closing the cases that a person has to look at."""

from uuid import UUID

from payments.errors import ExceptionClosed, ExceptionNotFound
from payments.models import PaymentException, PaymentTransaction
from payments.states import ExceptionKind
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor, gateway_actor
from tcmpay.common.db import money_unit
from tcmpay.common.money import MONEY_MAX, ZERO, Money

AUDIT_OBJECT = "payment_exception"


def exception_open(
    kind: ExceptionKind,
    *,
    method: str,
    fact: str,
    attempt: PaymentTransaction | None = None,
    out_trade_no: str = "",
    external_transaction_id: str = "",
    amount: Money | None = None,
    reason: str = "",
) -> None:
    """Open a case for ``fact``, once however often it is told; inside the caller's unit."""
    is_shown = amount is not None and ZERO <= amount <= MONEY_MAX
    case, is_new = PaymentException.objects.get_or_create(
        fact_key=_fact_key(kind, method, fact),
        defaults={
            "kind": kind,
            "payment_method": method,
            "order_id": attempt.order_id if attempt else None,
            "transaction": attempt,
            "out_trade_no": out_trade_no[:64],
            "external_transaction_id": external_transaction_id[:64],
            "amount": amount if is_shown else None,
            "reason": reason[:500],
            "opened_at": clock.now(),
        },
    )
    if is_new:
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=case.id,
            action="exception_opened",
            actor=gateway_actor(method),
            reason=reason,
            to_state="open",
            details={"kind": str(kind), "out_trade_no": out_trade_no},
        )


def exception_settle(
    kind: ExceptionKind, *, method: str, fact: str, resolution: str, actor: Actor
) -> None:
    """Close the open case of a fact that has settled itself; inside the caller's unit."""
    case = (
        PaymentException.objects.select_for_update()
        .filter(fact_key=_fact_key(kind, method, fact), closed_at=None)
        .first()
    )
    if case is not None:
        _close(case, actor, resolution)


@money_unit
def exception_close(*, actor: Actor, exception_id: UUID, resolution: str) -> PaymentException:
    """Close a case with what was done about it. Raises ExceptionNotFound, ExceptionClosed."""
    case = PaymentException.objects.select_for_update().filter(id=exception_id).first()
    if case is None:
        raise ExceptionNotFound()
    if case.closed_at is not None:
        raise ExceptionClosed(closed_by=case.closed_by)
    _close(case, actor, resolution)
    return case


def _close(case: PaymentException, actor: Actor, resolution: str) -> None:
    case.closed_at, case.closed_by, case.resolution = clock.now(), actor.id, resolution[:500]
    case.save(update_fields=["closed_at", "closed_by", "resolution"])
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=case.id,
        action="exception_closed",
        actor=actor,
        reason=resolution,
        from_state="open",
        to_state="closed",
    )


def _fact_key(kind: ExceptionKind, method: str, fact: str) -> str:
    return f"{kind}:{method}:{fact}"[:120]
