"""Keeping the sums of finished business days."""

from datetime import date, timedelta

from backoffice.day_totals import ONE_DAY, counted
from backoffice.models import DayTotal, TotalKind, TotalledDay
from payments.models import PaymentOrder
from tcmpay.common import clock
from tcmpay.common.db import money_unit

# A payment of the old day may still be committing after midnight; none takes this long.
SETTLED_AFTER = timedelta(minutes=15)
DAYS_PER_RUN_MAX = 62


def day_totals_catch_up() -> int:
    """Total every finished day that has no totals yet, newest first, up to a bound.

    Returns how many days were totalled.
    """
    last = clock.business_day(clock.now() - SETTLED_AFTER) - ONE_DAY
    oldest = PaymentOrder.objects.order_by("created_at").values_list("created_on", flat=True)
    first = oldest.first()
    if first is None:
        return 0
    done = set(TotalledDay.objects.filter(day__lte=last).values_list("day", flat=True))
    days = (last - timedelta(days=back) for back in range((last - first).days + 1))
    missing = [day for day in days if day not in done][:DAYS_PER_RUN_MAX]
    for day in missing:
        day_totals_keep(day)
    return len(missing)


@money_unit
def day_totals_keep(day: date) -> None:
    """Count a finished day's rows and keep the sums; again and again with the same result."""
    # First, so that of two who total one day the second waits for the first.
    TotalledDay.objects.update_or_create(day=day, defaults={"totalled_at": clock.now()})
    DayTotal.objects.filter(day=day).delete()
    DayTotal.objects.bulk_create(
        DayTotal(
            day=cell.day,
            kind=kind,
            payment_method=cell.method,
            service=cell.service,
            number=total.count,
            amount=total.amount,
        )
        for kind in TotalKind
        for cell, total in counted(kind, day, day).items()
    )
