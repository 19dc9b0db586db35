"""How staff pages write values: money, times, states and numbers look the same everywhere."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from tcmpay.common import clock

EMPTY = "—"
UUID_PARTS = re.compile(
    r"([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{6})([0-9a-f]{6})"
)
# Characters that are not seen and turn round the order in which others are: what somebody wrote
# would read as something else.
DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# What a state means for the reader, as a colour.
GOOD, WAITING, BAD, NEUTRAL, RUNNING = "good", "waiting", "bad", "neutral", "running"


def directions_shown(text: str) -> str:
    """``text`` with each character that would change the direction of reading spelled out."""
    return DIRECTIONS.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def money_text(amount: Decimal | None) -> str:
    """``amount`` (yuan) for reading: ``1,234.50``."""
    if amount is None:
        return EMPTY
    return format_html('<span class="tcm-money">{}</span>', f"{amount:,.2f}")


def time_text(moment: datetime | None) -> str:
    """``moment`` in Asia/Shanghai."""
    if moment is None:
        return EMPTY
    local = moment.astimezone(clock.SHANGHAI)
    markup = '<span class="tcm-time">{}<span class="tcm-seconds">{}</span></span>'
    return format_html(markup, f"{local:%Y-%m-%d %H:%M}", f"{local::%S}")


def counted_text(day: date | None, moved_at: datetime | None) -> str:
    """The business day that money counts in; where its own was closed already, that one too."""
    if day is None or moved_at is None:
        return EMPTY
    own = clock.business_day(moved_at)
    if own == day:
        return day.isoformat()
    text = _("%(day)s（%(own)s 已日结，之后才入账）")
    return text % {"day": day.isoformat(), "own": own.isoformat()}


def age_text(since: datetime) -> str:
    """How long ago ``since`` was, in the largest unit that says something."""
    waited: timedelta = max(clock.now() - since, timedelta(0))
    minutes = int(waited.total_seconds()) // 60
    if minutes < 60:
        return _("%(number)d 分钟") % {"number": minutes}
    if minutes < 48 * 60:
        return _("%(number)d 小时") % {"number": minutes // 60}
    return _("%(number)d 天") % {"number": minutes // (24 * 60)}


def reached(row: Any, way: str) -> Any:
    """What ``way`` (dots reach into related rows; empty: the row itself) leads to; or None."""
    for name in way.split(".") if way else ():
        row = getattr(row, name, None)
    return row


def error_text(row: Any) -> str:
    """What a gateway said went wrong with an attempt or a refund."""
    return "：".join(filter(None, (row.error_code, row.error_message))) or EMPTY


def badge(text: object, tone: str = NEUTRAL) -> str:
    return format_html('<span class="tcm-badge tcm-badge-{}">{}</span>', tone, text)


def code_text(value: object) -> str:
    """A number or id, in letters that can be told apart and copied."""
    if value is None or value == "":
        return EMPTY
    return format_html('<span class="tcm-code">{}</span>', id_text(value))


def id_text(value: object) -> str:
    """A UUID whose middle lists leave out, so that their last columns stay in sight; what is
    selected and copied is the whole of it. Anything else as it is.
    """
    parts = UUID_PARTS.fullmatch(str(value))
    if parts is None:
        return str(value)
    markup = '<span title="{}">{}<span class="tcm-id-middle">{}</span>{}</span>'
    return format_html(markup, value, *parts.groups())
