"""Names that the pages of several subjects use."""

from backoffice.site.display import EMPTY, GOOD, NEUTRAL, RUNNING, WAITING
from payments.states import OrderStatus, PaymentMethod

# Pages of the admin, as its addresses name them.
ORDER_PAGE = "payments_paymentorder"
TRANSACTION_PAGE = "payments_paymenttransaction"
CALLBACK_PAGE = "payments_paymentcallback"
CASE_PAGE = "payments_paymentexception"
REFUND_PAGE = "refunds_refund"
ORDER_TONES = {
    OrderStatus.PENDING: WAITING,
    OrderStatus.PAID: GOOD,
    OrderStatus.PARTIAL_REFUNDED: RUNNING,
    OrderStatus.REFUNDED: NEUTRAL,
    OrderStatus.CANCELLED: NEUTRAL,
    OrderStatus.EXPIRED: NEUTRAL,
}
BULK_PAGE = "refunds_refundbulk"


def method_text(code: str | None) -> str:
    return str(dict(PaymentMethod.choices).get(code or "", code or EMPTY))
