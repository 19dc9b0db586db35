"""Keeping the sums of finished business days."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from backoffice.models import DayTotal, TotalKind, TotalledDay
from backoffice.today.day_totals import SETTLED_AFTER, changed_days, counted
from payments.models import PaymentOrder
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import money_unit

DAYS_PER_RUN_MAX = 62


def day_totals_catch_up() -> int:
    """Total anew the days that money was booked for since, and every finished day that has no
    totals yet, newest first, up to a bound.

    Returns how many days were totalled for the first time.
    """
    begun_at = clock.now()
    _total_anew(changed_days(), begun_at)
    last = clock.business_day(begun_at - SETTLED_AFTER) - ONE_DAY
    oldest = PaymentOrder.objects.order_by("created_at").values_list("created_on", flat=True)
    first = oldest.first()
    if first is None:
        return 0
    done = set(TotalledDay.objects.filter(day__lte=last).values_list("day", flat=True))
    days = (last - timedelta(days=back) for back in range((last - first).days + 1))
    missing = [day for day in days if day not in done][:DAYS_PER_RUN_MAX]
    for day in missing:
        day_totals_keep(day, begun_at)
    return len(missing)


@money_unit
def _total_anew(days: Iterable[date], begun_at: datetime) -> None:
    """In one unit: from then on everything booked before ``begun_at`` is taken for totalled."""
    for day in sorted(days):
        _keep(day, begun_at)
    newest = TotalledDay.objects.order_by("-day").first()
    if newest is not None:
        newest.totalled_at = begun_at
        newest.save(update_fields=["totalled_at"])


@money_unit
def day_totals_keep(day: date, begun_at: datetime) -> None:
    """Count a finished day's rows and keep the sums; again and again with the same result."""
    _keep(day, begun_at)


def _keep(day: date, begun_at: datetime) -> None:
    # First, so that of two who total one day the second waits for the first.
    TotalledDay.objects.update_or_create(day=day, defaults={"totalled_at": begun_at})
    DayTotal.objects.filter(day=day).delete()
    DayTotal.objects.bulk_create(
        DayTotal(
            day=cell.day,
            kind=kind,
            payment_method=cell.method,
            service=cell.service,
            number=total.number,
            amount=total.amount,
        )
        for kind in TotalKind
        for cell, total in counted(kind, day, day).items()
    )
