"""How long paying takes, for Prometheus: the gateways' calls, and money's way into our books."""

from prometheus_client import Histogram

from payments.booking import Booking
from payments.models import GatewayExchange, PaymentTransaction

_CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 30)
_WAIT_BUCKETS = (1, 2, 5, 15, 30, 60, 300, 900, 3600, 7200, 86_400)

GATEWAY_CALL_SECONDS = Histogram(
    "gateway_call_seconds",
    "A question to a gateway, from asking to its answer or failure",
    ["gateway", "kind", "outcome"],
    buckets=_CALL_BUCKETS,
)
PAYMENT_SECONDS = Histogram(
    "payment_seconds",
    "A gateway payment that was applied, from its start to its booking: the payer's time, too",
    ["method"],
    buckets=_WAIT_BUCKETS,
)
BOOKING_SECONDS = Histogram(
    "payment_booking_seconds",
    "From the moment at which the gateway says that money moved to its booking: our time alone",
    ["method"],
    buckets=_WAIT_BUCKETS,
)


def call_timed(exchange: GatewayExchange) -> None:
    labels = (exchange.transaction.payment_method, exchange.kind, exchange.outcome)
    GATEWAY_CALL_SECONDS.labels(*map(str, labels)).observe(exchange.took_ms / 1000)


def payment_timed(attempt: PaymentTransaction, booking: Booking) -> None:
    """Of a unit that is repeated each time counts: rare, and no figure to settle by."""
    method = str(attempt.payment_method)
    begun, booked = attempt.initiated_at, booking.booked_at
    PAYMENT_SECONDS.labels(method).observe(max(0.0, (booked - begun).total_seconds()))
    waited = (booked - booking.moved_at).total_seconds()
    BOOKING_SECONDS.labels(method).observe(max(0.0, waited))
