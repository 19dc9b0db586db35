"""The cases that a person has to look at: opened, owned, acted upon, ended.

Whoever acts on a case that nobody owns owns it from then on, in the same unit; on a case that
somebody else owns nobody acts. So of two people at once one wins, and the other is told who.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from payments.errors import (
    ActionNotOffered,
    ExceptionClosed,
    ExceptionNotFound,
    ExceptionTaken,
    OwnCase,
    SelfConfirmation,
    WriteOffWaits,
)
from payments.events import case_announce
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.refund_marks import order_refunds_moved
from payments.states import (
    COMES_AGAIN,
    EXCEPTION_ACTIONS,
    ExceptionAction,
    ExceptionKind,
    ExceptionOutcome,
    PaymentMethod,
)
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor, gateway_actor
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.money import MONEY_MAX, ZERO, Money
from tcmpay.common.second_person import ensure_not_one_of

AUDIT_OBJECT = "payment_exception"
# Whoever closes a case of something that goes on is not told again for so long.
CLOSED_BY_HAND_FOR = timedelta(hours=24)
ENDINGS = {
    ExceptionOutcome.SETTLED: "exception_settled",
    ExceptionOutcome.MATCHED: "exception_matched",
    ExceptionOutcome.RECORDED: "exception_recorded",
    ExceptionOutcome.WRITTEN_OFF: "exception_written_off",
    ExceptionOutcome.CLOSED: "exception_closed",
}


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
    actor: Actor | None = None,
) -> bool:
    """Open a case for ``fact``, once however often it is told; whether staff did not know.

    What comes again (COMES_AGAIN) is another case, with a number. Inside the caller's unit.
    """
    if kind in COMES_AGAIN:
        if _about(still_told(kind), kind, method, fact):
            return False
        earlier = exceptions_about(kind, method, fact)
        fact = f"{fact}:{len(earlier)}"
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
        told = audit_record(
            object_type=AUDIT_OBJECT,
            object_id=case.id,
            action="exception_opened",
            actor=actor or gateway_actor(method),
            reason=reason,
            to_state="open",
            details={"kind": str(kind), "out_trade_no": out_trade_no},
            row=case,
        )
        case_announce(case, told)
    return is_new


def exceptions_about(kind: ExceptionKind, method: str, fact: str) -> list[PaymentException]:
    """The cases of one fact that comes again, the newest first; ended ones, too."""
    cases = PaymentException.objects.filter(kind=kind).order_by("-opened_at", "-id")
    return _about(cases, kind, method, fact)


def still_told(kind: ExceptionKind) -> QuerySet[PaymentException]:
    """The cases of what comes again that staff know of: open, or ended so that they still do."""
    lately = clock.now() - CLOSED_BY_HAND_FOR
    is_known = Q(outcome__in=COMES_AGAIN[kind]) & (
        ~Q(outcome=ExceptionOutcome.CLOSED) | Q(closed_at__gt=lately)
    )
    return PaymentException.objects.filter(Q(closed_at=None) | is_known, kind=kind)


def locked_first(cases: QuerySet[PaymentException]) -> PaymentException | None:
    """The oldest of ``cases``; all of them stay as they are until the end of the caller's unit."""
    return next(iter(cases.select_for_update().order_by("id")), None)


def _about(
    cases: QuerySet[PaymentException], kind: ExceptionKind, method: str, fact: str
) -> list[PaymentException]:
    """By the fact alone: which payment it belongs to may have been found out meanwhile."""
    key = _fact_key(kind, method, fact)
    cases = cases.filter(payment_method=method, fact_key__startswith=key)
    return [case for case in cases if case.subject == fact]


def exception_settle(
    *facts: tuple[ExceptionKind, UUID | str], method: str, resolution: str, actor: Actor
) -> None:
    """Close the open cases of facts that have settled themselves; inside the caller's unit."""
    keys = {_fact_key(kind, method, str(fact)) for kind, fact in facts}
    is_about = Q(fact_key__in=keys)
    for key in keys:
        is_about |= Q(fact_key__startswith=f"{key}:")
    # Looked up first: others' open cases are not waited for. SQLite's LIKE takes letters of the
    # other case for the same.
    near = PaymentException.objects.filter(is_about, closed_at=None)
    open_ids = [
        case_id
        for case_id, fact_key in near.values_list("id", "fact_key")
        if any(fact_key == key or fact_key.startswith(f"{key}:") for key in keys)
    ]
    open_cases = PaymentException.objects.filter(id__in=open_ids, closed_at=None)
    for case in open_cases.select_for_update().order_by("id"):
        exception_end(case, actor, resolution, ExceptionOutcome.SETTLED)


@money_unit
def exception_claim(*, actor: Actor, exception_id: UUID) -> PaymentException:
    """Make the case one's own. Raises ExceptionNotFound, ExceptionClosed, ExceptionTaken."""
    case = _lock(exception_id)
    _own(case, actor)
    return case


@money_unit
def exception_assign(*, actor: Actor, exception_id: UUID, owner_id: UUID) -> PaymentException:
    """Give the case to ``owner_id``, whoever owns it now. Whether ``actor`` may is the caller's
    to check. Raises ExceptionNotFound, ExceptionClosed.
    """
    case = _lock(exception_id)
    if case.owner_id != owner_id:
        _set_owner(case, owner_id, actor, "exception_assigned", {"owner": str(owner_id)})
    return case


@money_unit
def exception_release(*, actor: Actor, exception_id: UUID) -> PaymentException:
    """Give one's own case back to everybody. Raises ExceptionNotFound, ExceptionClosed,
    ExceptionTaken.
    """
    case = _lock(exception_id)
    if case.owner_id is None:
        return case
    if case.owner_id != actor.id:
        raise ExceptionTaken(owner=case.owner_id)
    _set_owner(case, None, actor, "exception_released", {})
    return case


@money_unit
def exception_begin(
    *, actor: Actor, exception_id: UUID, action: ExceptionAction, reason: str, **details: str
) -> PaymentException:
    """Note that ``actor`` now does ``action``, before anything outside is asked or moved.

    ``details`` say more of it for the trail, such as the order that was named.
    Raises ExceptionNotFound, ExceptionClosed, ExceptionTaken, WriteOffWaits, ActionNotOffered,
    OwnCase.
    """
    case = _lock(exception_id)
    _ensure_offered(case, action)
    ensure_not_own_case(actor, case)
    _own(case, actor)
    _audit(case, actor, "exception_action", reason, chosen=str(action), **details)
    return case


@money_unit
def exception_refusal_note(
    *, actor: Actor, exception_id: UUID, action: ExceptionAction, text: str, **details: str
) -> None:
    """Note that what exception_begin announced was refused, and why; the case stays as it is."""
    case = PaymentException.objects.select_for_update().get(id=exception_id)
    if case.closed_at is None:
        _audit(case, actor, "exception_action_refused", text, chosen=str(action), **details)


@money_unit
def exception_close(*, actor: Actor, exception_id: UUID, resolution: str) -> PaymentException:
    """Close a case that holds no money with what was done about it.

    Raises ExceptionNotFound, ExceptionClosed, ExceptionTaken, WriteOffWaits, ActionNotOffered,
    OwnCase.
    """
    return _end_by_hand(
        actor, exception_id, resolution, ExceptionAction.CLOSE, ExceptionOutcome.CLOSED
    )


@money_unit
def exception_record(*, actor: Actor, exception_id: UUID, resolution: str) -> PaymentException:
    """Take a bill's word for what moves no payer's money: a fee, another day.

    Raises ExceptionNotFound, ExceptionClosed, ExceptionTaken, WriteOffWaits, ActionNotOffered,
    OwnCase.
    """
    return _end_by_hand(
        actor, exception_id, resolution, ExceptionAction.RECORD, ExceptionOutcome.RECORDED
    )


def _end_by_hand(
    actor: Actor,
    exception_id: UUID,
    resolution: str,
    action: ExceptionAction,
    outcome: ExceptionOutcome,
) -> PaymentException:
    case = _lock(exception_id)
    _ensure_offered(case, action)
    ensure_not_own_case(actor, case)
    _own(case, actor)
    exception_end(case, actor, resolution, outcome)
    return case


@money_unit
def exception_write_off_ask(*, actor: Actor, exception_id: UUID, reason: str) -> PaymentException:
    """Ask that the case be written off; a second person confirms.

    Raises ExceptionNotFound, ExceptionClosed, ExceptionTaken, WriteOffWaits, ActionNotOffered,
    OwnCase.
    """
    case = _lock_with_order(exception_id)
    _ensure_offered(case, ExceptionAction.WRITE_OFF)
    ensure_not_own_case(actor, case)
    _own(case, actor)
    columns_write(case, **case.asking(actor, reason))
    _amounts_changed(case)
    _audit(case, actor, "exception_write_off_asked", reason)
    return case


def write_off_decide(
    *, actor: Actor, exception_id: UUID, is_confirmed: bool, notes: str
) -> PaymentException:
    """The second person's word: the case is written off, or goes on; inside the caller's unit,
    which books what that means for a refund.

    Whoever asked may take the request back, but never confirm it.
    Raises ExceptionNotFound, ExceptionClosed, ActionNotOffered, SelfConfirmation, OwnCase.
    """
    case = _lock_with_order(exception_id)
    if not case.is_waiting:
        raise ActionNotOffered()
    if not is_confirmed:
        columns_write(case, write_off_by=None, write_off_at=None, write_off_reason="")
        _amounts_changed(case)
        _audit(case, actor, "exception_write_off_declined", notes)
        return case
    case.ensure_may_answer(actor, decided=ActionNotOffered, own=SelfConfirmation)
    ensure_not_own_case(actor, case)
    resolution = "；".join(part for part in (case.write_off_reason, notes) if part)
    exception_end(case, actor, resolution, ExceptionOutcome.WRITTEN_OFF)
    _amounts_changed(case)
    return case


# --- inside a unit ------------------------------------------------------------------------------


def _lock_with_order(exception_id: UUID) -> PaymentException:
    """As ``_lock``, its order before it: orders are locked first, and its amounts will change."""
    order_ids = PaymentException.objects.filter(id=exception_id).values_list("order_id", flat=True)
    PaymentOrder.objects.select_for_update().filter(id=order_ids.first()).first()
    return _lock(exception_id)


def _amounts_changed(case: PaymentException) -> None:
    """What may be asked back of the case's order is another amount now."""
    if case.order_id is not None:
        order_refunds_moved(case.order_id)


def _lock(exception_id: UUID) -> PaymentException:
    case = PaymentException.objects.select_for_update().filter(id=exception_id).first()
    if case is None:
        raise ExceptionNotFound()
    if case.closed_at is not None:
        raise ExceptionClosed(closed_by=case.closed_by)
    return case


def _ensure_offered(case: PaymentException, action: ExceptionAction) -> None:
    if case.is_waiting:
        raise WriteOffWaits()
    if action not in EXCEPTION_ACTIONS.get(case.kind, (ExceptionAction.CLOSE,)):
        raise ActionNotOffered(action=action)


def ensure_not_own_case(actor: Actor, case: PaymentException) -> None:
    """``ensure_not_own_order`` of the case's order; what is left of a balance may have none, and
    names its user itself. Raises OwnCase.
    """
    ensure_not_own_order(actor, case.order)
    if case.kind == ExceptionKind.GIVE_BACK_LEFT:
        ensure_not_one_of(actor, left_owner(case), error=OwnCase)


def left_fact(user_id: UUID, request_id: UUID) -> str:
    """What a case of GIVE_BACK_LEFT is about: whose balance, and which request of it."""
    return f"{user_id}:{request_id}"


def left_owner(case: PaymentException) -> str:
    return case.fact.partition(":")[0]


def left_open(user_id: UUID) -> QuerySet[PaymentException]:
    """The open cases of what of the user's balance could not go back the way it came."""
    is_theirs = Q(order__user_id=user_id) | Q(
        fact_key__startswith=_fact_key(
            ExceptionKind.GIVE_BACK_LEFT, PaymentMethod.BALANCE, f"{user_id}:"
        )
    )
    return PaymentException.objects.filter(
        is_theirs, kind=ExceptionKind.GIVE_BACK_LEFT, closed_at=None
    )


def ensure_not_own_order(actor: Actor, order: PaymentOrder | None) -> None:
    """Nobody decides about money of an order that is their own, or that they made.

    Raises OwnCase.
    """
    if order is not None:
        ensure_not_one_of(actor, order.user_id, order.created_by, error=OwnCase)


def _own(case: PaymentException, actor: Actor) -> None:
    if case.owner_id is not None and case.owner_id != actor.id:
        raise ExceptionTaken(owner=case.owner_id)
    if case.owner_id is None:
        _set_owner(case, actor.id, actor, "exception_claimed", {})


def _set_owner(
    case: PaymentException,
    owner_id: UUID | None,
    actor: Actor,
    action: str,
    details: dict[str, str],
) -> None:
    columns_write(case, owner_id=owner_id, claimed_at=clock.now() if owner_id is not None else None)
    _audit(case, actor, action, "", **details)


def exception_end(
    case: PaymentException, actor: Actor, resolution: str, outcome: ExceptionOutcome
) -> None:
    """End the locked, open case; inside the caller's unit."""
    columns_write(case, outcome=outcome, **case.answering(actor, resolution))
    _audit(case, actor, ENDINGS[outcome], resolution)


def _audit(case: PaymentException, actor: Actor, action: str, reason: str, **details: str) -> None:
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=case.id,
        action=action,
        actor=actor,
        reason=reason,
        from_state="open",
        to_state="open" if case.closed_at is None else "closed",
        details=details,
        row=case,
    )


def _fact_key(kind: ExceptionKind, method: str, fact: str) -> str:
    return f"{kind}:{method}:{fact}"[:120]
