"""The invariants in production: every quarter of an hour over what changed, every night over all.

Results are rows, for the first page, the figures and the alarms. Both read one snapshot, through
the alias that reports read through; they hold no lock and stop no payment.
"""

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.transaction import atomic

import balances.invariants
import payments.invariants
import payments.invariants_evidence
import payments.invariants_topups
import refunds.invariants
import refunds.invariants_evidence
from backoffice.models import LawRun, LawRunKind
from backoffice.ops.audit import (
    CHECKS,
    check_roots_kept,
    consistent_reads,
    few_collections,
    to_its_end,
)
from backoffice.ops.invariants import check_keys
from tcmpay.common import clock
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.invariants import Check, Scope

logger = logging.getLogger(__name__)

# What changed a little before the last run began may not have been committed then.
LEEWAY = timedelta(minutes=10)
SINCE_MAX = timedelta(days=1)
EXAMPLES_MAX = 10
KEPT_FOR = timedelta(days=30)
# (hours in Asia/Shanghai) When the whole is looked at: before the day's first patients.
NIGHT = range(3, 7)
RECENT_CHECKS: tuple[Check, ...] = (
    *payments.invariants.CHECKS,
    *payments.invariants_evidence.CHECKS,
    *payments.invariants_topups.CHECKS,
    *refunds.invariants.CHECKS,
    *refunds.invariants_evidence.CHECKS,
    *balances.invariants.CHECKS,
    check_keys,
)


def recent_run() -> int:
    """Check what changed since the last run; how many violations there are."""
    now = clock.now()
    last = newest(LawRunKind.RECENT)
    since = max(last.began_at - LEEWAY, now - SINCE_MAX) if last else now - SINCE_MAX
    run = LawRun.objects.create(kind=LawRunKind.RECENT, since=since, began_at=now)
    return _run(run, RECENT_CHECKS)


def whole_run_if_due() -> int:
    """At night, once a business day: check everything; how many violations there are."""
    now = clock.now()
    if now.astimezone(SHANGHAI).hour not in NIGHT:
        return 0
    run = _claimed(clock.business_day(now), now)
    if run is None:
        return 0
    with few_collections():
        return _run(run, (*CHECKS, check_roots_kept))


def _claimed(day: date, now: datetime) -> LawRun | None:
    try:
        with atomic():
            return LawRun.objects.create(kind=LawRunKind.WHOLE, day=day, began_at=now)
    except IntegrityError:
        return None  # of two workers the other one has begun it


def _run(run: LawRun, checks: Iterable[Check]) -> int:
    scope = Scope(using=settings.SNAPSHOT_DATABASE, since=run.since)
    with consistent_reads():
        for check in checks:
            for finding in to_its_end(check, scope):
                if finding.is_notice:
                    continue
                run.unfinished += finding.is_unfinished
                run.violations += not finding.is_unfinished
                if len(run.examples) < EXAMPLES_MAX and not finding.is_unfinished:
                    run.examples.append(
                        {
                            "code": finding.code,
                            "object": f"{finding.object_type} {finding.object_id}",
                            "message": str(finding.message),
                        }
                    )
    run.ended_at = clock.now()
    run.save()
    if run.violations:
        extra = {"kind": str(run.kind), "violations": run.violations, "examples": run.examples}
        logger.error("laws_broken", extra=extra)
    LawRun.objects.filter(began_at__lt=run.ended_at - KEPT_FOR).delete()
    return run.violations


def newest(kind: LawRunKind) -> LawRun | None:
    """The newest run that came to its end."""
    rows = LawRun.objects.filter(kind=kind).exclude(ended_at=None)
    return rows.order_by("-began_at").first()


def newest_runs() -> list[LawRun]:
    """The newest finished run of each kind that there is."""
    return [run for kind in LawRunKind if (run := newest(kind)) is not None]
