"""This room's examples for the API description."""

OWNER_ID = "0192f0c1-2345-7abc-8def-0123456789ab"
ORDER_ID = "0192f0c1-9876-7abc-8def-0123456789ab"
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
