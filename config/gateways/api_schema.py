"""Examples of gateway configuration for the API description."""

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
