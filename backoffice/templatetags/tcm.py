"""How the back office's own templates write money and times."""

from datetime import datetime
from decimal import Decimal

from django import template

from tcmpay.common.display import money_text, time_text

register = template.Library()


@register.filter
def money(amount: Decimal | None) -> str:
    """``amount`` (yuan) as on every other page: ``1,234.50``."""
    return money_text(amount)


@register.filter
def local_time(moment: datetime | None) -> str:
    """``moment`` in Asia/Shanghai, as on every other page."""
    return time_text(moment)
