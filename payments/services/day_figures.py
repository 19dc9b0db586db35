"""Moving on the moment until which the figures of business days are kept."""

from datetime import datetime, timedelta

from payments.day_figures import BEGINNING, CREATED, PAID, Figures, Source
from payments.models import DayFigure, FiguresUntil
from payments.states import FigureKind
from tcmpay.common import clock
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.money import ZERO

# What is booked now may be committed a little later; nothing takes this long.
SETTLED_AFTER = timedelta(minutes=15)


def figures_keep() -> int:
    """Bring the orders' kept figures up to date; how many of them changed."""
    return sum(keep(source) for source in (CREATED, PAID))


def keep(source: Source) -> int:
    """Bring one kind's kept figures up to date; run twice, the second time changes nothing."""
    kept, _is_new = FiguresUntil.objects.get_or_create(
        kind=source.kind, defaults={"until": BEGINNING}
    )
    until = clock.now() - SETTLED_AFTER
    if kept.until >= until:
        return 0
    # Counted before the unit, which then only adds: rows booked so long ago change no more.
    return _add(kept, until, source.changes(source, "default", kept.until, until))


@money_unit
def _add(kept: FiguresUntil, until: datetime, changes: Figures) -> int:
    if FiguresUntil.objects.select_for_update().get(kind=kept.kind).until != kept.until:
        return 0  # another one was quicker, and counted the same rows
    for (day, previous), change in changes.items():
        figure, _is_new = DayFigure.objects.get_or_create(
            kind=kept.kind, day=day, previous_day=previous, defaults={"number": 0, "amount": ZERO}
        )
        columns_write(
            figure, number=figure.number + change.number, amount=figure.amount + change.amount
        )
    DayFigure.objects.filter(kind=kept.kind, number=0, amount=0).delete()
    FiguresUntil.objects.filter(kind=kept.kind).update(until=until)
    return len(changes)


@money_unit
def figures_forget(kind: FigureKind) -> None:
    """Keep nothing of a kind any more: all of its rows are counted when it is kept next.

    For rows that were written by SQL and say that they were booked long ago.
    """
    FiguresUntil.objects.filter(kind=kind).delete()
    DayFigure.objects.filter(kind=kind).delete()
