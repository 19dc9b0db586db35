"""Reading the same once: a page asks in many places whose money it is, and what a day moved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Read = TypeVar("Read")

_kept: ContextVar[dict[Any, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Within, what a function marked ``once`` read is not read again: for what only reads and is
    over within a moment, never for what decides under a lock."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def once(read: Callable[P, Read]) -> Callable[P, Read]:
    """Of hashable arguments; nobody changes what it gives."""

    @wraps(read)
    def asked(*args: P.args, **kwargs: P.kwargs) -> Read:
        kept = _kept.get()
        if kept is None:
            return read(*args, **kwargs)
        key = (read, args, tuple(sorted(kwargs.items())))
        if key not in kept:
            kept[key] = read(*args, **kwargs)
        found: Read = kept[key]
        return found

    return asked
