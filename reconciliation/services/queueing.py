"""Comparisons that take longer than a request may: the day's row is the queue."""

import logging
from datetime import date, datetime, timedelta

from config.gateways.merchants import Merchant
from gateways.interface import BillRefused
from reconciliation.errors import BillsChanged
from reconciliation.models import BillFile, ReconciledDay
from reconciliation.selectors import merchant_of
from reconciliation.services.importing import day_lock
from reconciliation.services.running import AUDIT_OBJECT, day_reconcile
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

RUN_TASK = "reconciliation.compare_days"
# More lines than that take seconds.
LINES_AT_ONCE_MAX = 20_000
# No further day is begun then: tasks are stopped after 90 seconds.
RUN_SECONDS = 45.0
# A run that did not end by then is taken to have died.
LEASE = timedelta(minutes=10)


def is_long(merchant: Merchant, day: date) -> bool:
    """Whether comparing the day with its bills is nothing to wait for."""
    bills = BillFile.objects.filter(
        payment_method=merchant.method,
        merchant=merchant.number,
        day=day,
        current_key__isnull=False,
    )
    return sum(bills.values_list("lines", flat=True)) > LINES_AT_ONCE_MAX


@money_unit
def day_compare_ask(*, actor: Actor, merchant: Merchant, day: date) -> None:
    """Have the day compared soon, as ``actor`` asks."""
    row = day_lock(merchant, day)
    columns_write(row, compare_at=clock.now(), compare_asked_by=actor.id)
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=row.id,
        action="day_compare_asked",
        actor=actor,
        details={
            "day": day.isoformat(),
            "payment_method": merchant.method,
            "merchant": merchant.number,
        },
    )
    ring(RUN_TASK)


def days_compare() -> int:
    """Compare what was asked for, each by itself; how many days there were."""
    done = 0
    asked = ReconciledDay.objects.filter(compare_at__lte=clock.now()).order_by("compare_at")
    for row in in_time(list(asked), seconds=RUN_SECONDS):
        now = clock.now()
        mine = ReconciledDay.objects.filter(id=row.id, compare_at__lte=now)
        if mine.update(compare_at=now + LEASE):
            with by_itself(logger, "day_compare_failed", day=str(row.day)):
                _compare(row, now + LEASE)
            done += 1
    return done


def _compare(row: ReconciledDay, held_until: datetime) -> None:
    actor = Actor(row.compare_asked_by, Role.STAFF)
    # Whoever asks meanwhile asks for another comparison.
    mine = ReconciledDay.objects.filter(id=row.id, compare_at=held_until)
    try:
        day_reconcile(actor=actor, merchant=merchant_of(row), day=row.day)
    except BillsChanged:
        mine.update(compare_at=clock.now())
    except (BillRefused, DomainError) as error:
        # Trying again would say the same; the day is not compared, which stands in its close's way.
        reason = str(getattr(error, "text", error))
        logger.warning("day_compare_refused", extra={"day": str(row.day), "reason": reason})
        mine.update(compare_at=None)
