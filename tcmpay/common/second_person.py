"""Decisions that somebody else has to take: who asked, or whose money it is, does not decide.

The one rule behind the refusals of every room, which are kinds of ``NeedsSomebodyElse``: people
are compared by id, a platform user's and a staff user's being the same person's. Rows of what one
person asks for and another answers are ``Asked``, whichever columns they keep it in.
"""

from typing import Any, ClassVar

from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.errors import DomainError

Refusal = type[DomainError]


def ensure_somebody_else(actor: Actor, *people: object, error: Refusal) -> None:
    """Raises ``error`` unless ``actor`` is a known person and none of ``people``."""
    if not is_somebody_else(actor, *people):
        raise error()


def ensure_not_one_of(actor: Actor, *people: object, error: Refusal) -> None:
    """Raises ``error`` where ``actor`` is one of ``people``; nobody known (the system) may."""
    if is_one_of(actor, *people):
        raise error()


def is_somebody_else(actor: Actor, *people: object) -> bool:
    """Whether ``actor`` is a known person and none of ``people`` (ids, as UUID or text)."""
    return actor.id is not None and not is_one_of(actor, *people)


def is_one_of(actor: Actor, *people: object) -> bool:
    """Whether ``actor`` is one of ``people`` (ids, as UUID or text; None is nobody)."""
    known = {str(person) for person in people if person is not None}
    return actor.id is not None and str(actor.id) in known


class Asked:
    """A row of what one person asks for and another answers."""

    # Its columns: who asked, when and why; who answered, when and with which note.
    ASKED: ClassVar[tuple[str, ...]] = ("requested_by", "created_at", "reason")
    ANSWERED: ClassVar[tuple[str, ...]] = ("decided_by", "decided_at", "decision_notes")

    asked_by = property(lambda self: getattr(self, self.ASKED[0]))
    asked_at = property(lambda self: getattr(self, self.ASKED[1]))
    answered_by = property(lambda self: getattr(self, self.ANSWERED[0]))
    answered_at = property(lambda self: getattr(self, self.ANSWERED[1]))
    answer_notes = property(lambda self: getattr(self, self.ANSWERED[2]) or "")

    @property
    def is_waiting(self) -> bool:
        return bool(self.status == "pending")  # type: ignore[attr-defined]

    @property
    def askers(self) -> list[object]:
        """Who had a hand in asking (ids), and does not answer."""
        return [self.asked_by]

    @classmethod
    def asking(cls, actor: Actor, reason: str) -> dict[str, Any]:
        """The columns that tell that ``actor`` asks now."""
        return dict(zip(cls.ASKED, (actor.id, clock.now(), reason[:500]), strict=True))

    def answering(self, actor: Actor, notes: str) -> dict[str, Any]:
        """The columns that tell that ``actor`` answers now."""
        return dict(zip(self.ANSWERED, (actor.id, clock.now(), notes[:500]), strict=True))

    def ensure_may_answer(
        self, actor: Actor, *concerned: object, decided: Refusal, own: Refusal
    ) -> None:
        """Raises ``decided``: it waits no more; ``own``: nobody known, one of ``concerned`` (whose
        money it is), or who asked."""
        if not self.is_waiting:
            raise decided()
        ensure_somebody_else(actor, *self.askers, *concerned, error=own)

    def ensure_may_withdraw(self, actor: Actor, *, decided: Refusal, others: Refusal) -> None:
        """Raises ``others`` to all but who asked, and ``decided``: it waits no more."""
        if actor.id is None or self.asked_by != actor.id:
            raise others()
        if not self.is_waiting:
            raise decided()
