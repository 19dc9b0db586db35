"""Gateways' messages for reading by staff, without what identifies a payer or could be used."""

import json
from typing import Any

from django.utils.html import format_html

from backoffice.site.display import EMPTY
from gateways.alipay.wire import readable_form

# What the gateways' messages may hold of a person, or what would let somebody pay or sign.
HIDDEN_KEYS = frozenset(
    {
        "openid", "sp_openid", "sub_openid", "payer", "buyer_id", "buyer_logon_id",
        "buyer_open_id", "buyer_user_id", "sign", "signature", "paysign", "prepay_id", "package",
        "code_url", "qr_code", "h5_url", "payment_url", "order_string", "body", "nonce_str",
        "noncestr", "ciphertext", "client_ip", "payer_client_ip", "user_received_account",
        "bank_account",
    }
)  # fmt: skip
HIDDEN = "＊＊＊"


def masked(value: Any) -> Any:
    """``value`` as a gateway sent it, without what identifies a payer or could be used."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if str(key).lower() in HIDDEN_KEYS and inner else masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return value


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
