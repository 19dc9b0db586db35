"""The page that staff see first: what came in, what went back, and what waits for them.

Every figure is a link to the list of exactly the rows that it counts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.models import TotalKind
from backoffice.ops.laws import newest_runs
from backoffice.reconciliation.closing import PROPOSE
from backoffice.reconciliation.tile import day_tiles
from backoffice.reconciliation.words import day_url
from backoffice.site.display import EMPTY, age_text
from backoffice.today.day_totals import Totals, totals
from backoffice.today.health import GatewayHealth, gateways_health
from backoffice.today.periods import FIRST_DAY, Period, period_asked, periods
from backoffice.today.selectors import (
    COUNT_MAX,
    EventsWaiting,
    Waiting,
    certificates_ending,
    days_back,
    events_waiting,
    orders_by_state,
    refund_queue_length,
    waiting,
)
from gateways.findings import EXPIRY_WARNING_DAYS
from payments.day_figures import Total
from payments.selectors import service_names
from payments.services.activations import activations_failing
from payments.states import OrderStatus, PaymentMethod
from reconciliation.once import read_once
from reconciliation.stand import day_stand, days_late, days_waiting
from reconciliation.states import DayState
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.money import Money

CHART_DAYS = 30
# So many of the named spans are cards.
CARDS = 4
PENDING = {"status__exact": "pending"}
COLOURS = {
    PaymentMethod.WECHAT: ("#16a34a", "#86efac"),
    PaymentMethod.ALIPAY: ("#2563eb", "#93c5fd"),
    PaymentMethod.BALANCE: ("#d97706", "#fcd34d"),
}
SEES = ("payments.view_paymentorder", "refunds.view_refund", "payments.view_paymentcallback")
# A gateway gives money back within minutes; one that takes longer needs a look.
REFUND_STUCK_AFTER = timedelta(hours=1)


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


# The permission that its list needs, and the task.
Entry = tuple[str, Callable[[], Task]]


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
        # Who keeps the endpoints sees no money, and has to know all the same.
        return context | {"tasks": _allowed(request, _endpoint_tasks(events_waiting()))}
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
        "tasks": _tasks(request, waiting(days[0]), days[0]),
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
    return _list(
        "payments_paymentorder", filters | _if(payment_method__exact=method, service=service)
    )


def orders_created(day: date, status: str) -> str:
    filters = {"created_on_from": day, "created_on_to": day, "status__exact": status}
    return _list("payments_paymentorder", filters)


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
    return _list("refunds_refund", filters | _if(method=method, service=service))


def _if(**filters: str) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value}


def _list(page: str, filters: Mapping[str, Any]) -> str:
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode(filters)}"


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
        started=Count(health.started, _list(page, attempts)),
        paid=Count(health.paid, _list(page, attempts | {"status__exact": "success"})),
        success=EMPTY if percent is None else f"{percent}%",
        seconds=EMPTY if seconds is None else _("%(number)d 秒") % {"number": round(seconds)},
        unanswered=health.unanswered,
        refused=Count(health.refused, _list("payments_paymentcallback", refused)),
    )


# --- what waits ---------------------------------------------------------------------------------


def _tasks(request: HttpRequest, found: Waiting, held_since: date) -> list[Task]:
    """What waits, for whoever may see it: by the permission that its list needs."""
    held = {"held": "yes", "received_at_from": held_since}
    tasks: list[Entry] = [
        ("refunds.view_refund", lambda: _refund_task(found)),
        ("refunds.view_refund", lambda: _processing_task(found)),
        _listed(
            "refunds.refund",
            _("失败的退款"),
            found.refunds_failed,
            {"retry": "yes"},
            _("查明原因后重试"),
        ),
        _listed(
            "refunds.refundbulk",
            _("待复核的批量退款"),
            found.bulks,
            PENDING,
            _("由提交人以外的同事复核"),
        ),
        _listed(
            "payments.paymentexception",
            _("待处理的对账差错"),
            found.bill_cases,
            {"case": "open", "origin": "bills"},
            _("账单与账目不符，按营业日处理"),
        ),
        _listed(
            "payments.paymentexception",
            _("待处理的其他差错"),
            found.cases,
            {"case": "open", "origin": "others"},
            _("核对后写明处理结果"),
        ),
        (PROPOSE, _close_task),
        _listed(
            "reconciliation.dailyclose",
            _("待签字的日结"),
            found.closes,
            PENDING,
            _("由提交人以外的同事签字"),
        ),
        _listed(
            "reconciliation.dayreopening",
            _("待同意的重新打开"),
            found.reopenings,
            PENDING,
            _("由申请人以外的同事处理"),
        ),
        _listed(
            "payments.paymentcallback",
            _("待核对的网关通知"),
            found.callbacks_held,
            held,
            _("近 %(number)d 天：金额不符、订单不存在等") % {"number": CHART_DAYS},
            is_urgent=False,
        ),
        _listed(
            "payments.paymenttransaction",
            _("未退回的多收款项"),
            found.surplus_held,
            {"surplus": "open"},
            _("订单结束后到账或重复支付"),
        ),
        _listed(
            "balances.userbalance",
            _("未确认的期初余额"),
            found.openings,
            {"opening": "unadopted"},
            _("由 SQL 写入、尚未确认的余额"),
            is_urgent=False,
        ),
        _listed(
            "balances.balanceadjustment",
            _("待复核的余额调整"),
            found.adjustments,
            PENDING,
            _("由申请人以外的同事复核"),
        ),
        _listed(
            "config.pricechangerequest",
            _("待确认的改价"),
            found.price_changes,
            PENDING,
            _("幅度较大的改价由第二人确认"),
        ),
        *_endpoint_tasks(found.events),
        ("config.view_paymentconfig", _activations_task),
        ("config.view_paymentconfig", _endings_task),
        _listed(
            "payments.paymentorder",
            _("待支付的订单"),
            found.orders,
            PENDING,
            _("到期未付会自动关闭"),
            is_urgent=False,
        ),
    ]
    return _allowed(request, tasks)


def _allowed(request: HttpRequest, tasks: Iterable[Entry]) -> list[Task]:
    return [make() for permission, make in tasks if request.user.has_perm(permission)]


def _endpoint_tasks(found: EventsWaiting) -> Iterator[Entry]:
    """Only when somebody has to act."""
    if found.endpoints_disabled:
        yield _listed(
            "webhooks.webhookendpoint",
            _("已自动停用的推送地址"),
            found.endpoints_disabled,
            {"state": "by_itself"},
            _("平台收不到通知：请它修好接收方，再启用"),
        )
    if found.deliveries_owed:
        yield _listed(
            "webhooks.webhookdelivery",
            _("已放弃投递的事件"),
            found.deliveries_owed,
            {"owed": "yes"},
            _("接收方修好后重新推送"),
        )


def _listed(
    model: str,
    title: str,
    count: int,
    filters: Mapping[str, Any],
    note: str,
    *,
    is_urgent: bool = True,
) -> Entry:
    """A task that is the rows of one list; urgent while there are any."""
    app, _separator, name = model.partition(".")
    task = Task(title, count, _list(f"{app}_{name}", filters), note, is_urgent and count > 0)
    return f"{app}.view_{name}", lambda: task


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
    is_stuck = (
        found.oldest_processing is not None
        and clock.now() - found.oldest_processing > REFUND_STUCK_AFTER
    )
    note = _("结果会自动更新")
    if is_stuck and found.oldest_processing:
        note = _("最久已等 %(age)s，请核对") % {"age": age_text(found.oldest_processing)}
    if found.refunds_short:
        short = _("其中 %(number)d 笔等待商户账户充值，请充值")
        note = short % {"number": found.refunds_short}
    return Task(
        title=_("网关处理中的退款"),
        count=found.refunds_processing,
        url=_list("refunds_refund", {"status__exact": "processing"}),
        note=note,
        is_urgent=is_stuck or found.refunds_short > 0,
    )


def _close_task() -> Task:
    """The business day that is next to be closed: it offers itself once nothing stands in the way,
    and is urgent from DAY_CLOSE_REMIND_AT on."""
    waiting, late = days_waiting(), days_late()
    if not waiting:
        calendar = reverse("admin:reconciliation_reconciledday_changelist")
        return Task(_("待日结的营业日"), 0, calendar, _("都已日结"))
    day = waiting[0]
    stand = day_stand(day)
    title, note = _("待日结的营业日"), day.isoformat()
    if stand.waiting is not None:
        note = _("%(day)s 已提交，等待另一人签字") % {"day": day}
    elif stand.state is DayState.READY:
        is_yesterday = day == clock.today() - ONE_DAY
        title = _("昨天可以日结") if is_yesterday else _("%(day)s 可以日结") % {"day": day}
        note = _("没有未处理的事项：核对数字后提交，由另一人签字")
    elif stand.blocks:
        note = _("%(day)s：%(reason)s") % {"day": day, "reason": stand.blocks[0].text}
    if late:
        at = settings.DAY_CLOSE_REMIND_AT
        note = _("已过 %(time)s。%(note)s") % {"time": f"{at:%H:%M}", "note": note}
    return Task(title, len(waiting), f"{day_url(day)}#closing", note, bool(late))


def _activations_task() -> Task:
    failing = activations_failing()
    if not failing:
        return Task(
            title=_("启用后支付全部失败的配置"),
            count=0,
            url=reverse("admin:config_paymentconfig_changelist"),
            note=_("新启用的配置，首批支付有成功的就不再提醒"),
        )
    first = failing[0]
    facts = {
        "method": first.method.label,
        "version": first.version,
        "attempts": first.attempts,
        "code": first.code,
    }
    note = _("%(method)s版本 %(version)d：首批 %(attempts)d 笔都失败（%(code)s）") % facts
    gateway = str(first.method)
    if first.earlier is None:
        url = reverse("admin:config_paymentconfig_gateway", args=[gateway])
    else:
        url = reverse("admin:config_paymentconfig_version", args=[gateway, first.earlier])
        note += _("，点击可恢复版本 %(earlier)d") % {"earlier": first.earlier}
    return Task(
        title=_("启用后支付全部失败的配置"), count=len(failing), url=url, note=note, is_urgent=True
    )


def _endings_task() -> Task:
    ending = certificates_ending()
    first = f"{clock.business_day(ending[0].ends_at):%Y-%m-%d}" if ending else ""
    return Task(
        title=_("即将到期的证书"),
        count=len(ending),
        url=reverse("admin:config_paymentconfig_changelist"),
        note=_("最早 %(day)s 到期，请及时更换") % {"day": first}
        if ending
        else _("%(number)d 天内没有证书到期") % {"number": EXPIRY_WARNING_DAYS},
        is_urgent=bool(ending),
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
