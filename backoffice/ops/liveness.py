"""Laws about what should go on: orders are paid in opening hours, gateways' payments succeed."""

from collections import Counter
from datetime import timedelta

from django.conf import settings

from gateways.interface import GATEWAY_METHODS
from payments.models import PaymentOrder, PaymentTransaction
from payments.selectors import begun_since
from payments.states import TransactionStatus, TransactionType
from tcmpay.common import clock
from tcmpay.common.clock import SHANGHAI

WINDOW = timedelta(minutes=60)
# Payers need a while: younger attempts say nothing about a gateway yet.
YOUNG = timedelta(minutes=5)
# Fewer attempts tell of chance.
ATTEMPTS_MIN = 10


def is_paid_order_missing() -> bool:
    """Whether no order was paid for as long as LIVENESS_ORDER_MINUTES, all of it within hours."""
    watched = settings.LIVENESS
    now = clock.now()
    since = now - timedelta(minutes=watched.order_minutes)
    hours = watched.opening_hours
    if not watched.order_minutes:
        return False
    if hours:
        here = now.astimezone(SHANGHAI)
        if not hours.holds(here.time()) or since < hours.began_before(here):
            return False
    return not PaymentOrder.objects.filter(booked_at__gte=since).exists()


def success_shares() -> dict[str, float]:
    """Each gateway's share of the last hour's attempts that succeeded, where there are enough."""
    now = clock.now()
    rows = PaymentTransaction.objects.filter(
        begun_since(now - WINDOW),
        initiated_at__lt=now - YOUNG,
        transaction_type=TransactionType.PAYMENT,
        payment_method__in=GATEWAY_METHODS,
    )
    begun: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    # In Python: one pass, and the newest alone where there are many.
    for method, status in rows.order_by("-id").values_list("payment_method", "status")[:5000]:
        begun[method] += 1
        paid[method] += status == TransactionStatus.SUCCESS
    return {name: paid[name] / begun[name] for name in begun if begun[name] >= ATTEMPTS_MIN}


def gateways_failing() -> dict[str, float]:
    """The gateways whose share is under GATEWAY_SUCCESS_MIN_PERCENT, 1, and the others, 0."""
    least = settings.LIVENESS.success_min_percent / 100
    return {name: float(share < least) for name, share in success_shares().items()}
