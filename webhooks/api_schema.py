"""This room's examples for the API description."""

EVENTS_EXAMPLE = {
    "events": [
        {
            "id": "0192f0c1-5555-7abc-8def-0123456789ab",
            "sequence": 1042,
            "type": "order.paid",
            "created_at": "2024-01-20T04:35:00.000000Z",
            "object_type": "order",
            "object_id": "0192f0c1-9876-7abc-8def-0123456789ab",
            "object_version": 2,
            "data": {
                "order_no": "ORD20240120123456A1B2C3D4E5",
                "user_id": "0192f0c1-2345-7abc-8def-0123456789ab",
                "appointment_id": None,
                "order_type": "consultation",
                "amount": "30.00",
                "currency": "CNY",
                "status": "paid",
                "payment_method": "balance",
            },
        }
    ],
    "next_after": 1042,
}
