"""Orders as they are answered: the one place that says how an order's fields are read."""

from typing import Any
from uuid import UUID

from django.db.models import Case, F, OuterRef, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce

from payments.models import PaymentOrder, PaymentTransaction
from payments.refundable import fen, refundable_fen
from payments.serializers import OrderSchema
from payments.states import REFUNDED_STATUSES, TransactionStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common.api.listing import Listing, period
from tcmpay.common.api.presenters import field_names
from tcmpay.common.compiled import AnswersByKey
from tcmpay.common.fields import FenField
from tcmpay.common.order_types import OrderType


def _orders() -> QuerySet[PaymentOrder]:
    """Each read in one moment with what its own columns don't say: ``refunded_amount`` went back
    of the applied payment, ``refundable_amount`` a request would be granted now, ``version`` is how
    often something was written about the order in the trail."""
    applied = PaymentTransaction.objects.filter(applied_order_id=OuterRef("pk"))
    # The refunds are the upper room's: known here by their way from the payment alone.
    done = applied.filter(refunds__status=TransactionStatus.SUCCESS).values("applied_order_id")
    refunded = done.annotate(fen=Sum(fen(F("refunds__refund_amount")))).values("fen")
    events = AuditEvent.objects.filter(object_type="order", object_id=OuterRef("pk"))
    return PaymentOrder.objects.annotate(
        refunded_amount=_or_nothing(
            Case(When(status__in=REFUNDED_STATUSES, then=Subquery(refunded)))
        ),
        refundable_amount=_or_nothing(refundable_fen()),
        version=Subquery(events.order_by("-version").values("version")[:1]),
    )


def _or_nothing(fen: Any) -> Coalesce:
    return Coalesce(fen, 0, output_field=FenField())


orders_told = AnswersByKey(_orders, field_names(OrderSchema))
# Whether an order's answer is another one than before, read of its own row alone: its columns,
# and how often its refunds changed the amounts that are summed elsewhere.
_OWN_COLUMNS = [field.attname for field in PaymentOrder._meta.concrete_fields]
_MARKS = (*(name for name in field_names(OrderSchema) if name in _OWN_COLUMNS), "refund_changes")
marks_told = AnswersByKey(PaymentOrder.objects.all, _MARKS)
_marked_orders = AnswersByKey(_orders, (*field_names(OrderSchema), "refund_changes"))


def order_with_mark(key: UUID) -> tuple[dict[str, Any], list[Any]] | None:
    """The order as it is answered, and the mark of just this answer, read in one moment."""
    order = _marked_orders.one(key)
    if order is None:
        return None
    mark = mark_of(order)
    if not has_mark_of_its_own(order):
        mark.append(order["refundable_amount"])
    del order["refund_changes"]
    return order, mark


def mark_of(row: dict[str, Any]) -> list[Any]:
    """Of two answers about one order with the same mark both say the same."""
    return [row[name] for name in _MARKS]


def has_mark_of_its_own(row: dict[str, Any]) -> bool:
    """Whether its own row tells of all changes: what of a top-up may be asked back is the balance's
    to say."""
    return bool(row["order_type"] != OrderType.TOPUP)


orders_list = Listing(
    PaymentOrder,
    orders_told,
    {
        "user_id": ("user_id", "="),
        "status": ("status", "IN"),
        "order_type": ("order_type", "="),
        "payment_method": ("payment_method", "="),
        "appointment_id": ("appointment_id", "="),
        "order_no": ("order_no", "="),
        "ids": ("id", "IN"),
        "updated_since": ("updated_at", ">="),
        **period("created_at", "start_date", "end_date"),
    },
)
