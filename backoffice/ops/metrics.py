"""``/metrics`` for Prometheus: what the processes counted, and how much work waits in the rows."""

import hmac
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from redis import Redis
from redis.exceptions import RedisError

from payments.models import PaymentCallback, PaymentException, PaymentOrder, PaymentTransaction
from payments.selectors import surplus_payments
from payments.services.activations import activations_failing
from payments.states import OrderStatus
from reconciliation.figures import verified_share_of_day
from reconciliation.models import Difference, ReconciledDay
from reconciliation.selectors import verified_share
from reconciliation.stand import days_late
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.audit.roots import roots_not_told
from tcmpay.common import clock
from tcmpay.common.client_address import is_this_machine
from webhooks.models import WebhookEndpoint
from webhooks.selectors import (
    deliveries_given_up,
    deliveries_waiting,
    events_waiting,
    oldest_undelivered_at,
)

logger = logging.getLogger(__name__)

# Enough to alarm; a count of everything would cost more the worse things are.
COUNTED_MAX = 10_000
# Two scrapers, or an impatient one, ask the database once.
KEPT_SECONDS = 10.0
# A process's file is empty for a moment after it was made.
FILE_BEING_MADE_SECONDS = 5.0
LATE_AFTER = timedelta(minutes=5)
BROKER_TIMEOUT_SECONDS = 0.5
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


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


class QueueDepths:
    """Counts the waiting rows when it is asked, at most every KEPT_SECONDS."""

    def __init__(self) -> None:
        self._counted_at = float("-inf")
        self._figures: dict[str, tuple[str, float]] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if time.monotonic() - self._counted_at >= KEPT_SECONDS:
            self._figures = dict(self._count())
            self._counted_at = time.monotonic()
        for name, (text, value) in self._figures.items():
            yield GaugeMetricFamily(f"tcmpay_{name}", text, value=value)

    def _count(self) -> Iterator[tuple[str, tuple[str, float]]]:
        started = time.perf_counter()
        try:
            figures = [
                (name, (text, float(rows().order_by()[:COUNTED_MAX].count())))
                for name, (text, rows) in QUEUES.items()
            ]
            failing = float(len(activations_failing()))
            yield "database_up", ("1: the database answers", 1.0)
            untold = float(len(roots_not_told()))
            yield "roots_not_told", ("chains whose newest root is not kept elsewhere yet", untold)
            yield from _reconciliation_figures()
            oldest = oldest_undelivered_at()
            age = (clock.now() - oldest).total_seconds() if oldest else 0.0
            yield "webhook_oldest_seconds", ("age of the oldest event not delivered yet", age)
            late = float(len(days_late()))
            yield "days_not_closed", ("business days that should be closed by now", late)
            yield "activations_failing", ("gateways whose new configuration takes nothing", failing)
            yield from figures
        except DatabaseError:
            connection.close_if_unusable_or_obsolete()
            yield "database_up", ("1: the database answers", 0.0)
        seconds = time.perf_counter() - started
        yield "queue_count_seconds", ("how long counting the queues took", seconds)
        yield from _broker_figures()


def _reconciliation_figures() -> Iterator[tuple[str, tuple[str, float]]]:
    """The newest compared day's share of yuan that bills prove, and the oldest open difference."""
    rows = ReconciledDay.objects.filter(runs__gt=0)
    newest = rows.order_by("-day").first()
    shares = []
    if newest is not None:
        shares = [verified_share(row) for row in rows.filter(day=newest.day)]
        shares.append(verified_share_of_day(newest.day))  # accounts without a bill, too
    text = "share of the newest compared day's yuan that is verified, of the worst account"
    yield "verified_share", (text, float(min(shares, default=1)))
    oldest = Difference.objects.open().order_by("found_at").values_list("found_at", flat=True)
    found_at = oldest.first()
    seconds = (clock.now() - found_at).total_seconds() if found_at else 0.0
    yield "difference_oldest_seconds", ("age of the oldest open difference", seconds)


def _broker_figures() -> Iterator[tuple[str, tuple[str, float]]]:
    if urlsplit(settings.CELERY_BROKER_URL).scheme not in {"redis", "rediss"}:
        return
    try:
        with Redis.from_url(
            settings.CELERY_BROKER_URL,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
            socket_timeout=BROKER_TIMEOUT_SECONDS,
        ) as broker:
            waiting = float(broker.llen("celery"))
    except RedisError:
        yield "broker_up", ("1: the broker answers", 0.0)
        return
    yield "broker_up", ("1: the broker answers", 1.0)
    yield "broker_messages", ("tasks that no worker has taken yet", waiting)


QUEUE_DEPTHS = QueueDepths()


def discard_damaged_figures(folder: Path) -> None:
    """Throw away what processes counted and can't be read: one such file would hide them all."""
    for file in folder.glob("*.db"):
        try:
            if time.time() - file.stat().st_mtime < FILE_BEING_MADE_SECONDS:
                continue
            for _value in MmapedDict.read_all_values_from_file(str(file)):
                pass
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError, ValueError, struct.error) as error:
            logger.warning("metrics_thrown_away", extra={"file": file.name, "reason": str(error)})
            file.unlink(missing_ok=True)


def metrics(request: HttpRequest) -> HttpResponse:
    if refusal := _refusal(request):
        return refusal
    processes: Any = REGISTRY
    if os.environ.get(MULTIPROCESS_FOLDER):
        discard_damaged_figures(Path(os.environ[MULTIPROCESS_FOLDER]))
        processes = CollectorRegistry()
        MultiProcessCollector(processes)
    queues = CollectorRegistry()
    queues.register(QUEUE_DEPTHS)
    body = generate_latest(processes) + generate_latest(queues)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """None for whoever may look: with METRICS_TOKEN its holder, else this machine, directly."""
    if settings.METRICS_TOKEN:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        wanted = f"Bearer {settings.METRICS_TOKEN}"
        if hmac.compare_digest(given.encode(), wanted.encode()):
            return None
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse(status=401, headers=headers, content_type="text/plain")
    if is_this_machine(request.META):
        return None
    return HttpResponse(status=404, content_type="text/plain")
