"""One box for every number: orders, attempts, refunds, the gateways' own, users, requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from backoffice.site.admin_site import staff_site
from backoffice.site.bases import TERM_LENGTH_MAX, admin_url

ACCOUNTS = "balances_userbalance"
# In the order in which a reader wants them: an order's page tells everything about it, and only
# a user's own number finds an account.
PAGES = (
    ACCOUNTS,
    "payments_paymentorder",
    "refunds_refund",
    "payments_paymenttransaction",
    "payments_paymentexception",
    "payments_paymentcallback",
    "audit_auditevent",
)
# What is told of a row beside its number: columns of its list.
FACTS = {
    ACCOUNTS: ("balance_shown", "updated"),
    "payments_paymentorder": ("status_shown", "amount_shown", "created"),
    "refunds_refund": ("status_shown", "amount_shown", "created"),
    "payments_paymenttransaction": ("type_shown", "status_shown", "amount_shown", "started"),
    "payments_paymentexception": ("amount_shown", "opened"),
    "payments_paymentcallback": ("verdict_shown", "amount_shown", "received"),
    "audit_auditevent": ("change", "actor", "time"),
}
SHOWN_MAX = 20
REFUND_PREFIX = "RFD"


@dataclass(frozen=True)
class Row:
    """One row that carries the number."""

    text: str
    url: str
    facts: list[str]


@dataclass(frozen=True)
class Found:
    """What one list holds of a number."""

    page: str
    title: Any
    rows: list[Row]
    is_cut: bool


def find_view(request: HttpRequest) -> HttpResponse:
    """The page of the one order (or refund) that carries the number; else all that does."""
    term = request.GET.get("q", "").strip()[:TERM_LENGTH_MAX]
    found = list(_found(request, term)) if term else []
    target = _only_answer(term, found)
    if target:
        return HttpResponseRedirect(target)
    context = staff_site.each_context(request) | {"title": _("查找"), "term": term, "found": found}
    return TemplateResponse(request, "site/find.html", context)


def _found(request: HttpRequest, term: str) -> Iterator[Found]:
    for page in PAGES:
        model_admin = staff_site.page_admin(page)
        if not model_admin.has_view_permission(request):
            continue
        rows, _is_double = model_admin.get_search_results(
            request, model_admin.get_queryset(request), term
        )
        shown = list(rows.order_by("-pk")[: SHOWN_MAX + 1])
        if shown:
            yield Found(
                page=page,
                title=model_admin.opts.verbose_name,
                rows=[_row(page, model_admin, row) for row in shown[:SHOWN_MAX]],
                is_cut=len(shown) > SHOWN_MAX,
            )


def _row(page: str, model_admin: Any, row: Any) -> Row:
    facts = [getattr(model_admin, name)(row) for name in FACTS[page]]
    return Row(model_admin.title_of(row), admin_url(f"{page}_change", row.pk), facts)


def _only_answer(term: str, found: list[Found]) -> str:
    wanted = ("refunds_refund",) if term.upper().startswith(REFUND_PREFIX) else PAGES
    # A user's number is on all of their orders: the account is meant only if there is nothing else.
    for one in sorted(found, key=lambda one: one.page == ACCOUNTS):
        if one.page in wanted:
            return one.rows[0].url if len(one.rows) == 1 else ""
    return ""
