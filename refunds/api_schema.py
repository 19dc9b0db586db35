"""This room's examples for the API description."""

from django.utils.translation import gettext_lazy as _

from balances.api_schema import OWNER_ID
from payments.api_schema import PAID_ORDER_ID
from tcmpay.common.api.schema import id_in_path

REFUND_ID = "0192f0c2-1111-7abc-8def-0123456789ab"
REFUND_IN_PATH = id_in_path("refund_id", _("退款编号"), REFUND_ID)
REFUND_EXAMPLE = {
    "id": REFUND_ID,
    "refund_no": "RFD20240120133456F6G7H8J9K0",
    "order_id": PAID_ORDER_ID,
    "transaction_id": "0192f0c1-9999-7abc-8def-0123456789ab",
    "user_id": OWNER_ID,
    "refund_amount": "5.00",
    "refund_reason": "服务未提供",
    "status": "pending",
    "requested_by": OWNER_ID,
    "reviewed_by": None,
    "reviewed_at": None,
    "review_notes": None,
    "approvals_needed": 1,
    "completed_at": None,
    "created_at": "2024-01-20T05:34:56.000000Z",
    "updated_at": "2024-01-20T05:34:56.000000Z",
}
WITHDRAWN_EXAMPLE = REFUND_EXAMPLE | {"status": "cancelled"}
REFUND_PAGE_EXAMPLE = {"refunds": [REFUND_EXAMPLE], "total": 1, "page": 1, "page_size": 20}
REFUND_REQUEST = {
    "order_id": PAID_ORDER_ID,
    "refund_amount": "5.00",
    "refund_reason": "服务未提供",
}
STATISTICS_EXAMPLE = {
    "total_orders": 3,
    "total_amount": "90.00",
    "paid_orders": 2,
    "paid_amount": "60.00",
    "refunded_orders": 1,
    "refunded_amount": "30.00",
}
BULK_ID = "0192f0c3-2222-7abc-8def-0123456789ab"
BULK_IN_PATH = id_in_path("bulk_id", _("批量退款编号"), BULK_ID)
BULK_ROW_EXAMPLE = {
    "position": 1,
    "order_id": PAID_ORDER_ID,
    "order_no": "ORD20240120123456A1B2C3D4E5",
    "refund_amount": "30.00",
    "refund_reason": "医生停诊",
    "result": "waiting",
    "code": None,
    "message": None,
    "refund_id": None,
    "refund_status": None,
}
BULK_REFUSED_EXAMPLE = BULK_ROW_EXAMPLE | {
    "position": 2,
    "order_id": "0192f0c0-7777-7abc-8def-0123456789ab",
    "order_no": "ORD20240120123457A1B2C3D4E5",
    "refund_amount": None,
    "result": "refused",
    "code": "ORDER_NOT_REFUNDABLE",
    "message": "只能退款已支付的订单",
}
BULK_REQUEST = {
    "refunds": [
        {"order_id": PAID_ORDER_ID},
        {"order_id": BULK_REFUSED_EXAMPLE["order_id"], "refund_amount": "10.00"},
    ],
    "refund_reason": "医生停诊",
    "dry_run": True,
}
BULK_EXAMPLE = {
    "dry_run": False,
    "id": BULK_ID,
    "status": "pending",
    "refund_reason": "医生停诊",
    "approvals_needed": 1,
    "requested_by": "0192f0c1-5555-7abc-8def-0123456789ab",
    "reviewed_by": None,
    "reviewed_at": None,
    "review_notes": None,
    "refundable": 1,
    "refund_amount": "30.00",
    "counts": {"waiting": 1, "approved": 0, "asked": 0, "refused": 1, "left_out": 0},
    "refused": [{"code": "ORDER_NOT_REFUNDABLE", "message": "只能退款已支付的订单", "count": 1}],
    "created_at": "2024-01-20T05:34:56.000000Z",
    "finished_at": None,
    "rows": [BULK_ROW_EXAMPLE, BULK_REFUSED_EXAMPLE],
    "total": 2,
    "page": 1,
    "page_size": 20,
}


def bulk_example(status: str) -> dict[str, object]:
    """One that somebody decided about, or took back, as it stands then."""
    waiting = 0 if status == "finished" else 1
    left_out = 1 - waiting
    decided = {
        "approvals_needed": 0,
        "reviewed_by": "0192f0c1-6666-7abc-8def-0123456789ab",
        "reviewed_at": "2024-01-20T06:00:00.000000Z",
        "review_notes": "已核对排班",
    }
    return {
        **BULK_EXAMPLE,
        **({"approvals_needed": 0} if status == "withdrawn" else decided),
        "status": status,
        "counts": {**BULK_EXAMPLE["counts"], "waiting": waiting, "left_out": left_out},  # type: ignore[dict-item]
        "finished_at": "2024-01-20T06:05:00.000000Z" if left_out else None,
        "rows": [
            BULK_ROW_EXAMPLE | {"result": "left_out" if left_out else "waiting"},
            BULK_REFUSED_EXAMPLE,
        ],
    }
