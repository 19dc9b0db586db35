"""State machines as tables: the one check that a status change is allowed."""

from collections.abc import Mapping


class IllegalTransition(RuntimeError):
    """Our own code asked for a status change that the table doesn't allow: a defect."""


def ensure_allowed(
    table: Mapping[str, frozenset[str]], *, from_state: str, to_state: str, what: str
) -> None:
    """Raises IllegalTransition unless ``table`` lets ``from_state`` become ``to_state``."""
    if to_state not in table[from_state]:
        raise IllegalTransition(f"{what}: {from_state} → {to_state}")


class LostUpdate(RuntimeError):
    """A row changed although it was locked: nothing is written, the unit is rolled back."""


def ensure_one(updated: int, what: str) -> None:
    """Raises LostUpdate unless a guarded update hit exactly its one row."""
    if updated != 1:
        raise LostUpdate(what)
