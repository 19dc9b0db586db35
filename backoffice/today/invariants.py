"""The kept totals against the rows that they stand for."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from backoffice.models import DayTotal, TotalKind, TotalledDay
from backoffice.today.day_totals import changed_days, counted, kept
from payments.booking import CLOCKS_DIFFER_BY
from payments.day_figures import Total
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Check, Scope, Violation


def check_day_totals(scope: Scope) -> Iterator[Violation]:
    """Every totalled day equals its orders and refunds to the cent (T1).

    A day that money was booked for since is counted anew wherever it is shown, and soon kept.
    """
    changed = changed_days(using=scope.using)
    days = TotalledDay.objects.using(scope.using).order_by("day")
    if scope.since is not None:
        days = days.filter(day__gte=clock.business_day(scope.since))
    for day in days.exclude(day__in=changed).values_list("day", flat=True):
        for kind in TotalKind:
            found, stated = (
                counted(kind, day, day, using=scope.using),
                kept(kind, day, using=scope.using),
            )
            for cell in sorted(found.keys() | stated.keys()):
                is_, says = found.get(cell, Total()), stated.get(cell, Total())
                if is_ != says:
                    yield Violation(
                        "T1",
                        "day_total",
                        f"{day} {kind} {cell.method} {cell.service}",
                        _(
                            "日合计为 %(says)s 元（%(says_no)d 笔），"
                            "实际为 %(is)s 元（%(is_no)d 笔）"
                        )
                        % {
                            "says": says.amount,
                            "says_no": says.number,
                            "is": is_.amount,
                            "is_no": is_.number,
                        },
                    )


def check_totalled_days(scope: Scope) -> Iterator[Violation]:
    """Only finished days are totalled, after their end; each sum belongs to one of them (T1)."""
    days = TotalledDay.objects.using(scope.using)
    unknown = DayTotal.objects.using(scope.using).exclude(day__in=days.values("day"))
    for day in unknown.order_by("day").values_list("day", flat=True).distinct():
        yield Violation("T1", "day_total", str(day), _("有日合计，却没有记为已合计的日期"))
    now = clock.now()
    for day, totalled_at in days.order_by("day").values_list("day", "totalled_at"):
        if not clock.day_start(day + ONE_DAY) <= totalled_at <= now + CLOCKS_DIFFER_BY:
            yield Violation("T1", "day_total", str(day), _("合计时间早于当天结束或晚于现在"))


CHECKS: tuple[Check, ...] = (check_day_totals, check_totalled_days)
