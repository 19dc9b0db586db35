"""What a payer may do over the cashier's link: start paying at a gateway, and have it asked."""

from prometheus_client import Counter

from payments.cashier.links import CashierLink
from payments.cashier.ways import JSAPI, WAYS_BY_CODE, Way, is_on
from payments.channels import channel_for_new_attempt
from payments.errors import GatewayNotConfigured, UnsupportedMethod
from payments.models import PaymentOrder
from payments.services.attempts import PayCommand, PayResult, pay
from payments.services.sweeping import order_sync
from tcmpay.common.actor import Actor, Role
from tcmpay.common.errors import DomainError, RateLimited
from tcmpay.limits.services import hit_count

# In the trail beside the owner's id: it was not their token that asked.
OVER_THE_LINK = "收银台 cashier"

# Each may be a call to a gateway: more than any payer needs.
STARTS_PER_MINUTE = 12

STARTS = Counter(
    "cashier_starts_total", "Payments started over the cashier", ["way", "outcome"]
)  # outcome: started, or the code of the refusal


def payer_of(order: PaymentOrder) -> Actor:
    """The order's owner, acting over the link."""
    return Actor(id=order.user_id, role=Role.PATIENT, name=OVER_THE_LINK)


def payment_start(
    *, order: PaymentOrder, link: CashierLink, way_code: str, back_url: str, client_ip: str
) -> PayResult:
    """Start paying, or continue the attempt that is open in this way already.

    Raises UnsupportedMethod, RateLimited, and as ``pay``.
    """
    way = WAYS_BY_CODE.get(way_code)
    if way is None or not is_on(way):
        raise UnsupportedMethod()
    hit = hit_count(scope="cashier-start", identity=str(order.id))
    if hit.count > STARTS_PER_MINUTE:
        raise RateLimited(retry_after_seconds=hit.window_ends_in_seconds)
    try:
        result = _started(order, link, way, back_url, client_ip)
    except DomainError as error:
        STARTS.labels(way.code, error.code).inc()
        raise
    STARTS.labels(way.code, "started").inc()
    return result


def _started(
    order: PaymentOrder, link: CashierLink, way: Way, back_url: str, client_ip: str
) -> PayResult:
    command = PayCommand(
        order_id=order.id,
        payment_method=way.method,
        scene=way.scene,
        openid=link.openid if way == JSAPI else "",
        return_url=back_url,
        client_ip=client_ip,
    )
    return pay(actor=payer_of(order), command=command)


def payment_check(order: PaymentOrder) -> None:
    """Ask the gateways how it stands; asked too often, the answer of before is good enough."""
    try:
        order_sync(actor=payer_of(order), order_id=order.id)
    except RateLimited:
        return


def is_offered(method: str) -> bool:
    """Whether the gateway is configured."""
    try:
        channel_for_new_attempt(method)
    except GatewayNotConfigured:
        return False
    return True
