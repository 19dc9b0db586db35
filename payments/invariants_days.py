"""The day of money (T3): what the rows say of it follows from when money moved, when it was booked
and which days were closed then."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from payments.models import BookingWatermark, ClosedDay, PaymentOrder
from payments.services.closed_days import ClosedDays
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.fields import BusinessDay
from tcmpay.common.invariants import Scope, Violation, in_chunks


def wrong_days(scope: Scope, rows: QuerySet[Any], day: str, moment: str) -> Iterator[Any]:
    """The ``rows`` that count in another day than they should by ``moment`` and ``booked_at``.

    Exactly what was booked while its day was closed may count later: in the first day open then.
    """
    if scope.since is not None:
        rows = rows.filter(booked_at__gte=scope.since)
    closed = ClosedDays.read(using=scope.using)
    moved = rows.exclude(**{moment: None}).filter(
        Q(**{day: None}) | ~Q(**{day: BusinessDay(moment)})
    )
    for row in in_chunks(moved, "id"):
        if getattr(row, day) != closed.day_of(getattr(row, moment), row.booked_at):
            yield row
    for begins, ends, through in closed.periods():
        stayed = rows.filter(booked_at__gte=begins, **{f"{day}__lte": through})
        stayed = stayed if ends is None else stayed.filter(booked_at__lt=ends)
        yield from in_chunks(stayed, "booked_at", "id")


def check_order_days(scope: Scope) -> Iterator[Violation]:
    """Every payment counts in the day in which it moved, or the first open one."""
    paid = PaymentOrder.objects.using(scope.using)
    for order in wrong_days(scope, paid, "paid_on", "payment_time"):
        text = _("%(number)s: 支付日不是支付时间所在的营业日，也不是当时第一个未日结的营业日")
        yield Violation(
            "T3", PaymentOrder.AUDIT_OBJECT, str(order.id), text % {"number": order.order_no}
        )


def check_closed_days(scope: Scope) -> Iterator[Violation]:
    """Closed days lie side by side, and the watermark tells of the newest and of its moment."""
    found = list(ClosedDay.objects.using(scope.using).order_by("day"))
    days = [one.closed_day for one in found if one.closed_day is not None]
    for before, day in pairwise(days):
        if day - before != ONE_DAY:
            text = _("与前一个已日结的营业日 %(before)s 之间有缺口")
            yield Violation("T3", "closed_day", str(day), text % {"before": before})
    moments = [moment for one in found for moment in (one.closed_at, one.reopened_at) if moment]
    expected = (days[-1] if days else None, max(moments, default=None))
    watermarks = list(BookingWatermark.objects.using(scope.using))
    told = [(one.closed_through, one.changed_at) for one in watermarks]
    if told != [expected] and (told or found):
        text = _("入账界限不是最新的已日结营业日")
        yield Violation("T3", "closed_day", str(expected[0]), text)


CHECKS = (check_order_days, check_closed_days)
