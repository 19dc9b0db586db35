"""Events are kept by their objects' ids; people know the numbers of orders and refunds."""

from collections.abc import Sequence
from uuid import UUID

from payments.models import PaymentOrder
from refunds.models import Refund


def objects_numbered(numbers: Sequence[str]) -> list[UUID]:
    """The objects of these numbers of orders and refunds, an order's refunds too, and of ids."""
    wanted = [number.upper() for number in numbers]
    orders = PaymentOrder.objects.filter(order_no__in=wanted).values_list("id", flat=True)
    own = Refund.objects.filter(refund_no__in=wanted).values_list("id", flat=True)
    theirs = Refund.objects.filter(order_id__in=list(orders)).values_list("id", flat=True)
    return [*orders, *own, *theirs, *_ids(numbers)]


def _ids(texts: Sequence[str]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
