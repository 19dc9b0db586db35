"""Standard Webhooks: secrets, and the headers that prove a message to be ours."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks.webhooks import Webhook

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(
    message_id: str, body: bytes, *, keys: Sequence[str], moment: datetime
) -> dict[str, str]:
    """The headers of a message that is sent at ``moment``: one signature by each of ``keys``, so
    that a receiver who knows any of them believes it."""
    text = body.decode()
    signatures = [Webhook(key).sign(message_id, moment, text) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
