"""Decisions that somebody else has to take: who asked, or whose money it is, does not decide.

The one rule behind the refusals of every room, which are kinds of ``NeedsSomebodyElse``: people
are compared by id, a platform user's and a staff user's being the same person's.
"""

from tcmpay.common.actor import Actor
from tcmpay.common.errors import DomainError


def ensure_somebody_else(actor: Actor, *people: object, error: type[DomainError]) -> None:
    """Raises ``error`` unless ``actor`` is a known person and none of ``people``."""
    if not is_somebody_else(actor, *people):
        raise error()


def ensure_not_one_of(actor: Actor, *people: object, error: type[DomainError]) -> None:
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
