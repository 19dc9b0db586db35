"""Where the payer is led back to: the address that the link is bound to, and how it ended."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from payments.cashier.links import CashierLink
from payments.models import PaymentOrder
from payments.serializers import is_allowed_return_url

TOLD = ("order_id", "status")


def return_address(link: CashierLink, order: PaymentOrder) -> str:
    """``return_url`` with ``order_id`` and ``status``; "" where there is none, or its origin was
    taken out of RETURN_URL_ORIGINS since."""
    if not link.return_url or not is_allowed_return_url(link.return_url):
        return ""
    parts = urlsplit(link.return_url)
    own = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in TOLD]
    query = urlencode([*own, *zip(TOLD, (order.id, order.status), strict=True)])
    return urlunsplit(parts._replace(query=query))
