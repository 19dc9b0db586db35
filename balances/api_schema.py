"""This room's examples for the API description."""

from django.utils.translation import gettext_lazy as _

from tcmpay.common.api.schema import id_in_path

# A patient of the demo; the demo's documentation shows orders and refunds of theirs too.
OWNER_ID = "0192f0c1-0000-7000-8000-000000000101"
ORDER_ID = "0192f0c1-9876-7abc-8def-0123456789ab"
USER_IN_PATH = id_in_path("user_id", _("哪个用户"), OWNER_ID)
BALANCE_EXAMPLE = {
    "id": "0192f0c0-1111-7abc-8def-0123456789ab",
    "user_id": OWNER_ID,
    "balance": "70.00",
    "frozen_balance": "0.00",
    "total_income": "100.00",
    "total_expense": "30.00",
    "created_at": "2024-01-20T04:00:00.000000Z",
    "updated_at": "2024-01-20T04:35:00.000000Z",
}
ENTRIES_EXAMPLE = [
    {
        "id": "0192f0c1-7777-7abc-8def-0123456789ab",
        "user_id": OWNER_ID,
        "transaction_type": "expense",
        "amount": "30.00",
        "balance_before": "100.00",
        "balance_after": "70.00",
        "related_type": "order",
        "related_id": ORDER_ID,
        "description": "支付订单 ORD20240120123456A1B2C3D4E5",
        "created_at": "2024-01-20T04:35:00.000000Z",
    }
]
