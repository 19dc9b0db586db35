"""The page that staff see first: what came in, what went back, and what waits for them.

Every figure is a link to the list of exactly the rows that it counts.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.selectors import (
    COUNT_MAX,
    METHODS,
    Days,
    Total,
    Waiting,
    days_back,
    receipts_by_day,
    refund_queue_length,
    refunds_by_day,
    surplus_returned_by_day,
    waiting,
)
from payments.states import PaymentMethod
from tcmpay.common import clock
from tcmpay.common.display import age_text
from tcmpay.common.money import Money

CHART_DAYS = 14
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
    """One way of paying: what came in, what went back, and what is left of it."""

    name: str
    receipts: Figure
    refunds: Figure

    @property
    def net(self) -> Money:
        return self.receipts.total.amount - self.refunds.total.amount


@dataclass(frozen=True)
class Task:
    """Something that waits, and where to deal with it."""

    title: str
    count: int
    url: str
    note: str = ""
    is_urgent: bool = False

    @property
    def count_text(self) -> str:
        return f"{self.count}+" if self.count >= COUNT_MAX else str(self.count)


def today(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What Unfold's first page shows (UNFOLD["DASHBOARD_CALLBACK"])."""
    context["title"] = _("今日")
    if not request.user.has_perms(SEES):
        return context
    day = clock.today()
    days = days_back(day, CHART_DAYS)
    receipts, refunds = receipts_by_day(days[0], day), refunds_by_day(days[0], day)
    return context | {
        "day": day,
        "lines": [_line(method, day, receipts, refunds) for method in METHODS],
        "total": _line(None, day, receipts, refunds),
        "surplus": _surplus(day),
        "tasks": _tasks(request, waiting(days[0]), days[0]),
        "chart": json.dumps(_chart(days, receipts, refunds)),
        "chart_options": json.dumps(CHART_OPTIONS),
        "chart_days": CHART_DAYS,
        "period": _period(days, receipts, refunds),
    }


def queue_badge(request: HttpRequest) -> str:
    """How many refunds wait for a decision, beside the queue's name in the sidebar."""
    if not request.user.has_perm("refunds.view_refund"):
        return ""
    return str(refund_queue_length())


# --- figures ------------------------------------------------------------------------------------


def _line(method: PaymentMethod | None, day: date, receipts: Days, refunds: Days) -> Line:
    methods = METHODS if method is None else (method,)
    return Line(
        name=_("合计") if method is None else str(method.label),
        receipts=Figure(_sum(receipts, [day], methods), orders_paid(day, day, method)),
        refunds=Figure(_sum(refunds, [day], methods), refunds_done(day, day, method)),
    )


def _sum(totals: Days, days: Iterable[date], methods: Iterable[str]) -> Total:
    wanted = tuple(methods)
    return sum(
        (totals.get((day, method), Total()) for day in days for method in wanted), start=Total()
    )


def _period(days: list[date], receipts: Days, refunds: Days) -> Line:
    return Line(
        name=_("近 %(number)d 天") % {"number": len(days)},
        receipts=Figure(_sum(receipts, days, METHODS), orders_paid(days[0], days[-1], None)),
        refunds=Figure(_sum(refunds, days, METHODS), refunds_done(days[0], days[-1], None)),
    )


def _surplus(day: date) -> Figure:
    totals = surplus_returned_by_day(day, day)
    return Figure(_sum(totals, [day], METHODS), refunds_done(day, day, None, money="surplus"))


def orders_paid(first: date, last: date, method: str | None) -> str:
    """The list of the orders paid in a period."""
    filters = {"paid_on_from": first, "paid_on_to": last}
    return _list("payments_paymentorder", filters | _if(payment_method__exact=method))


def refunds_done(first: date, last: date, method: str | None, *, money: str = "applied") -> str:
    """The list of the refunds that were completed in a period."""
    filters = {
        "status__exact": "success",
        "completed_on_from": first,
        "completed_on_to": last,
        "money": money,
    }
    return _list("refunds_refund", filters | _if(method=method))


def _if(**filters: Any) -> dict[str, Any]:
    return {name: str(value) for name, value in filters.items() if value is not None}


def _list(page: str, filters: dict[str, Any]) -> str:
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode(filters)}"


# --- what waits ---------------------------------------------------------------------------------


def _tasks(request: HttpRequest, found: Waiting, held_since: date) -> list[Task]:
    tasks: list[tuple[str, Callable[[], Task]]] = [
        ("refunds.view_refund", lambda: _refund_task(found)),
        ("refunds.view_refund", lambda: _processing_task(found)),
        ("refunds.view_refund", lambda: _failed_task(found)),
        ("payments.view_paymentexception", lambda: _cases_task(found)),
        ("payments.view_paymentcallback", lambda: _held_task(found, held_since)),
        ("payments.view_paymenttransaction", lambda: _surplus_task(found)),
        ("balances.view_userbalance", lambda: _openings_task(found)),
        ("payments.view_paymentorder", lambda: _orders_task(found)),
    ]
    return [make() for permission, make in tasks if request.user.has_perm(permission)]


def _refund_task(found: Waiting) -> Task:
    oldest = found.oldest_refund
    return Task(
        title=_("待审核的退款"),
        count=found.refunds,
        url=reverse("admin:refunds_refund_queue"),
        note=_("最久已等 %(age)s") % {"age": age_text(oldest)} if oldest else _("没有等待的申请"),
        is_urgent=found.refunds > 0,
    )


def _processing_task(found: Waiting) -> Task:
    return Task(
        title=_("网关处理中的退款"),
        count=found.refunds_processing,
        url=_list("refunds_refund", {"status__exact": "processing"}),
        note=_("结果会自动更新"),
    )


def _failed_task(found: Waiting) -> Task:
    return Task(
        title=_("失败的退款"),
        count=found.refunds_failed,
        url=_list("refunds_refund", {"status__exact": "failed"}),
        note=_("查明原因后重试"),
        is_urgent=found.refunds_failed > 0,
    )


def _cases_task(found: Waiting) -> Task:
    return Task(
        title=_("待处理的差错"),
        count=found.cases,
        url=_list("payments_paymentexception", {"case": "open"}),
        note=_("核对后写明处理结果"),
        is_urgent=found.cases > 0,
    )


def _held_task(found: Waiting, since: date) -> Task:
    filters = {"held": "yes", "received_at_from": since}
    return Task(
        title=_("待核对的网关通知"),
        count=found.callbacks_held,
        url=_list("payments_paymentcallback", filters),
        note=_("近 %(number)d 天：金额不符、订单不存在等") % {"number": CHART_DAYS},
    )


def _surplus_task(found: Waiting) -> Task:
    return Task(
        title=_("未退回的多收款项"),
        count=found.surplus_held,
        url=_list("payments_paymenttransaction", {"surplus": "open"}),
        note=_("订单结束后到账或重复支付"),
        is_urgent=found.surplus_held > 0,
    )


def _openings_task(found: Waiting) -> Task:
    return Task(
        title=_("未确认的期初余额"),
        count=found.openings,
        url=_list("balances_userbalance", {"opening": "unadopted"}),
        note=_("由 SQL 写入、尚未确认的余额"),
    )


def _orders_task(found: Waiting) -> Task:
    return Task(
        title=_("待支付的订单"),
        count=found.orders,
        url=_list("payments_paymentorder", {"status__exact": "pending"}),
        note=_("到期未付会自动关闭"),
    )


# --- chart --------------------------------------------------------------------------------------

CHART_OPTIONS = {
    "maintainAspectRatio": False,
    "animation": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {
        "legend": {
            "display": True,
            "position": "bottom",
            "labels": {"boxWidth": 10, "boxHeight": 10, "color": "#8b93a1"},
        },
        "tooltip": {"enabled": True},
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


def _chart(days: list[date], receipts: Days, refunds: Days) -> dict[str, Any]:
    """Two bars a day, receipts and refunds, each stacked by method. Amounts stay text."""
    datasets = []
    for kind, totals, shade in ((_("收款"), receipts, 0), (_("退款"), refunds, 1)):
        for method in METHODS:
            datasets.append(
                {
                    "label": f"{kind} · {method.label}",
                    "stack": str(shade),
                    "backgroundColor": COLOURS[method][shade],
                    "data": [str(totals.get((day, method), Total()).amount) for day in days],
                    "maxBarThickness": 14,
                    "borderRadius": 2,
                }
            )
    return {"labels": [f"{day:%m-%d}" for day in days], "datasets": datasets}
