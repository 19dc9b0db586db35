"""What the back office's own templates need: money and times as everywhere, lists to export."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template

from backoffice.exports.columns import LISTS
from backoffice.site.display import money_text, time_text
from backoffice.site.own_words import own_words
from tcmpay.version import __version__

register = template.Library()


@register.filter
def money(amount: Decimal | None) -> str:
    """``amount`` (yuan) as on every other page: ``1,234.50``."""
    return money_text(amount)


@register.filter
def ours(text: str) -> str:
    """A sentence of our own that is kept in a row, in the reader's language."""
    return own_words(text)


@register.filter
def local_time(moment: datetime | None) -> str:
    """``moment`` in Asia/Shanghai, as on every other page."""
    return time_text(moment)


@register.filter
def last_step(original: Any) -> str:
    """What the page is called in its breadcrumbs, where it is not an object's own page."""
    return original if isinstance(original, str) else ""


@register.simple_tag
def product_version() -> str:
    """The version that serves, for the foot of the pages of staff."""
    return __version__


@register.filter
def export_page(model_admin: Any) -> str:
    """What an export calls this list; "" when the list is not one to export."""
    page = f"{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    return page if page in LISTS else ""
