"""The day of money is the gateway's; the moment at which we booked it is kept beside it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from payments.models import PaymentOrder
from payments.services.closed_days import past_day_booked
from tcmpay.common import clock

# Gateways tell whole seconds, so that a payment in the second of its order seems to come before
# it, and no two clocks agree. A minute is also from where the doctor calls our clock wrong.
CLOCKS_DIFFER_BY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Booking:
    """When money moved (UTC), the business day (Asia/Shanghai) that it counts in, and when it
    was written into our books (UTC).

    The day is that of the movement, or the first open one where that is closed.
    """

    moved_at: datetime
    day: date
    booked_at: datetime

    @property
    def told(self) -> dict[str, str]:
        """For the trail, so that times and days in the rows can be compared with it."""
        told = {"moved_at": clock.utc_text(self.moved_at), "day": self.day.isoformat()}
        closed = clock.business_day(self.moved_at)
        return told if closed == self.day else told | {"closed_day": closed.isoformat()}


def booking_of(order: PaymentOrder, reported_at: datetime | None = None) -> Booking:
    """Money of ``order`` booked now, which the gateway says moved at ``reported_at``.

    A moment before the order or in the future is no gateway's word to go by, and where there is
    none (a balance payment, an answer without it) the moment of booking is the moment of money.
    The only place that decides the day of a payment or a refund. A past day's booking waits for
    whoever closes a day, and the other way round; the order and its rows are locked before.
    """
    booked_at = clock.now()
    moved_at = _credible(reported_at, order.created_at, booked_at) or booked_at
    day = clock.business_day(moved_at)
    if day < clock.business_day(booked_at):
        day, booked_at = past_day_booked(day)
    return Booking(moved_at, day, booked_at)


def _credible(
    reported_at: datetime | None, ordered_at: datetime, booked_at: datetime
) -> datetime | None:
    if reported_at is None:
        return None
    earliest, latest = ordered_at - CLOCKS_DIFFER_BY, booked_at + CLOCKS_DIFFER_BY
    return reported_at if earliest <= reported_at <= latest else None
