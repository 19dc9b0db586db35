"""Yesterday's reconciliation in one tile of the first page; one line when all is well."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from backoffice.reconciliation.calendar import ONE_DAY, day_lines, merchants_between
from backoffice.reconciliation.words import VIEW, CellState, day_url
from tcmpay.common import clock


@dataclass(frozen=True)
class Tile:
    """How yesterday stands, and the way to its page."""

    day: date
    url: str
    state: CellState
    verified: str
    note: str

    @property
    def is_well(self) -> bool:
        return self.state == CellState.AGREED

    @property
    def is_urgent(self) -> bool:
        return self.state in (CellState.OPEN, CellState.MISSING)


def yesterday_tile(reader: Any) -> Tile | None:
    """None for who may not see it, and where no gateway has bills to compare."""
    if not reader.has_perm(VIEW):
        return None
    day = clock.today() - ONE_DAY
    line = next(day_lines([day], merchants_between(day, day)))
    if line.state == CellState.NONE:
        return None
    waits = [
        _("%(number)d 项差异待处理") % {"number": line.open} if line.open else "",
        *(
            f"{cell.name}{cell.state.label}"
            for cell in line.cells
            if cell.state in (CellState.WAITING, CellState.MISSING, CellState.DOUBTFUL)
        ),
    ]
    note = "，".join(text for text in waits if text)
    return Tile(day, day_url(day), line.state, line.verified, note)
