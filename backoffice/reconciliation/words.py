"""What the pages of reconciliation call things, and the tones they say them in."""

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from backoffice.site.display import BAD, EMPTY, GOOD, NEUTRAL, RUNNING, WAITING
from backoffice.today.periods import FIRST_DAY
from reconciliation.models import Difference
from reconciliation.states import DifferenceType
from tcmpay.common import clock
from tcmpay.common.money import ZERO, Money

DAY_PAGE = "reconciliation_reconciledday"
BILL_PAGE = "reconciliation_billfile"

VIEW = "reconciliation.view_reconciledday"
IMPORT = "reconciliation.import_bill"
DOWNLOAD = "reconciliation.download_bill"
RUN = "reconciliation.run_reconciliation"


class CellState(models.TextChoices):
    """How one merchant number's business day stands."""

    NONE = "none", _("无")
    WAITING = "waiting", _("等账单")
    MISSING = "missing", _("缺账单")
    OPEN = "open", _("有差异")
    DOUBTFUL = "doubtful", _("存疑")
    AGREED = "agreed", _("相符")
    MOCK = "mock", _("模拟支付，不对账")


CELL_TONES: Mapping[CellState, str] = {
    CellState.NONE: NEUTRAL,
    CellState.WAITING: RUNNING,
    CellState.MISSING: BAD,
    CellState.OPEN: WAITING,
    CellState.DOUBTFUL: RUNNING,
    CellState.AGREED: GOOD,
    CellState.MOCK: NEUTRAL,
}


def day_url(day: date) -> str:
    return reverse(f"admin:{DAY_PAGE}_day", args=[day.isoformat()])


def day_link(row: Any) -> str:
    """A row's business day, as a link to its page."""
    day = row.day if isinstance(row.day, date) else row.day.day
    return format_html('<a class="tcm-link tcm-nowrap" href="{}">{}</a>', day_url(day), day)


def read_day(text: str) -> date | None:
    """The business day that an address names; None where it is none that has begun."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= clock.today() else None


def percent_text(part: Money, whole: Money) -> str:
    """How much of ``whole`` is proven, never rounded up to what it is not; "—" of nothing."""
    if whole <= 0:
        return EMPTY
    share = (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
    return f"{share.normalize():f}%"


def yuan_of(ours: Money | None, theirs: Money | None) -> Money:
    """The yuan that a difference is about: what lies between both sides, or all of it where only
    one side has it, or where both have the same."""
    if ours is not None and theirs is not None and ours != theirs:
        return abs(theirs - ours)
    return abs(ours or theirs or ZERO)


def between(ours: Money | None, theirs: Money | None) -> Money | None:
    """By how many yuan the sides differ; None where both have the same, on different days say."""
    return None if ours == theirs else yuan_of(ours, theirs)


def line_text_for(row: Difference, reader: Any) -> str:
    """The line of the bill that a difference is about. One that nobody can read may name the payer
    anywhere: it is for those who may take the file."""
    if row.difference_type == DifferenceType.LINE and not reader.has_perm(DOWNLOAD):
        return ""
    return row.line_text
