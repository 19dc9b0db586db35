"""The business days that wait for finance: tiles of the first page, one line when all is well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from backoffice.reconciliation.calendar import DayLine, day_lines, merchants_between
from backoffice.reconciliation.words import VIEW, CellState, day_url
from reconciliation.stand import days_waiting
from reconciliation.states import CloseStatus
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY

# States in which nothing is left to compare.
QUIET = (CellState.AGREED, CellState.MOCK, CellState.NONE)


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
    is_mock: bool


def day_tiles(reader: Any) -> list[Tile]:
    """Yesterday, and the oldest day that could be closed and is not where that is another. None for
    who may not see them, and where there is nothing to compare or to close."""
    if not reader.has_perm(VIEW):
        return []
    waiting, yesterday = days_waiting(), clock.today() - ONE_DAY
    days = [yesterday, *waiting[:1]] if yesterday not in waiting[:1] else [yesterday]
    lines = day_lines(days, merchants_between(min(days), yesterday))
    found = [_tile(line, waiting) for line in lines if _is_something(line, waiting)]
    # One line says that all is well; it says nothing beside what waits.
    return [one for one in found if not one.is_well] or found[:1]


def _is_something(line: DayLine, waiting: Sequence[date]) -> bool:
    is_known = line.state != CellState.NONE or line.close is not None
    return is_known or line.day in waiting[:1]


def _tile(line: DayLine, waiting: Sequence[date]) -> Tile:
    is_next = line.day in waiting[:1]
    is_closed = line.close is not None and line.close.status == CloseStatus.SIGNED
    left = len(waiting) if is_next else 0
    return Tile(
        day=line.day,
        url=day_url(line.day),
        state=_state(line, is_to_close=is_next),
        verified=line.verified,
        note=_("，").join(_notes(line, left)),
        is_well=is_closed or (line.state in QUIET and not is_next),
        is_urgent=line.state in (CellState.OPEN, CellState.MISSING) or left > 1,
        is_mock=line.state == CellState.MOCK,
    )


def _state(line: DayLine, *, is_to_close: bool) -> str:
    if line.close is not None:
        return str(line.close.get_status_display())
    if is_to_close and line.state in QUIET:
        return _("待日结")
    return str(line.state.label)


def _notes(line: DayLine, waiting: int) -> list[str]:
    notes = [_("%(number)d 项差异待处理") % {"number": line.open}] if line.open else []
    notes += [
        _("%(name)s%(state)s") % {"name": cell.name, "state": cell.state.label}
        for cell in line.cells
        if cell.state in (CellState.WAITING, CellState.MISSING, CellState.DOUBTFUL)
    ]
    if waiting > 1:
        notes.append(_("共 %(number)d 天未日结") % {"number": waiting})
    return notes
