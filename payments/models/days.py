"""Business days (Asia/Shanghai): which are closed, and their kept figures."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from payments.states import FigureKind
from tcmpay.common.fields import MoneyField, id_field


class ClosedDay(models.Model):
    """A business day closed for bookings from ``closed_at`` on, until it was opened again, if ever.

    What is booked for it meanwhile counts in the first open day (services/closed_days.py).
    """

    id = id_field()
    day = models.DateField(_("营业日"))
    closed_at = models.DateTimeField(_("日结时间"))
    reopened_at = models.DateTimeField(_("重新打开时间"), null=True, blank=True)
    # The day while it is closed: at most once.
    closed_day = models.DateField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "payment_closed_days"
        verbose_name = _("已日结的营业日")
        verbose_name_plural = _("已日结的营业日")
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(reopened_at=None, closed_day__isnull=False, closed_day=F("day"))
                | Q(reopened_at__isnull=False, reopened_at__gt=F("closed_at"), closed_day=None),
                name="closed_day_closed_or_reopened",
            ),
        )
        indexes = (models.Index(fields=("day", "closed_at"), name="closed_day_times"),)

    def __str__(self) -> str:
        return str(self.day)


class BookingWatermark(models.Model):
    """The one row that says through which day the books are closed: whoever books for a past day
    locks it, and so does whoever closes or opens one."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    closed_through = models.DateField(null=True)
    # When a day was closed or opened last, and when something was booked last for a past day:
    # each comes after all of the other kind that it saw, whatever the hosts' clocks say.
    changed_at = models.DateTimeField(null=True)
    booked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "payment_booking_watermark"
        default_permissions = ()
        constraints = (models.CheckConstraint(condition=Q(id=1), name="booking_watermark_one"),)

    def __str__(self) -> str:
        return str(self.closed_through)


class DayFigure(models.Model):
    """How many orders, and how much (yuan), of one kind on one business day (Asia/Shanghai): of
    what was booked before its kind's ``FiguresUntil`` (``day_figures``).

    An order of which money went back on several days counts once in a period of them all:
    ``previous_day`` is the day before on which it got some back, or ``day`` itself.
    """

    id = id_field()
    kind = models.CharField(max_length=16, choices=FigureKind)
    day = models.DateField()
    previous_day = models.DateField()
    number = models.IntegerField()
    amount = MoneyField(max_digits=16)

    class Meta:
        db_table = "payment_day_figures"
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "day", "previous_day"), name="day_figure_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"


class FiguresUntil(models.Model):
    """Until when (UTC, by the moment of booking) the kept figures of a kind hold everything."""

    kind = models.CharField(max_length=16, choices=FigureKind, primary_key=True)
    until = models.DateTimeField()

    class Meta:
        db_table = "payment_figures_until"

    def __str__(self) -> str:
        return f"{self.kind} {self.until}"
