"""The id of the request being served, for answers, logs and audit rows."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")


def choose_request_id(offered: str) -> str:
    """The client's own id if it is a sane one, else a fresh one."""
    return offered if _SANE.fullmatch(offered) else uuid.uuid4().hex


def set_request_id(request_id: str) -> None:
    _current.set(request_id)


def current_request_id() -> str:
    """The running request's id; "" outside of a request."""
    return _current.get()
