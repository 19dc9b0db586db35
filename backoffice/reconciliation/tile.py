"""The business day that waits for finance, in one tile of the first page; one line when all is
well."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from backoffice.reconciliation.calendar import ONE_DAY, DayLine, day_lines, merchants_between
from backoffice.reconciliation.words import VIEW, CellState, day_url
from reconciliation.stand import days_waiting
from reconciliation.states import CloseStatus
from tcmpay.common import clock


@dataclass(frozen=True)
class Tile:
    """How the day stands, and the way to its page."""

    day: date
    url: str
    state: str
    verified: str
    note: str
    is_well: bool
    is_urgent: bool


def day_tile(reader: Any) -> Tile | None:
    """The oldest day that could be closed and is not, else yesterday. None for who may not see it,
    and where there is nothing to compare or to close."""
    if not reader.has_perm(VIEW):
        return None
    waiting = days_waiting()
    day = waiting[0] if waiting else clock.today() - ONE_DAY
    line = next(day_lines([day], merchants_between(day, day)))
    if line.state == CellState.NONE and not waiting and line.close is None:
        return None
    is_closed = line.close is not None and line.close.status == CloseStatus.SIGNED
    return Tile(
        day=day,
        url=day_url(day),
        state=_state(line, is_to_close=bool(waiting)),
        verified=line.verified,
        note="，".join(_notes(line, len(waiting))),
        is_well=is_closed or (line.state == CellState.AGREED and not waiting),
        is_urgent=line.state in (CellState.OPEN, CellState.MISSING) or len(waiting) > 1,
    )


def _state(line: DayLine, *, is_to_close: bool) -> str:
    if line.close is not None:
        return str(line.close.get_status_display())
    if is_to_close and line.state in (CellState.AGREED, CellState.NONE):
        return _("待日结")
    return str(line.state.label)


def _notes(line: DayLine, waiting: int) -> list[str]:
    notes = [_("%(number)d 项差异待处理") % {"number": line.open}] if line.open else []
    notes += [
        f"{cell.name}{cell.state.label}"
        for cell in line.cells
        if cell.state in (CellState.WAITING, CellState.MISSING, CellState.DOUBTFUL)
    ]
    if waiting > 1:
        notes.append(_("共 %(number)d 天未日结") % {"number": waiting})
    return notes
