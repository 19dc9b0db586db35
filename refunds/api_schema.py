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
