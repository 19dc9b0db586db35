"""Pages of lists: numbers or a cursor. How they are read: ``listing``."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from rest_framework.request import Request

from tcmpay.common.clock import utc_text
from tcmpay.common.fields import as_uuid_or_text

# A moment of 32 characters, and an id: a UUID, or what somebody put in by SQL.
_CURSOR = re.compile(r"[0-9A-Za-z_-]{1,92}={0,2}", re.ASCII)
_PLACE = re.compile(r"([0-9]{4}-[0-9T:.-]{21}\+00:00) ([!-~]{1,36})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    total: int
    page: int
    page_size: int

    @property
    def numbers(self) -> dict[str, Any]:
        """Beside the rows of an answer (``PageSchema``)."""
        return {"total": self.total, "page": self.page, "page_size": self.page_size}


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a list that is newest first goes on: after the row of this moment and id, or at its
    beginning. Rows that are added meanwhile stand before it: none is missed or comes twice."""

    created_at: datetime | None = None
    id: UUID | str | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError."""
        if not text:
            return cls()
        if not _CURSOR.fullmatch(text):
            raise ValueError("no cursor of ours")
        place = _PLACE.fullmatch(urlsafe_b64decode(text).decode("ascii"))
        if place is None:
            raise ValueError("no cursor of ours")
        return cls(datetime.fromisoformat(place[1]), as_uuid_or_text(place[2]))

    def __str__(self) -> str:
        if self.created_at is None:
            return ""
        return urlsafe_b64encode(f"{utc_text(self.created_at)} {self.id}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows from a cursor on, and where the next ones are (None: there are none yet)."""

    rows: list[Any]
    page_size: int
    next_cursor: Cursor | None

    @property
    def numbers(self) -> dict[str, Any]:
        """Beside the rows of an answer (``PageSchema``)."""
        following = None if self.next_cursor is None else str(self.next_cursor)
        return {"page_size": self.page_size, "next_cursor": following}


@dataclass(frozen=True, slots=True)
class Asked:
    page: int
    page_size: int
    cursor: Cursor | None


def page_asked(query: dict[str, Any]) -> Asked:
    """Which page a ``ListInput`` asks for, taken out of it: the filters are left."""
    return Asked(query.pop("page"), query.pop("page_size"), query.pop("cursor", None))


def page_headers(request: Request, page: Page) -> dict[str, str]:
    """``X-Total-Count`` and ``Link`` for lists whose body is the bare list."""
    last = max(1, -(-page.total // page.page_size))
    wanted = {"first": 1, "prev": page.page - 1, "next": page.page + 1, "last": last}
    links = [
        f'<{_address(request, number, page.page_size)}>; rel="{rel}"'
        for rel, number in wanted.items()
        if 1 <= number <= last
    ]
    return {"X-Total-Count": str(page.total), "Link": ", ".join(links)}


def _address(request: Request, page: int, page_size: int) -> str:
    query = {**request.query_params.dict(), "page": page, "page_size": page_size}
    return f"{request.path}?{urlencode(query)}"
