"""Ids in the description's examples that exist, so that the documentation's forms work as they are.

In the demo only: the orders and refunds of one patient are named, those that the calls can be tried
upon now.
"""

from django.db.models import QuerySet

from balances.api_schema import ORDER_ID, OWNER_ID
from payments.api_schema import PAID_ORDER_ID
from payments.models import PaymentOrder
from payments.states import OrderStatus
from refunds.api_schema import REFUND_ID
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common import clock


def examples_that_exist(content: bytes) -> bytes:
    """The description with examples' ids replaced by those of rows, where there are such."""
    orders = PaymentOrder.objects.filter(user_id=OWNER_ID)
    payable = orders.filter(status=OrderStatus.PENDING, expire_time__gt=clock.now())
    refundable = orders.filter(status__in=[OrderStatus.PAID, OrderStatus.PARTIAL_REFUNDED])
    waiting = Refund.objects.filter(order__user_id=OWNER_ID, status=RefundStatus.PENDING)
    for example, rows in (
        (ORDER_ID, payable),
        (PAID_ORDER_ID, refundable),
        (REFUND_ID, waiting),
    ):
        if found := _newest(rows):
            content = content.replace(example.encode(), found.encode())
    return content


def _newest(rows: QuerySet[PaymentOrder] | QuerySet[Refund]) -> str | None:
    found = rows.order_by("-created_at").values_list("id", flat=True).first()
    return str(found) if found else None
