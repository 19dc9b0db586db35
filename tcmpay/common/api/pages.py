"""Pages of lists: numbers outside, an id-only query inside."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.request import Request

from tcmpay.common.compiled import CompiledByKey


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    total: int
    page: int
    page_size: int

    @property
    def numbers(self) -> dict[str, int]:
        """Beside the rows of an answer (``PageSchema``)."""
        return {"total": self.total, "page": self.page, "page_size": self.page_size}


def take_page(
    rows: QuerySet[Any], *, page: int, page_size: int, told: CompiledByKey | None = None
) -> Page:
    """One page of ``rows`` in their order.

    The ids are picked from the index first and the rows fetched by id, so that a deep page
    doesn't drag every skipped row along. ``told`` gives the rows by id, with more about each.
    """
    total = rows.count()
    start = (page - 1) * page_size
    if start >= total:
        return Page([], total, page, page_size)
    ids = list(rows.values_list("pk", flat=True)[start : start + page_size])
    found = told(ids) if told else rows.model._default_manager.in_bulk(ids)
    return Page([found[pk] for pk in ids if pk in found], total, page, page_size)


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
