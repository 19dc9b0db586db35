"""Closing business days: one person puts the figures forward, another one signs them.

What is signed covers the figures, the bills' hashes, the trail's newest roots, both people and the
signature of the day before, under the key of the audit's chains. From then on nothing counts in
that day any more (payments' closed days). Opening it again needs two people too and keeps what was
signed; days open again the newest first.

Locks: reopening, close, then the watermark, under which figures and what stands in the way are
looked at once more.
"""

from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import Max

from payments.services.closed_days import closed_through, day_close, day_reopen, watermark_lock
from reconciliation.closing_errors import (
    CloseDecided,
    CloseNotFound,
    CloseWaits,
    DayNotClosable,
    FiguresChanged,
    NobodyKnown,
    NotNewestClosedDay,
    OwnClose,
    OwnReopening,
    ReasonMissing,
    ReopeningDecided,
    ReopeningNotFound,
    ReopeningWaits,
)
from reconciliation.figures import Figures, bills_of_day, close_of, figures_of_day
from reconciliation.models import DailyClose, DayReopening
from reconciliation.stand import blocks
from reconciliation.states import (
    CLOSE_TRANSITIONS,
    REOPENING_TRANSITIONS,
    CloseStatus,
    ReopeningStatus,
)
from tcmpay.audit.macs import Verdict, canonical, chain_mac, chain_mac_verdict
from tcmpay.audit.models import ChainRoot
from tcmpay.audit.transitions import Cause, row_insert, transition
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import money_unit
from tcmpay.common.second_person import ensure_somebody_else

MAC_KIND = "daily_close"
Bills = list[dict[str, str]]


@money_unit
def close_propose(*, actor: Actor, day: date, notes: str = "") -> DailyClose:
    """Put the figures of ``day`` forward for a second person's signature.

    A proposal whose figures are not those of now any more gives way to the new one.
    Raises NobodyKnown, DayNotClosable (with what stands in the way), CloseWaits.
    """
    ensure_somebody_else(actor, error=NobodyKnown)
    waiting = DailyClose.objects.select_for_update().filter(waiting_day=day).first()
    watermark_lock()
    figures, bills = _looked_at(day)
    if waiting is None and DailyClose.objects.filter(waiting_day=day).exists():
        raise CloseWaits()  # somebody was quicker to the watermark
    if waiting is not None:
        if (waiting.figures, waiting.bills) == (figures, bills):
            raise CloseWaits()
        _end(waiting, CloseStatus.WITHDRAWN, actor, "figures changed")
    close = DailyClose(
        day=day,
        version=(DailyClose.objects.filter(day=day).aggregate(top=Max("version"))["top"] or 0) + 1,
        figures=figures,
        bills=bills,
        waiting_day=day,
        **DailyClose.asking(actor, notes),
    )
    row_insert(close, _cause(actor, close, "close_proposed", notes))
    return close


@money_unit
def close_sign(*, actor: Actor, close_id: UUID, notes: str = "") -> DailyClose:
    """Sign what another person put forward: from now on nothing counts in that day any more.

    Raises CloseNotFound, CloseDecided, OwnClose, DayNotClosable, FiguresChanged.
    """
    close = _close_lock(close_id)
    close.ensure_may_answer(actor, decided=CloseDecided, own=OwnClose)
    watermark = watermark_lock()
    if (close.figures, close.bills) != _looked_at(close.day):
        raise FiguresChanged()
    before = close_of(close.day - ONE_DAY)
    changes: dict[str, Any] = {
        **close.answering(actor, notes),
        "decided_at": day_close(watermark, close.day),
        "roots": newest_roots(),
        "previous_signature": before.signature if before else "",
        "waiting_day": None,
        "closed_day": close.day,
    }
    for name, value in changes.items():
        setattr(close, name, value)
    changes["signature"] = chain_mac(MAC_KIND, signed_content(close))
    cause = _cause(actor, close, "close_signed", notes, signature=changes["signature"])
    transition(close, CloseStatus.SIGNED, table=CLOSE_TRANSITIONS, cause=cause, **changes)
    return close


@money_unit
def close_reject(*, actor: Actor, close_id: UUID, notes: str) -> DailyClose:
    """Another person does not sign, and says why.

    Raises CloseNotFound, CloseDecided, OwnClose, ReasonMissing.
    """
    close = _close_lock(close_id)
    close.ensure_may_answer(actor, decided=CloseDecided, own=OwnClose)
    _end(close, CloseStatus.REJECTED, actor, _reason(notes))
    return close


@money_unit
def close_withdraw(*, actor: Actor, close_id: UUID, notes: str = "") -> DailyClose:
    """Taken back by whoever put it forward. Raises CloseNotFound (also to others), CloseDecided."""
    close = _close_lock(close_id)
    close.ensure_may_withdraw(actor, decided=CloseDecided, others=CloseNotFound)
    _end(close, CloseStatus.WITHDRAWN, actor, notes)
    return close


@money_unit
def reopening_request(*, actor: Actor, day: date, reason: str) -> DayReopening:
    """Ask for the newest closed day to be opened again.

    Raises NobodyKnown, ReasonMissing, CloseNotFound, NotNewestClosedDay, ReopeningWaits.
    """
    ensure_somebody_else(actor, error=NobodyKnown)
    reason = _reason(reason)
    close = DailyClose.objects.select_for_update().filter(closed_day=day).first()
    if close is None:
        raise CloseNotFound()
    if closed_through() != day:
        raise NotNewestClosedDay()
    if DayReopening.objects.filter(waiting_close=close.id).exists():
        raise ReopeningWaits()
    asked = DayReopening.asking(actor, reason)
    reopening = DayReopening(close=close, waiting_close=close.id, **asked)
    row_insert(reopening, _cause(actor, close, "reopening_requested", reason))
    return reopening


@money_unit
def reopening_approve(*, actor: Actor, reopening_id: UUID, notes: str = "") -> DayReopening:
    """Open the day again, as another person asked: what was signed is kept.

    Raises ReopeningNotFound, ReopeningDecided, OwnReopening, NotNewestClosedDay.
    """
    reopening = _reopening_lock(reopening_id)
    reopening.ensure_may_answer(actor, decided=ReopeningDecided, own=OwnReopening)
    close = _close_lock(reopening.close_id)
    watermark = watermark_lock()
    if watermark.closed_through != close.day:
        raise NotNewestClosedDay()
    moment = day_reopen(watermark, close.day)
    cause = _cause(actor, close, "close_reopened", reopening.reason)
    transition(close, CloseStatus.REOPENED, table=CLOSE_TRANSITIONS, cause=cause, closed_day=None)
    _decide(reopening, ReopeningStatus.APPROVED, actor, notes, decided_at=moment)
    return reopening


@money_unit
def reopening_reject(*, actor: Actor, reopening_id: UUID, notes: str) -> DayReopening:
    """Raises ReopeningNotFound, ReopeningDecided, OwnReopening, ReasonMissing."""
    reopening = _reopening_lock(reopening_id)
    reopening.ensure_may_answer(actor, decided=ReopeningDecided, own=OwnReopening)
    _decide(reopening, ReopeningStatus.REJECTED, actor, _reason(notes))
    return reopening


@money_unit
def reopening_withdraw(*, actor: Actor, reopening_id: UUID, notes: str = "") -> DayReopening:
    """Raises ReopeningNotFound (also to others), ReopeningDecided."""
    reopening = _reopening_lock(reopening_id)
    reopening.ensure_may_withdraw(actor, decided=ReopeningDecided, others=ReopeningNotFound)
    _decide(reopening, ReopeningStatus.WITHDRAWN, actor, notes)
    return reopening


# --- the signature ------------------------------------------------------------------------------


def signed_content(close: DailyClose) -> bytes:
    """What a signature covers, as the one text that it is made of."""
    content = {
        "day": close.day.isoformat(),
        "version": close.version,
        "figures": close.figures,
        "bills": close.bills,
        "roots": close.roots,
        "previous": close.previous_signature,
        "proposed_by": str(close.proposed_by),
        "proposed_at": clock.utc_text(close.proposed_at),
        "signed_by": str(close.decided_by),
        "signed_at": clock.utc_text(close.decided_at) if close.decided_at else "",
    }
    return canonical(content)


def signature_verdict(close: DailyClose) -> Verdict:
    return chain_mac_verdict(MAC_KIND, signed_content(close), close.signature)


def newest_roots() -> dict[str, str]:
    """The newest root of each chain of the audit: what lay in the books until then can't be made
    anew without showing."""
    newest = ChainRoot.objects.order_by("chain", "number").values_list("chain", "root")
    return dict(newest)


# --- rows -----------------------------------------------------------------------------------------


def _looked_at(day: date) -> tuple[Figures, Bills]:
    """The figures and bills of now, under the locked watermark. Raises DayNotClosable."""
    figures = figures_of_day(day)
    if found := list(blocks(day, figures)):
        raise DayNotClosable(found)
    return figures, bills_of_day(day)


def _close_lock(close_id: UUID) -> DailyClose:
    found = DailyClose.objects.select_for_update().filter(id=close_id).first()
    if found is None:
        raise CloseNotFound()
    return found


def _reopening_lock(reopening_id: UUID) -> DayReopening:
    found = DayReopening.objects.select_for_update().filter(id=reopening_id).first()
    if found is None:
        raise ReopeningNotFound()
    return found


def _end(close: DailyClose, status: CloseStatus, actor: Actor, notes: str) -> None:
    cause = _cause(actor, close, f"close_{status}", notes)
    changes = {**close.answering(actor, notes), "waiting_day": None}
    transition(close, status, table=CLOSE_TRANSITIONS, cause=cause, **changes)


def _decide(
    reopening: DayReopening, status: ReopeningStatus, actor: Actor, notes: str, **changes: Any
) -> None:
    cause = _cause(actor, reopening.close, f"reopening_{status}", notes)
    changes = {**reopening.answering(actor, notes), "waiting_close": None, **changes}
    transition(reopening, status, table=REOPENING_TRANSITIONS, cause=cause, **changes)


def _reason(text: str) -> str:
    if not text.strip():
        raise ReasonMissing()
    return text.strip()


def _cause(actor: Actor, close: DailyClose, action: str, reason: str, **details: str) -> Cause:
    told = {"day": close.day.isoformat(), "version": close.version, **details}
    return Cause(actor=actor, action=action, reason=reason, details=told)
