"""A client of tcmpay's API without dependencies: typed calls, retries, webhooks."""

from tcmpay_client import _models as models
from tcmpay_client.client import Tcmpay
from tcmpay_client.errors import NoAnswer, Refused, TcmpayError
from tcmpay_client.money import amount_text, yuan
from tcmpay_client.transport import Patience
from tcmpay_client.webhooks import Event, NotVerified, verify

__all__ = [
    "Event",
    "NoAnswer",
    "NotVerified",
    "Patience",
    "Refused",
    "Tcmpay",
    "TcmpayError",
    "amount_text",
    "models",
    "verify",
    "yuan",
]
