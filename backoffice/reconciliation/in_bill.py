"""Our payments and refunds that a gateway's bill of a day should have, as lists: what a figure of
ours on the day's page adds up."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backoffice.reconciliation.words import read_day
from backoffice.site.bases import list_url
from backoffice.site.filters import ChoiceFilter
from backoffice.site.words import REFUND_PAGE, TRANSACTION_PAGE, method_text
from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS
from reconciliation.our_books import payments_done, refunds_of

NAME = "in_bill"
NOTHING = Q(pk__in=())


def payments_url(merchant: Merchant, day: date) -> str:
    return _url(TRANSACTION_PAGE, merchant, day)


def refunds_url(merchant: Merchant, day: date) -> str:
    return _url(REFUND_PAGE, merchant, day)


def _url(page: str, merchant: Merchant, day: date) -> str:
    value = f"{day.isoformat()}:{merchant.method}:{merchant.number}"
    return list_url(page, {NAME: value})


def _read(value: str) -> tuple[Merchant, date] | None:
    text, _separator, rest = value.partition(":")
    method, _separator, number = rest.partition(":")
    day = read_day(text)
    return (Merchant(method, number), day) if day and method in GATEWAY_METHODS else None


def _filter(rows: Callable[[Merchant, date], Q]) -> type[ChoiceFilter]:
    def lookups(_self: Any, request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        """The one that the address names: nobody chooses a merchant's day from a list."""
        value = request.GET.get(NAME, "")
        found = _read(value)
        if found is None:
            return []
        merchant, day = found
        return [(value, f"{day} {method_text(merchant.method)} {merchant.number}")]

    def condition(_request: HttpRequest, chosen: str) -> Q:
        found = _read(chosen)
        return rows(*found) if found else NOTHING

    members = {"title": _("应在账单"), "parameter_name": NAME, "lookups": lookups}
    return type("InBillFilter", (ChoiceFilter,), members | {"condition": condition})


PAYMENTS_IN_BILL = _filter(
    lambda merchant, day: Q(pk__in=payments_done(merchant, day).values("pk"))
)
REFUNDS_IN_BILL = _filter(
    lambda merchant, day: Q(pk__in=[refund.pk for refund in refunds_of(merchant, day)])
)
