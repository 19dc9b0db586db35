"""What the database tells about the running system, as gauges: the same for whoever asks.

Whoever watches reads them here: ``/metrics``, our own alarms, the first page. Counts go by an
index and end at COUNTED_MAX, or at the last minutes.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min, QuerySet
from redis import Redis
from redis.exceptions import RedisError

from backoffice.models import LawRunKind
from backoffice.ops.backups import NAMES, StampUnreadable, backup_stamp
from backoffice.ops.laws import newest
from backoffice.ops.liveness import gateways_failing, is_paid_order_missing
from backoffice.ops.signs import BEAT, WORKER, signs_seen
from config.gateways.examine import expiries_current
from config.models import GatewayMethod
from payments.models import (
    GatewayExchange,
    PaymentCallback,
    PaymentException,
    PaymentOrder,
    PaymentTransaction,
)
from payments.selectors import begun_since, surplus_payments
from payments.services.activations import activations_failing
from payments.states import ExchangeOutcome, OrderStatus, TransactionType
from reconciliation.figures import verified_share_of_day
from reconciliation.models import Difference, ReconciledDay
from reconciliation.selectors import verified_share
from reconciliation.stand import days_late
from refunds.models import Refund, RefundBulk, RefundBulkRow
from refunds.states import UNFINISHED_BULKS, BulkOutcome, RefundStatus
from tcmpay.audit.roots import roots_not_told
from tcmpay.common import clock
from tcmpay.version import __version__
from webhooks.models import WebhookEndpoint
from webhooks.selectors import (
    deliveries_given_up,
    deliveries_waiting,
    events_waiting,
    oldest_undelivered_at,
)

# Enough to alarm; a count of everything would cost more the worse things are.
COUNTED_MAX = 10_000
# What "lately" means in a figure's name.
LATELY = timedelta(minutes=5)
LATE_AFTER = timedelta(minutes=5)
BROKER_TIMEOUT_SECONDS = 0.5
# Causes of their own in one figure; gateways name the others by the hundred.
REASONS_MAX = 20
OTHER = "other"

Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge: its name without ``tcmpay_``, what it tells, and its values by their labels'."""

    name: str
    text: str
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]

    def among(self, match: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], float]]:
        """The values whose labels are as in ``match``, with all their labels."""
        for values, value in self.samples:
            labels = dict(zip(self.labels, values, strict=True))
            if all(labels[name] == wanted for name, wanted in match.items()):
                yield labels, value


def single(name: str, text: str, value: float) -> Figure:
    return Figure(name, text, (), (((), float(value)),))


def figures() -> Iterator[Figure]:
    """Everything; a database that is away is told, not raised."""
    started = time.perf_counter()
    try:
        found = [figure for part in PARTS for figure in part()]
        yield single("database_up", "1: the database answers", 1)
        yield from found
    except DatabaseError:
        connection.close_if_unusable_or_obsolete()
        yield single("database_up", "1: the database answers", 0)
    seconds = time.perf_counter() - started
    yield single("queue_count_seconds", "how long counting from the database took", seconds)
    yield from _broker()
    yield Figure("build_info", "the version that runs", ("version",), (((__version__,), 1.0),))


# --- what waits ---------------------------------------------------------------------------------


def _overdue_orders() -> QuerySet[Any]:
    return PaymentOrder.objects.filter(
        status=OrderStatus.PENDING, expire_time__lt=clock.now() - LATE_AFTER
    )


def _open_attempts() -> QuerySet[Any]:
    return PaymentTransaction.objects.pending().filter(next_check_at__isnull=False)


def _late_attempts() -> QuerySet[Any]:
    return _open_attempts().filter(next_check_at__lt=clock.now() - LATE_AFTER)


def _refunds(status: RefundStatus) -> Callable[[], QuerySet[Any]]:
    return lambda: Refund.objects.filter(status=status)


# name → (what it tells, the rows that are counted). Each by an index.
QUEUES: Mapping[str, tuple[str, Callable[[], QuerySet[Any]]]] = {
    "orders_overdue": ("pending orders more than 5 minutes past their time", _overdue_orders),
    "attempts_open": ("attempts that a gateway may still report", _open_attempts),
    "attempts_late": ("attempts whose question is 5 minutes overdue", _late_attempts),
    "closes_owed": (
        "attempts that still have to be closed at their gateway",
        lambda: _open_attempts().filter(is_close_owed=True),
    ),
    "refunds_to_review": ("refunds that wait for a person", _refunds(RefundStatus.PENDING)),
    "refunds_processing": ("refunds that a gateway owes", _refunds(RefundStatus.PROCESSING)),
    "refunds_failed": ("refunds that a gateway refused", _refunds(RefundStatus.FAILED)),
    "refund_notices_waiting": (
        "verified refund notices not taken yet",
        lambda: PaymentCallback.objects.filter(is_picked_up=False),
    ),
    "surplus_waiting": ("late or double payments not given back", surplus_payments),
    "differences_open": (
        "open differences between gateways' bills and our books",
        lambda: Difference.objects.open(),
    ),
    "differences_doubtful": (
        "differences near midnight that wait for the next day's bill",
        lambda: Difference.objects.doubtful(),
    ),
    "webhook_events_waiting": ("events that have no sequence yet", events_waiting),
    "webhook_deliveries_waiting": (
        "deliveries that enabled endpoints have not taken yet",
        deliveries_waiting,
    ),
    "webhook_deliveries_given_up": (
        "deliveries that were tried ten times in vain",
        deliveries_given_up,
    ),
    "webhook_endpoints_disabled": (
        "endpoints that were disabled by themselves",
        lambda: WebhookEndpoint.objects.disabled_by_itself(),
    ),
    "exceptions_open": (
        "cases that a person has to look at",
        lambda: PaymentException.objects.filter(closed_at=None),
    ),
}


def _queues() -> Iterator[Figure]:
    for name, (text, rows) in QUEUES.items():
        yield single(name, text, rows().order_by()[:COUNTED_MAX].count())


def _ages() -> Iterator[Figure]:
    """How long the oldest of what waits has waited (seconds; 0: nothing waits)."""
    overdue = _oldest(
        PaymentOrder.objects.filter(status=OrderStatus.PENDING, expire_time__lt=clock.now()),
        "expire_time",
    )
    attempts = _oldest(_open_attempts(), "next_check_at")
    refunds = _oldest(Refund.objects.filter(next_check_at__isnull=False), "next_check_at")
    yield Figure(
        "sweep_oldest_seconds",
        "how long the oldest row that a sweep should have taken is overdue",
        ("sweep",),
        (
            (("orders",), _age(overdue)),
            (("attempts",), _age(attempts)),
            (("refunds",), _age(refunds)),
        ),
    )
    waiting = (RefundStatus.PENDING, RefundStatus.PROCESSING, RefundStatus.FAILED)
    yield Figure(
        "refund_oldest_seconds",
        "age of the oldest refund in each state that is not its end",
        ("status",),
        tuple(
            ((str(status.value),), _age(_oldest(Refund.objects.filter(status=status))))
            for status in waiting
        ),
    )
    bulks = RefundBulk.objects.filter(status__in=UNFINISHED_BULKS)
    yield single(
        "bulk_refund_oldest_seconds",
        "age of the oldest bulk of refunds that is not finished",
        _age(_oldest(bulks)),
    )
    oldest = oldest_undelivered_at()
    yield single("webhook_oldest_seconds", "age of the oldest event not delivered", _age(oldest))


def _bulks() -> Iterator[Figure]:
    rows = RefundBulkRow.objects.filter(bulk__status__in=UNFINISHED_BULKS).order_by()
    counts = dict(rows.values_list("outcome").annotate(rows=Count("pk")))
    yield Figure(
        "bulk_refund_rows",
        "rows of bulks of refunds that are not finished, by what became of them",
        ("result",),
        tuple(((str(one.value),), float(counts.get(one, 0))) for one in BulkOutcome),
    )


def _oldest(rows: QuerySet[Any], moment: str = "created_at") -> datetime | None:
    first: datetime | None = rows.order_by(moment).values_list(moment, flat=True).first()
    return first


def _age(moment: datetime | None) -> float:
    return max(0.0, (clock.now() - moment).total_seconds()) if moment else 0.0


def _cases() -> Iterator[Figure]:
    rows = PaymentException.objects.filter(closed_at=None).order_by()
    groups = rows.values_list("kind").annotate(count=Count("pk"), oldest=Min("opened_at"))
    found = list(groups)
    yield Figure(
        "cases_open",
        "cases that a person has to look at, by kind",
        ("kind",),
        tuple(((kind,), float(count)) for kind, count, _oldest_at in found),
    )
    yield Figure(
        "case_oldest_seconds",
        "age of the oldest open case of each kind",
        ("kind",),
        tuple(((kind,), _age(oldest)) for kind, _count, oldest in found),
    )


def _others() -> Iterator[Figure]:
    text = "gateways whose new configuration takes nothing"
    yield single("activations_failing", text, len(activations_failing()))
    text = "chains whose newest root is not kept elsewhere yet"
    yield single("roots_not_told", text, len(roots_not_told()))
    yield single("days_not_closed", "business days that should be closed by now", len(days_late()))


def _reconciliation() -> Iterator[Figure]:
    """The newest compared day's share of yuan that bills prove, and the oldest open difference."""
    rows = ReconciledDay.objects.filter(runs__gt=0)
    newest = rows.order_by("-day").first()
    shares = []
    if newest is not None:
        shares = [verified_share(row) for row in rows.filter(day=newest.day)]
        shares.append(verified_share_of_day(newest.day))  # accounts without a bill, too
    text = "share of the newest compared day's yuan that is verified, of the worst account"
    yield single("verified_share", text, float(min(shares, default=1)))
    found_at = _oldest(Difference.objects.open(), "found_at")
    yield single("difference_oldest_seconds", "age of the oldest open difference", _age(found_at))


# --- what happened lately -----------------------------------------------------------------------


def _lately() -> Iterator[Figure]:
    since = clock.now() - LATELY
    attempts = PaymentTransaction.objects.filter(
        begun_since(since), transaction_type=TransactionType.PAYMENT
    )
    yield Figure(
        "payments_lately",
        "attempts begun in the last 5 minutes, by method, state and the gateway's error",
        ("method", "state", "reason"),
        _bounded(_counts(attempts, "payment_method", "status", "error_code")),
    )
    callbacks = PaymentCallback.objects.filter(received_at__gte=since)
    yield Figure(
        "callbacks_lately",
        "callbacks received in the last 5 minutes, by what they turned out to be",
        ("method", "verdict"),
        _counts(callbacks, "payment_method", "verdict"),
    )
    calls = GatewayExchange.objects.filter(asked_at__gte=since)
    counted = _counts(calls, "transaction__payment_method", "kind", "outcome", "answer")
    answered = str(ExchangeOutcome.ANSWERED.value)
    yield Figure(
        "gateway_calls_lately",
        "questions to gateways in the last 5 minutes; CIRCUIT_OPEN: not asked, the breaker is open",
        ("gateway", "kind", "outcome", "error"),
        _bounded(
            _summed(
                ((*labels[:3], "" if labels[2] == answered else labels[3]), value)
                for labels, value in counted
            )
        ),
    )


def _counts(rows: QuerySet[Any], *columns: str) -> tuple[Sample, ...]:
    groups = rows.order_by().values_list(*columns).annotate(count=Count("pk"))
    return tuple((tuple(str(one or "") for one in row[:-1]), float(row[-1])) for row in groups)


def _bounded(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """The last label of all but the most frequent becomes ``other``."""
    frequent = sorted(samples, key=lambda sample: -sample[1])
    others = (((*labels[:-1], OTHER), value) for labels, value in frequent[REASONS_MAX:])
    return _summed([*frequent[:REASONS_MAX], *others])


def _summed(samples: Any) -> tuple[Sample, ...]:
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        sums[labels] = sums.get(labels, 0.0) + value
    return tuple(sums.items())


# --- processes and servers ----------------------------------------------------------------------


def _processes() -> Iterator[Figure]:
    seen = signs_seen()
    text = "how long ago a beat last sent something; +Inf: never"
    yield single("beat_seen_seconds", text, min(seen[BEAT].values(), default=inf))
    text = "how long ago any worker last gave a sign of life; +Inf: never"
    yield single("workers_seen_seconds", text, min(seen[WORKER].values(), default=inf))
    yield Figure(
        "worker_seen_seconds",
        "how long ago each worker of the last day gave its last sign of life",
        ("worker",),
        tuple(((name,), age) for name, age in seen[WORKER].items()),
    )


def _laws() -> Iterator[Figure]:
    runs = {kind: newest(kind) for kind in LawRunKind}
    ages = tuple(
        ((str(kind.value),), _age(run.began_at) if run else inf) for kind, run in runs.items()
    )
    ended = [(str(kind.value), run) for kind, run in runs.items() if run]
    text = "how long ago the newest finished run of the invariants began; +Inf: never"
    yield Figure("audit_age_seconds", text, ("run",), ages)
    text = "violations that it found"
    found = tuple(((kind,), float(run.violations)) for kind, run in ended)
    yield Figure("audit_violations", text, ("run",), found)
    text = "work past its time that it found"
    found = tuple(((kind,), float(run.unfinished)) for kind, run in ended)
    yield Figure("audit_unfinished", text, ("run",), found)
    text = "1: no order was paid for LIVENESS_ORDER_MINUTES of opening hours"
    yield single("paid_order_missing", text, is_paid_order_missing())
    failing = tuple(((name,), value) for name, value in gateways_failing().items())
    text = "1: fewer of a gateway's payments succeed than GATEWAY_SUCCESS_MIN_PERCENT"
    yield Figure("gateway_success_low", text, ("gateway",), failing)


def _connections() -> Iterator[Figure]:
    used: tuple[Sample, ...] = ()
    share: tuple[Sample, ...] = ()
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            count = float(cursor.fetchone()[1])
            cursor.execute("SELECT @@max_connections")
            used, share = (((), count),), (((), count / cursor.fetchone()[0]),)
    yield Figure("database_connections", "connections open at the database server", (), used)
    text = "that many, of all that the server allows"
    yield Figure("database_connections_share", text, (), share)


def _broker() -> Iterator[Figure]:
    up: tuple[Sample, ...] = ()
    waiting: tuple[Sample, ...] = ()
    if urlsplit(settings.CELERY_BROKER_URL).scheme in {"redis", "rediss"}:
        try:
            with Redis.from_url(
                settings.CELERY_BROKER_URL,
                socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
                socket_timeout=BROKER_TIMEOUT_SECONDS,
            ) as broker:
                waiting = (((), float(broker.llen("celery"))),)
            up = (((), 1.0),)
        except RedisError:
            up = (((), 0.0),)
    yield Figure("broker_up", "1: the broker answers", (), up)
    yield Figure("broker_messages", "tasks that no worker has taken yet", (), waiting)


def _certificates() -> Iterator[Figure]:
    """Of each gateway's kinds of certificates in force the one that ends first."""
    days: dict[tuple[str, ...], float] = {}
    for method in GatewayMethod.values:
        for one in expiries_current(method):
            days.setdefault((method, one.key), float(one.days_left))
    yield Figure(
        "gateway_certificate_days_left",
        "days until a certificate of the gateway configuration in force ends",
        ("gateway", "key"),
        tuple(days.items()),
    )


def _backups() -> Iterator[Figure]:
    text = "how long ago each was last done, by BACKUP_STAMP_FILE; +Inf: never, or it can't be read"
    yield Figure("backup_age_seconds", text, ("what",), tuple(_backup_ages()))


def _backup_ages() -> Iterator[Sample]:
    """Nothing where no stamp is named; of binary logs, which not everybody keeps, once there are
    any."""
    try:
        stamp = backup_stamp()
    except StampUnreadable:
        yield ("dumped",), inf
        return
    if stamp is None:
        return
    for name in NAMES:
        moment: datetime | None = getattr(stamp, f"{name}_at")
        if moment is not None or name != "logs":
            yield (name,), _age(moment) if moment else inf


PARTS: tuple[Callable[[], Iterator[Figure]], ...] = (
    _queues,
    _ages,
    _bulks,
    _cases,
    _others,
    _reconciliation,
    _lately,
    _processes,
    _laws,
    _connections,
    _certificates,
    _backups,
)
