"""The kept totals against the rows that they stand for."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from backoffice.day_totals import Total, changed_days, counted, kept
from backoffice.models import TotalKind, TotalledDay
from tcmpay.common import clock
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
                            "says_no": says.count,
                            "is": is_.amount,
                            "is_no": is_.count,
                        },
                    )


CHECKS: tuple[Check, ...] = (check_day_totals,)
