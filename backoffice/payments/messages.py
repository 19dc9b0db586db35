"""Gateways' messages for reading by staff, without what identifies a payer or could be used."""

import json
from typing import Any

from django.utils.html import format_html

from backoffice.site.display import EMPTY
from gateways.alipay.wire import readable_form
from tcmpay.common.redaction import STARS, is_secret_name, redacted_text

# What a trade is about, as Alipay calls it: it may name an illness.
DESCRIPTION = "body"


def masked(value: Any) -> Any:
    """``value`` as a gateway sent it, without what identifies a payer or could be used."""
    if isinstance(value, dict):
        return {
            key: STARS if inner and _is_hidden(str(key)) else masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    # An address that leads back to the cashier holds its link, under whatever name.
    return redacted_text(value) if isinstance(value, str) else value


def _is_hidden(key: str) -> bool:
    return is_secret_name(key) or key.lower() == DESCRIPTION


def body_fields(body: str) -> dict[str, Any]:
    """A callback's body by its fields, whichever form the gateway wrote it in; {} if in none."""
    try:
        fields = json.loads(body)
    except ValueError:
        return readable_form(body)
    return fields if isinstance(fields, dict) else {}


def message_text(value: Any) -> str:
    """A gateway's message for reading, masked."""
    if not value:
        return EMPTY
    text = json.dumps(masked(value), ensure_ascii=False, indent=2, default=str)
    return format_html('<pre class="tcm-json">{}</pre>', text)
