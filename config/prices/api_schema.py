"""Examples of prices for the API description."""

PRICE_EXAMPLE = {
    "id": "0198c5f0-6f2e-7cc3-a2b1-0d4f5a6b7c8d",
    "service_type": "consultation",
    "service_name": "图文咨询",
    "order_type": "consultation",
    "price": "20.00",
    "discount_price": None,
    "is_active": True,
    "effective_date": "2024-01-01",
    "expiry_date": None,
    "description": "",
    "created_at": "2026-11-24T02:00:00.000000Z",
    "updated_at": "2026-11-24T02:00:00.000000Z",
}
