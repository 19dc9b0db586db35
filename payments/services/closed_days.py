"""Days whose books are closed, decided where bookings are: under the lock of one row.

A booking for a past day and the closing of a day wait for each other there, so that it counts
either in what is closed or in the first open day, never in both and never in neither. The row is
locked last (order, transaction, refund, balance, watermark); a booking for today never needs it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import zip_longest

from payments.models import BookingWatermark, ClosedDay
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.transitions import ensure_one

TICK = timedelta(microseconds=1)
# What was booked before midnight is committed by then; nothing takes nearly as long.
CLOSABLE_AFTER = timedelta(hours=1)


class DayNotOver(ValueError):
    """The day has not ended long enough ago to be closed."""


class DaysOutOfOrder(ValueError):
    """Days close one after the other, and open again the newest first."""


def watermark_lock() -> BookingWatermark:
    """The watermark, locked until the unit ends; made where there is none yet.

    Whatever is changed that a closed day stands for is changed under this lock.
    """
    rows = BookingWatermark.objects.select_for_update()
    found = rows.filter(pk=1).first()
    if found is None:
        # Of two who make it the second waits for the first.
        BookingWatermark.objects.bulk_create([BookingWatermark()], ignore_conflicts=True)
        found = rows.get(pk=1)
    return found


def past_day_booked(day: date) -> tuple[date, datetime]:
    """The day in which something counts that is booked now for the past ``day``, and the moment
    of booking (UTC): ``day`` itself, or the first open one where it is closed."""
    watermark = watermark_lock()
    now = clock.now()
    moment = max(now, watermark.changed_at or now)
    if watermark.booked_at is None or watermark.booked_at < moment:
        BookingWatermark.objects.filter(pk=1).update(booked_at=moment)
    through = watermark.closed_through
    return (day if through is None or day > through else through + ONE_DAY), moment


def day_close(watermark: BookingWatermark, day: date) -> datetime:
    """Close ``day`` for bookings under the locked ``watermark``; the moment of it (UTC).

    Raises DayNotOver, DaysOutOfOrder.
    """
    if clock.now() < closable_from(day):
        raise DayNotOver(day)
    if watermark.closed_through not in (None, day - ONE_DAY):
        raise DaysOutOfOrder(day)
    moment = _changed(watermark, closed_through=day)
    ClosedDay.objects.create(day=day, closed_at=moment, closed_day=day)
    return moment


def day_reopen(watermark: BookingWatermark, day: date) -> datetime:
    """Open the newest closed day again under the locked ``watermark``. Raises DaysOutOfOrder."""
    if watermark.closed_through != day:
        raise DaysOutOfOrder(day)
    before = ClosedDay.objects.filter(closed_day=day - ONE_DAY).exists()
    moment = _changed(watermark, closed_through=day - ONE_DAY if before else None)
    opened = ClosedDay.objects.filter(closed_day=day).update(reopened_at=moment, closed_day=None)
    ensure_one(opened, str(day))
    return moment


def _changed(watermark: BookingWatermark, *, closed_through: date | None) -> datetime:
    seen = [moment for moment in (watermark.changed_at, watermark.booked_at) if moment]
    moment = max([clock.now(), *(moment + TICK for moment in seen)])
    watermark.closed_through, watermark.changed_at = closed_through, moment
    watermark.save(update_fields=["closed_through", "changed_at"])
    return moment


def closable_from(day: date) -> datetime:
    """From when (UTC) ``day`` can be closed."""
    return clock.day_start(day + ONE_DAY) + CLOSABLE_AFTER


def closed_through(*, using: str = "default") -> date | None:
    """The newest closed day; None: no day is closed."""
    rows = BookingWatermark.objects.using(using).filter(pk=1)
    return rows.values_list("closed_through", flat=True).first()


@dataclass(frozen=True, slots=True)
class _Closing:
    """Through which day the books were closed, from a moment on."""

    at: datetime
    through: date | None


class ClosedDays:
    """Through which day the books were closed at any moment, as the rows tell."""

    def __init__(self, closings: Sequence[_Closing]) -> None:
        self._closings = closings

    @classmethod
    def read(cls, *, using: str = "default") -> "ClosedDays":
        rows = ClosedDay.objects.using(using).values_list("day", "closed_at", "reopened_at")
        changes: list[tuple[datetime, date, bool]] = []
        for day, closed_at, reopened_at in rows:
            changes.append((closed_at, day, True))
            if reopened_at is not None:
                changes.append((reopened_at, day, False))
        return cls(list(_followed(sorted(changes))))

    def through(self, moment: datetime) -> date | None:
        """The newest day that was closed at ``moment`` (UTC)."""
        place = bisect_right(self._closings, moment, key=lambda closing: closing.at)
        return self._closings[place - 1].through if place else None

    def periods(self) -> Iterator[tuple[datetime, datetime | None, date]]:
        """From when until when (None: now) the books were closed, and through which day."""
        ends = [closing.at for closing in self._closings[1:]]
        for closing, end in zip_longest(self._closings, ends):
            if closing.through is not None:
                yield closing.at, end, closing.through

    def day_of(self, moved_at: datetime, booked_at: datetime | None) -> date:
        """The day in which money counts that moved and was booked then: what ``past_day_booked``
        said, told again from the rows."""
        day = clock.business_day(moved_at)
        through = self.through(booked_at) if booked_at is not None else None
        return day if through is None or day > through else through + ONE_DAY


def _followed(changes: Iterable[tuple[datetime, date, bool]]) -> Iterable[_Closing]:
    closed: set[date] = set()
    for moment, day, is_closing in changes:
        (closed.add if is_closing else closed.discard)(day)
        yield _Closing(moment, max(closed, default=None))
