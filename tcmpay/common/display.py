"""How staff pages write values: money, times, states and numbers look the same everywhere."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.html import format_html
from django.utils.translation import gettext as _

from tcmpay.common import clock

EMPTY = "—"

# What a state means for the reader, as a colour.
GOOD, WAITING, BAD, NEUTRAL, RUNNING = "good", "waiting", "bad", "neutral", "running"


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
    return format_html('<span class="tcm-time">{}</span>', f"{local:%Y-%m-%d %H:%M:%S}")


def age_text(since: datetime) -> str:
    """How long ago ``since`` was, in the largest unit that says something."""
    waited: timedelta = max(clock.now() - since, timedelta(0))
    minutes = int(waited.total_seconds()) // 60
    if minutes < 60:
        return _("%(number)d 分钟") % {"number": minutes}
    if minutes < 48 * 60:
        return _("%(number)d 小时") % {"number": minutes // 60}
    return _("%(number)d 天") % {"number": minutes // (24 * 60)}


def badge(text: object, tone: str = NEUTRAL) -> str:
    return format_html('<span class="tcm-badge tcm-badge-{}">{}</span>', tone, text)


def code_text(value: object) -> str:
    """A number or id, in letters that can be told apart and copied."""
    if value is None or value == "":
        return EMPTY
    return format_html('<span class="tcm-code">{}</span>', value)
