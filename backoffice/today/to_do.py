"""What waits for staff: each task with how many there are, and where to deal with them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice.reconciliation.closing import PROPOSE
from backoffice.reconciliation.words import day_url
from backoffice.site.bases import list_url
from backoffice.site.display import age_text
from backoffice.today.selectors import (
    COUNT_MAX,
    EventsWaiting,
    Waiting,
    certificates_ending,
    events_waiting,
)
from gateways.findings import EXPIRY_WARNING_DAYS
from payments.services.activations import activations_failing
from reconciliation.stand import day_stand, days_late, days_waiting
from reconciliation.states import DayState
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY

PENDING = {"status__exact": "pending"}
# A gateway gives money back within minutes; one that takes longer needs a look.
REFUND_STUCK_AFTER = timedelta(hours=1)


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


def tasks_of(request: HttpRequest, found: Waiting, held_since: date) -> list[Task]:
    """What waits, for whoever may see it: by the permission that its list needs."""
    held = {"held": "yes", "received_at_from": held_since}
    held_days = (clock.today() - held_since).days + 1
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
            _("近 %(number)d 天：金额不符、订单不存在等") % {"number": held_days},
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


def tasks_of_endpoints(request: HttpRequest) -> list[Task]:
    """For who keeps the endpoints: sees no money, and has to know all the same."""
    return _allowed(request, _endpoint_tasks(events_waiting()))


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
    task = Task(title, count, list_url(f"{app}_{name}", filters), note, is_urgent and count > 0)
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
        url=list_url("refunds_refund", {"status__exact": "processing"}),
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
