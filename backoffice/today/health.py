"""How the gateways did in the last hour, from their attempts, calls and callbacks."""

from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from config.models import GatewayMethod
from gateways.interface import GATEWAY_METHODS
from payments.models import GatewayExchange, PaymentCallback, PaymentTransaction
from payments.selectors import begun_since
from payments.states import (
    ExchangeOutcome,
    TransactionStatus,
    TransactionType,
    Verdict,
)
from tcmpay.common import clock

WINDOW = timedelta(hours=1)
# Beyond this many attempts in an hour the newest ones speak for the others.
ROWS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """One gateway's last hour. Rates are in percent, times in seconds; None: nothing to tell."""

    method: GatewayMethod
    started: int
    paid: int
    seconds_to_pay: float | None
    unanswered: int
    refused: int

    @property
    def success_percent(self) -> int | None:
        return round(100 * self.paid / self.started) if self.started else None


def gateways_health() -> list[GatewayHealth]:
    since = clock.now() - WINDOW
    rows = list(
        PaymentTransaction.objects.filter(begun_since(since))
        .filter(transaction_type=TransactionType.PAYMENT, payment_method__in=GATEWAY_METHODS)
        .order_by("-id")
        .values_list("payment_method", "status", "initiated_at", "completed_at")[:ROWS_MAX]
    )
    return [
        _health(method, [row[1:] for row in rows if row[0] == method]) for method in GatewayMethod
    ]


def _health(method: GatewayMethod, attempts: list[tuple]) -> GatewayHealth:
    since = clock.now() - WINDOW
    paid = [
        (completed_at - initiated_at).total_seconds()
        for status, initiated_at, completed_at in attempts
        if status == TransactionStatus.SUCCESS and completed_at is not None
    ]
    return GatewayHealth(
        method=method,
        started=len(attempts),
        paid=len(paid),
        seconds_to_pay=median(paid) if paid else None,
        unanswered=GatewayExchange.objects.filter(
            asked_at__gte=since,
            outcome=ExchangeOutcome.UNKNOWN,
            transaction__payment_method=method,
        ).count(),
        refused=PaymentCallback.objects.filter(
            verdict=Verdict.UNTRUSTED, received_at__gte=since, payment_method=method
        ).count(),
    )
