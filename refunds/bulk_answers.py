"""Bulks of refunds as they are answered, and the orders that a filter names."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from payments.models import PaymentOrder
from payments.selectors import in_service
from refunds.bulk_plan import ROWS_MAX, Plan, Planned, Wanted, refusal_text
from refunds.errors import BulkNotFound
from refunds.models import RefundBulk, RefundBulkRow
from refunds.serializers import BulkRowSchema, RefundBulkSchema
from refunds.states import BulkOutcome
from tcmpay.common.api.presenters import present_row
from tcmpay.common.fields import as_uuid_or_text


def orders_filtered(filters: dict[str, Any]) -> list[Wanted]:
    """One row for each order under ``filters`` (BulkFilterInput), oldest first; one more than a
    bulk may have where there are more."""
    orders: QuerySet[PaymentOrder] = PaymentOrder.objects.all()
    if "user_id" in filters:
        orders = orders.filter(user_id=filters["user_id"])
    if "order_type" in filters:
        orders = orders.filter(order_type=filters["order_type"])
    if "service_type" in filters:
        orders = orders.filter(in_service(filters["service_type"]))
    if "payment_method" in filters:
        orders = orders.filter(payment_method=filters["payment_method"])
    if "appointment_ids" in filters:
        orders = orders.filter(appointment_id__in=filters["appointment_ids"])
    if "start_date" in filters:
        orders = orders.filter(created_at__gte=filters["start_date"])
    if "end_date" in filters:
        orders = orders.filter(created_at__lt=filters["end_date"])
    keys = orders.order_by("created_at", "id").values_list("id", flat=True)
    return [Wanted(str(key)) for key in keys[: ROWS_MAX + 1]]


def plan_told(plan: Plan, reason: str, asker: UUID | None) -> dict[str, Any]:
    """What would become of each order: a bulk that is not there."""
    counts = Counter(
        BulkOutcome.WAITING if row.is_able else BulkOutcome.REFUSED for row in plan.rows
    )
    nothing = dict.fromkeys(
        ("id", "status", "reviewed_by", "reviewed_at", "review_notes", "created_at", "finished_at")
    )
    return present_row(
        None,
        RefundBulkSchema,
        **nothing,
        dry_run=True,
        refund_reason=reason,
        approvals_needed=1,
        requested_by=asker,
        refundable=len(plan.able),
        refund_amount=plan.amount,
        counts={str(one): counts[one] for one in BulkOutcome},
        refused=_refused(plan.refusals),
        rows=[_planned_told(row, reason) for row in plan.rows],
        total=len(plan.rows),
        page=1,
        page_size=len(plan.rows),
    )


def _refused(counts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"code": code, "message": refusal_text(code), "count": count} for code, count in counts]


def _planned_told(row: Planned, reason: str) -> dict[str, Any]:
    return present_row(
        None,
        BulkRowSchema,
        position=row.position,
        order_id=row.order.id if row.order else _id_named(row.named),
        order_no=row.order.order_no if row.order else None,
        refund_amount=row.amount,
        refund_reason=row.reason or reason,
        result=BulkOutcome.WAITING if row.is_able else BulkOutcome.REFUSED,
        code=row.code or None,
        message=row.refusal or None,
        refund_id=None,
        refund_status=None,
    )


def bulk_told(
    bulk_id: UUID, *, page: int = 1, page_size: int = 20, result: str = ""
) -> dict[str, Any]:
    """A bulk as it stands, with one page of its rows. Raises BulkNotFound."""
    bulk = RefundBulk.objects.filter(id=bulk_id).first()
    if bulk is None:
        raise BulkNotFound()
    counts = Counter(bulk.rows.values_list("outcome", flat=True))
    rows = bulk.rows.select_related("order", "refund").order_by("position")
    shown = rows.filter(outcome=result) if result else rows
    start = (page - 1) * page_size
    return present_row(
        bulk,
        RefundBulkSchema,
        dry_run=False,
        refused=_refused(
            rows.filter(outcome=BulkOutcome.REFUSED)
            .order_by()
            .values_list("error_code")
            .annotate(count=Count("id"))
        ),
        refund_reason=bulk.reason,
        approvals_needed=int(bulk.is_waiting),
        reviewed_by=bulk.decided_by,
        reviewed_at=bulk.decided_at,
        review_notes=bulk.decision_notes or None,
        refundable=bulk.rows_able,
        refund_amount=bulk.amount,
        counts={str(one): counts[one] for one in BulkOutcome},
        rows=[_row_told(row) for row in shown[start : start + page_size]],
        total=counts[result] if result else sum(counts.values()),
        page=page,
        page_size=page_size,
    )


def _row_told(row: RefundBulkRow) -> dict[str, Any]:
    return present_row(
        None,
        BulkRowSchema,
        position=row.position,
        order_id=row.order_id or _id_named(row.named),
        order_no=row.order.order_no if row.order else None,
        refund_amount=row.amount,
        refund_reason=row.reason,
        result=row.outcome,
        code=row.error_code or None,
        message=refusal_text(row.error_code) or None,
        refund_id=row.refund_id,
        refund_status=row.refund.status if row.refund else None,
    )


def _id_named(named: str) -> UUID | None:
    """The id that a row without an order of ours was named by; None where it was a number."""
    found = as_uuid_or_text(named)
    return found if isinstance(found, UUID) else None
