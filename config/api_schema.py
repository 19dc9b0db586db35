"""This room's examples for the API description."""

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
CONFIG_EXAMPLE = [
    {
        "config_key": "app_id",
        "config_value": "wx1234567890abcdef",
        "is_encrypted": False,
        "description": "应用 AppID（公众号、小程序或 App）",
        "updated_at": "2026-11-24T02:00:00.000000Z",
    },
    {
        "config_key": "api_key",
        "config_value": "********",
        "is_encrypted": True,
        "description": "API 密钥",
        "updated_at": "2026-11-24T02:00:00.000000Z",
    },
]
CONFIG_WARNING_EXAMPLE = {
    "warnings": [
        "不是可读的 RSA 私钥。怎么办：填入商户 API 证书压缩包里 apiclient_key.pem 的全部内容"
    ]
}
