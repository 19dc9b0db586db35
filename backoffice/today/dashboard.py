"""The page that staff see first: what came in, what went back, and what waits for them.

Every figure is a link to the list of exactly the rows that it counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.models import TotalKind
from backoffice.ops.laws import newest_runs
from backoffice.reconciliation.tile import day_tiles
from backoffice.site.bases import list_url
from backoffice.site.display import EMPTY
from backoffice.today.day_totals import Totals, totals
from backoffice.today.health import GatewayHealth, gateways_health
from backoffice.today.periods import FIRST_DAY, Period, period_asked, periods
from backoffice.today.selectors import (
    days_back,
    orders_by_state,
    refund_queue_length,
    waiting,
)
from backoffice.today.to_do import tasks_of, tasks_of_endpoints
from payments.day_figures import Total
from payments.selectors import service_names
from payments.states import OrderStatus, PaymentMethod
from reconciliation.once import read_once
from tcmpay.common import clock
from tcmpay.common.money import Money

CHART_DAYS = 30
# So many of the named spans are cards.
CARDS = 4
COLOURS = {
    PaymentMethod.WECHAT: ("#16a34a", "#86efac"),
    PaymentMethod.ALIPAY: ("#2563eb", "#93c5fd"),
    PaymentMethod.BALANCE: ("#d97706", "#fcd34d"),
}
SEES = ("payments.view_paymentorder", "refunds.view_refund", "payments.view_paymentcallback")


@dataclass(frozen=True)
class Figure:
    """One number with its sum and the list behind it."""

    total: Total
    url: str


@dataclass(frozen=True)
class Line:
    """What came in, what went back, and what is left of it, under one name."""

    name: str
    receipts: Figure
    refunds: Figure

    @property
    def net(self) -> Money:
        return self.receipts.total.amount - self.refunds.total.amount

    @property
    def is_empty(self) -> bool:
        return not (self.receipts.total.number or self.refunds.total.number)


@dataclass(frozen=True)
class Card:
    """One period's sums, and the way to its details."""

    period: Period
    line: Line
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class Count:
    number: int
    url: str


@dataclass(frozen=True)
class Book:
    """The sums that the page shows, read once."""

    receipts: Totals
    refunds: Totals
    surplus: Totals

    @classmethod
    def of(cls, first: date, last: date) -> "Book":
        return cls(*(totals(kind, first, last) for kind in TotalKind))


def today(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What Unfold's first page shows (UNFOLD["DASHBOARD_CALLBACK"])."""
    context["title"] = _("今日")
    if not request.user.has_perms(SEES):
        return context | {"tasks": tasks_of_endpoints(request)}
    with read_once():
        return context | _shown(request)


def _shown(request: HttpRequest) -> dict[str, Any]:
    day = clock.today()
    days = days_back(day, CHART_DAYS)
    named = periods(day)
    cards, others = named[:CARDS], named[CARDS:]
    chosen = period_asked(request.GET, named, day)
    # What is always shown is read once; what was asked for may lie years back.
    book = Book.of(min(days[0], *(one.first for one in cards)), day)
    asked = book if chosen in cards else Book.of(chosen.first, chosen.last)
    return {
        "day": day,
        "cards": [_card(one, book, is_chosen=one is chosen) for one in cards],
        "periods": others,
        "period": chosen,
        "first_day": FIRST_DAY,
        "by_method": [_line(chosen, asked, str(one.label), method=one) for one in COLOURS],
        "by_service": list(_by_service(chosen, asked)),
        "total": _line(chosen, asked, _("合计")),
        "surplus": Figure(_sum(asked.surplus, chosen, {}), refunds_done(chosen, money="surplus")),
        "states": _states(day),
        "reconciled": day_tiles(request.user),
        "law_runs": newest_runs(),
        "tasks": tasks_of(request, waiting(days[0]), days[0]),
        "health": [_health_line(one) for one in gateways_health()],
        "chart": json.dumps(_chart(days, book)),
        "chart_options": json.dumps(CHART_OPTIONS),
        "chart_days": CHART_DAYS,
    }


def queue_badge(request: HttpRequest) -> str:
    """How many refunds wait for a decision, beside the queue's name in the sidebar."""
    if not request.user.has_perm("refunds.view_refund"):
        return ""
    return str(refund_queue_length())


# --- figures ------------------------------------------------------------------------------------


def _card(period: Period, book: Book, *, is_chosen: bool) -> Card:
    url = f"{reverse('admin:index')}?{period.query}"
    return Card(period, _line(period, book, period.name), url, is_chosen)


def _by_service(period: Period, book: Book) -> Iterator[Line]:
    """Services with business in the period, the largest receipts first."""
    names = service_names()
    cells = [cell for cell in (*book.receipts, *book.refunds) if cell.day in period]
    lines = [
        _line(period, book, names.get(code, code), service=code)
        for code in {cell.service for cell in cells}
    ]
    yield from sorted(lines, key=lambda line: (-line.receipts.total.amount, line.name))


def _line(period: Period, book: Book, name: str, **only: str) -> Line:
    """``only``: one way of paying (``method``) or one service (``service``)."""
    return Line(
        name=name,
        receipts=Figure(_sum(book.receipts, period, only), orders_paid(period, **only)),
        refunds=Figure(_sum(book.refunds, period, only), refunds_done(period, **only)),
    )


def _sum(found: Totals, period: Period, only: Mapping[str, str]) -> Total:
    wanted = (
        total
        for cell, total in found.items()
        if cell.day in period and all(getattr(cell, name) == value for name, value in only.items())
    )
    return sum(wanted, start=Total())


def _states(day: date) -> list[tuple[str, Count, Count]]:
    """How the orders of today and of yesterday stand now."""
    yesterday = day - timedelta(days=1)
    found = orders_by_state(yesterday, day)
    return [
        (
            str(status.label),
            Count(found.get((day, status), 0), orders_created(day, status)),
            Count(found.get((yesterday, status), 0), orders_created(yesterday, status)),
        )
        for status in OrderStatus
    ]


def orders_paid(period: Period, *, method: str = "", service: str = "") -> str:
    """The list of the orders paid in a period."""
    filters = {"paid_on_from": period.first, "paid_on_to": period.last}
    return list_url(
        "payments_paymentorder", filters | _if(payment_method__exact=method, service=service)
    )


def orders_created(day: date, status: str) -> str:
    filters = {"created_on_from": day, "created_on_to": day, "status__exact": status}
    return list_url("payments_paymentorder", filters)


def refunds_done(
    period: Period, *, method: str = "", service: str = "", money: str = "applied"
) -> str:
    """The list of the refunds that were completed in a period."""
    filters = {
        "status__exact": "success",
        "completed_on_from": period.first,
        "completed_on_to": period.last,
        "money": money,
    }
    return list_url("refunds_refund", filters | _if(method=method, service=service))


def _if(**filters: str) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value}


# --- the gateways' health -----------------------------------------------------------------------


@dataclass(frozen=True)
class HealthLine:
    """One gateway's last hour, each figure with the list behind it."""

    name: str
    started: Count
    paid: Count
    success: str
    seconds: str
    unanswered: int
    refused: Count


def _health_line(health: GatewayHealth) -> HealthLine:
    attempts = {
        "payment_method__exact": health.method,
        "transaction_type__exact": "payment",
        "recent": "hour",
    }
    refused = {
        "verdict__exact": "untrusted",
        "payment_method__exact": health.method,
        "recent": "hour",
    }
    page, percent, seconds = (
        "payments_paymenttransaction",
        health.success_percent,
        health.seconds_to_pay,
    )
    return HealthLine(
        name=str(health.method.label),
        started=Count(health.started, list_url(page, attempts)),
        paid=Count(health.paid, list_url(page, attempts | {"status__exact": "success"})),
        success=EMPTY if percent is None else f"{percent}%",
        seconds=EMPTY if seconds is None else _("%(number)d 秒") % {"number": round(seconds)},
        unanswered=health.unanswered,
        refused=Count(health.refused, list_url("payments_paymentcallback", refused)),
    )


# --- chart --------------------------------------------------------------------------------------

CHART_OPTIONS = {
    "maintainAspectRatio": False,
    "animation": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {
        "legend": {
            "position": "bottom",
            "labels": {"boxWidth": 10, "boxHeight": 10, "color": "#8b93a1"},
        },
    },
    "scales": {
        "x": {
            "stacked": True,
            "border": {"display": False},
            "grid": {"display": False},
            "ticks": {"color": "#8b93a1", "maxRotation": 0, "autoSkip": True},
        },
        "y": {
            "stacked": True,
            "beginAtZero": True,
            "border": {"display": False},
            "grid": {"color": "rgba(139,147,161,.2)"},
            "ticks": {"color": "#8b93a1", "maxTicksLimit": 6},
        },
    },
}


def _chart(days: list[date], book: Book) -> dict[str, Any]:
    """Two bars a day, receipts and refunds, each stacked by method. Amounts stay text."""
    datasets = []
    for kind, found, shade in ((_("收款"), book.receipts, 0), (_("退款"), book.refunds, 1)):
        for method in COLOURS:
            datasets.append(
                {
                    "label": f"{kind} · {method.label}",
                    "stack": str(shade),
                    "backgroundColor": COLOURS[method][shade],
                    "data": list(_by_day(days, found, method)),
                    "maxBarThickness": 14,
                    "borderRadius": 2,
                }
            )
    return {"labels": [f"{day:%m-%d}" for day in days], "datasets": datasets}


def _by_day(days: Iterable[date], found: Totals, method: str) -> Iterator[str]:
    for day in days:
        period = Period("", "", day, day)
        yield str(_sum(found, period, {"method": method}).amount)
