"""The alarms: one table, for our own watch (``watch.py``) and for Prometheus (``rules.py``).

Each has a section of its name in docs/runbook.md that says what to do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import gt, lt

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backoffice.ops.backups import BACKUP_OLD_AFTER, DRILL_OLD_AFTER, LOGS_OLD_AFTER
from backoffice.ops.figures import Figure


class Severity(StrEnum):
    """``critical``: somebody has to come now; ``warning``: within the next working day."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that a person has to look at: a figure beyond its bound, for ``for_seconds``.

    ``match`` names the values of labels that it is about, ``by`` those that it tells apart.
    ``needs_outside``: while it is true our own watch may be unable to run or to tell.
    """

    name: str
    severity: Severity
    title: str | Promise
    figure: str
    above: float | None = None
    below: float | None = None
    for_seconds: int = 0
    match: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    needs_outside: bool = False

    def is_beyond(self, value: float) -> bool:
        return gt(value, self.above) if self.above is not None else lt(value, self._least)

    @property
    def _least(self) -> float:
        if self.below is None:
            raise ValueError(f"{self.name} has no bound")
        return self.below


@dataclass(frozen=True, slots=True)
class Finding:
    """An alarm whose figure is beyond its bound, of which labels, and its value."""

    alarm: Alarm
    labels: tuple[tuple[str, str], ...]
    value: float

    @property
    def key(self) -> str:
        """Steady and unique: what is told of and recovers is known by it."""
        about = ",".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.alarm.name}{{{about}}}" if about else self.alarm.name


def beyond(alarms: Iterable[Alarm], figures: Iterable[Figure]) -> Iterator[Finding]:
    """Which alarms' figures are beyond their bounds, the worst value of each."""
    by_name = {figure.name: figure for figure in figures}
    for alarm in alarms:
        worst: dict[tuple[tuple[str, str], ...], float] = {}
        choose = max if alarm.above is not None else min
        found = by_name[alarm.figure].among(alarm.match) if alarm.figure in by_name else ()
        for labels, value in found:
            key = tuple((name, labels[name]) for name in alarm.by)
            worst[key] = choose(value, worst.get(key, value))
        for key, value in worst.items():
            if alarm.is_beyond(value):
                yield Finding(alarm, key, value)


_CRITICAL, _WARNING = Severity.CRITICAL, Severity.WARNING
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

ALARMS: tuple[Alarm, ...] = (
    # --- what runs ------------------------------------------------------------------------------
    Alarm(
        name="DatabaseDown",
        severity=_CRITICAL,
        title=_("数据库没有答复"),
        figure="database_up",
        below=1,
        for_seconds=_MINUTE,
        needs_outside=True,
    ),
    Alarm(
        name="BeatSilent",
        severity=_CRITICAL,
        title=_("beat 超过 5 分钟没有派发任务"),
        figure="beat_seen_seconds",
        above=5 * _MINUTE,
        for_seconds=_MINUTE,
        needs_outside=True,
    ),
    Alarm(
        name="WorkerSilent",
        severity=_CRITICAL,
        title=_("所有 worker 超过 5 分钟没有生命迹象"),
        figure="workers_seen_seconds",
        above=5 * _MINUTE,
        for_seconds=_MINUTE,
        needs_outside=True,
    ),
    Alarm(
        name="BrokerDown",
        severity=_WARNING,
        title=_("任务队列（Redis）没有答复"),
        figure="broker_up",
        below=1,
        for_seconds=2 * _MINUTE,
    ),
    Alarm(
        name="BrokerQueueLong",
        severity=_WARNING,
        title=_("队列里的任务太多，worker 来不及做"),
        figure="broker_messages",
        above=1000,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="DatabaseConnectionsHigh",
        severity=_WARNING,
        title=_("数据库连接快用完"),
        figure="database_connections_share",
        above=0.8,
        for_seconds=5 * _MINUTE,
    ),
    # --- money ------------------------------------------------------------------------------------
    Alarm(
        name="GatewayBreakerOpen",
        severity=_CRITICAL,
        title=_("网关的熔断已打开，暂时不再调用"),
        figure="gateway_calls_lately",
        match={"error": "CIRCUIT_OPEN"},
        by=("gateway",),
        above=0,
        for_seconds=2 * _MINUTE,
    ),
    Alarm(
        name="GatewayCertificateEnding",
        severity=_WARNING,
        title=_("网关的证书 30 天内到期"),
        figure="gateway_certificate_days_left",
        by=("gateway", "key"),
        below=30,
    ),
    Alarm(
        name="GatewayCertificateEnds",
        severity=_CRITICAL,
        title=_("网关的证书三天内到期，或已经到期"),
        figure="gateway_certificate_days_left",
        by=("gateway", "key"),
        below=3,
    ),
    Alarm(
        name="NoPaidOrder",
        severity=_CRITICAL,
        title=_("营业时间里很久没有订单付款"),
        figure="paid_order_missing",
        above=0,
    ),
    Alarm(
        name="GatewaySuccessLow",
        severity=_CRITICAL,
        title=_("网关的支付成功率太低"),
        figure="gateway_success_low",
        by=("gateway",),
        above=0,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="CallbacksUntrusted",
        severity=_WARNING,
        title=_("5 分钟内有很多回调验签失败"),
        figure="callbacks_lately",
        match={"verdict": "untrusted"},
        by=("method",),
        above=20,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="ActivationFailing",
        severity=_CRITICAL,
        title=_("新启用的网关配置，每笔支付都失败"),
        figure="activations_failing",
        above=0,
    ),
    Alarm(
        name="OrdersOverdue",
        severity=_WARNING,
        title=_("有订单过了时间还没有到期"),
        figure="orders_overdue",
        above=0,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="AttemptsLate",
        severity=_WARNING,
        title=_("有支付过了时间还没有向网关查询"),
        figure="attempts_late",
        above=0,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="RefundNoticesWaiting",
        severity=_WARNING,
        title=_("有退款通知一直没能核实"),
        figure="refund_notices_waiting",
        above=0,
        for_seconds=15 * _MINUTE,
    ),
    Alarm(
        name="SurplusWaiting",
        severity=_WARNING,
        title=_("有逾期到账或重复支付的款项还没有退回"),
        figure="surplus_waiting",
        above=0,
        for_seconds=30 * _MINUTE,
    ),
    Alarm(
        name="RefundsFailed",
        severity=_WARNING,
        title=_("有退款被网关拒绝"),
        figure="refunds_failed",
        above=0,
        for_seconds=5 * _MINUTE,
    ),
    Alarm(
        name="RefundReviewOld",
        severity=_WARNING,
        title=_("有退款等了一天还没有审核"),
        figure="refund_oldest_seconds",
        match={"status": "pending"},
        above=_DAY,
    ),
    Alarm(
        name="RefundProcessingOld",
        severity=_WARNING,
        title=_("有退款在网关超过三天没有结果"),
        figure="refund_oldest_seconds",
        match={"status": "processing"},
        above=3 * _DAY,
    ),
    Alarm(
        name="CasesOld",
        severity=_WARNING,
        title=_("有差错三天没有处理"),
        figure="case_oldest_seconds",
        by=("kind",),
        above=3 * _DAY,
    ),
    # --- books ------------------------------------------------------------------------------------
    Alarm(
        name="VerifiedShareLow",
        severity=_WARNING,
        title=_("最近核对的一天，账单没有证明全部金额"),
        figure="verified_share",
        below=1,
        for_seconds=3 * _HOUR,
    ),
    Alarm(
        name="DifferenceOld",
        severity=_WARNING,
        title=_("有对账差异三天没有处理"),
        figure="difference_oldest_seconds",
        above=3 * _DAY,
    ),
    Alarm(
        name="DaysNotClosed",
        severity=_WARNING,
        title=_("有营业日到时间还没有日结"),
        figure="days_not_closed",
        above=0,
    ),
    Alarm(
        name="RootsNotTold",
        severity=_WARNING,
        title=_("封存的根哈希没能保存到别处"),
        figure="roots_not_told",
        above=0,
        for_seconds=10 * _MINUTE,
    ),
    Alarm(
        name="BooksBroken",
        severity=_CRITICAL,
        title=_("账目核对发现违规"),
        figure="audit_violations",
        by=("run",),
        above=0,
    ),
    Alarm(
        name="AuditUnfinished",
        severity=_WARNING,
        title=_("账目核对发现到时间没有做完的工作"),
        figure="audit_unfinished",
        by=("run",),
        above=0,
        for_seconds=30 * _MINUTE,
    ),
    Alarm(
        name="RecentAuditOld",
        severity=_WARNING,
        title=_("近期变化一小时没有核对过"),
        figure="audit_age_seconds",
        match={"run": "recent"},
        above=_HOUR,
        for_seconds=15 * _MINUTE,
    ),
    Alarm(
        name="WholeAuditOld",
        severity=_WARNING,
        title=_("全部账目一天半没有核对过"),
        figure="audit_age_seconds",
        match={"run": "whole"},
        above=1.5 * _DAY,
        for_seconds=_DAY,
    ),
    # --- backups ----------------------------------------------------------------------------------
    Alarm(
        name="BackupOld",
        severity=_WARNING,
        title=_("超过 26 小时没有备份，或备份的记录读不了"),
        figure="backup_age_seconds",
        match={"what": "dumped"},
        above=BACKUP_OLD_AFTER.total_seconds(),
    ),
    Alarm(
        name="BackupLogsOld",
        severity=_WARNING,
        title=_("超过 2 小时没有备份二进制日志"),
        figure="backup_age_seconds",
        match={"what": "logs"},
        above=LOGS_OLD_AFTER.total_seconds(),
    ),
    Alarm(
        name="RestoreDrillOld",
        severity=_WARNING,
        title=_("超过 8 天没有试过恢复备份"),
        figure="backup_age_seconds",
        match={"what": "verified"},
        above=DRILL_OLD_AFTER.total_seconds(),
        for_seconds=_DAY,
    ),
    # --- the platform -----------------------------------------------------------------------------
    Alarm(
        name="WebhookEndpointDisabled",
        severity=_CRITICAL,
        title=_("事件推送地址已自动停用"),
        figure="webhook_endpoints_disabled",
        above=0,
    ),
    Alarm(
        name="WebhookGivenUp",
        severity=_WARNING,
        title=_("有事件试了十次没有送到"),
        figure="webhook_deliveries_given_up",
        above=0,
    ),
    Alarm(
        name="WebhookLate",
        severity=_WARNING,
        title=_("有事件超过 5 分钟没有送到"),
        figure="webhook_oldest_seconds",
        above=5 * _MINUTE,
        for_seconds=5 * _MINUTE,
    ),
)
