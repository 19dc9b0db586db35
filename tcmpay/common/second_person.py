"""Decisions that somebody else has to take: who asked, or whose money it is, does not decide.

The one rule behind the refusals of every room (``SelfReview``, ``OwnBalance``, ``DraftIsOwn`` …):
people are compared by id, a platform user's and a staff user's being the same person's.
"""

from tcmpay.common.actor import Actor


def is_somebody_else(actor: Actor, *people: object) -> bool:
    """Whether ``actor`` is a known person and none of ``people`` (ids, as UUID or text)."""
    return actor.id is not None and not is_one_of(actor, *people)


def is_one_of(actor: Actor, *people: object) -> bool:
    """Whether ``actor`` is one of ``people`` (ids, as UUID or text; None is nobody)."""
    known = {str(person) for person in people if person is not None}
    return actor.id is not None and str(actor.id) in known
