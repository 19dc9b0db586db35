"""What the lines of the tables send: JSON for the API, form fields for the admin."""

from typing import Any

from tests.api.story import mock_callback

API_BODIES: dict[str, dict[str, Any]] = {
    "order": {"user_id": "{owner}", "order_type": "other", "amount": "1.00"},
    "pay_balance": {"order_id": "{pending}", "payment_method": "balance"},
    "pay_wechat": {"order_id": "{pending}", "payment_method": "wechat"},
    "pay_alipay": {"order_id": "{pending}", "payment_method": "alipay"},
    "refund": {"order_id": "{paid}", "refund_amount": "1.00", "refund_reason": "未使用"},
    "topup": {"amount": "100.00"},
    "bulk": {"refunds": [{"order_id": "{paid}"}], "refund_reason": "医生停诊"},
    "bulk_dry": {"refunds": [{"order_id": "{paid}"}], "refund_reason": "x", "dry_run": True},
    "end": {"reason": "其余的改期"},
    "approve": {"approved": True, "review_notes": "同意退款"},
    "reject": {"approved": False, "review_notes": "服务已完成"},
    "price": {"price": "21.00"},
    "config": {"config_key": "app_id", "config_value": "wx1234567890abcdef"},
    "callback": mock_callback({"order_no": "ORD1", "amount": "1.00"}),
}

NEW_PASSWORD = "xk-29-Lotus-Ginseng"
_PERSON = {"username": "li.hua", "last_name": "李", "first_name": "华", "is_active": "on"}
FORMS: dict[str, dict[str, str]] = {
    "approve": {"decision": "approve", "notes": "同意退款"},
    "reject": {"decision": "reject", "notes": "服务已完成"},
    "notes": {"notes": "已更换密钥"},
    "empty": {},
    "ask": {"form_id": "{new}", "amount": "1.00", "reason": "医生停诊", "step": "confirm"},
    "pause": {"do": "pause"},
    "confirm": {"decision": "confirm", "notes": "同意调价"},
    "refuse": {"decision": "refuse", "notes": "幅度过大"},
    "claim": {"action": "claim"},
    "close": {"action": "close", "reason": "已联系患者，核对无误"},
    "write_off": {"action": "write_off", "reason": "金额太小，不再追查"},
    "assign": {"action": "assign", "owner": "{self}"},
    "user": {"user_id": "0192f0c1-0000-7000-8000-00000000beef", "reason": "线下开户"},
    "move": {"form_id": "{new}", "amount": "1.00", "reason": "核对中"},
    "adjust": {
        "form_id": "{new}",
        "direction": "income",
        "amount": "1.00",
        "reason": "补记线下充值",
    },
    "compare": {"do": "compare"},
    "sign": {"decision": "sign"},
    "mend": {
        "difference": "{difference}",
        "seen": "{difference}=record",
        "reason": "已与合同费率核对",
    },
    "own": {"password": "{password}"},
    "reason": {"reason": "本人电话确认"},
    "endpoint": {"url": "https://93.184.216.34/new", "types": "order.paid"},
    "types": {"types": "order.paid", "reason": "平台只要这些"},
    "rotate": {"overlap": "86400", "reason": "每年更换"},
    "since": {"since": "2026-01-01T00:00"},
    "export": {"page": "payments_paymentorder", "query": "", "format": "csv"},
    "price": {
        "service_type": "herbal_tea",
        "service_name": "代茶饮指导",
        "order_type": "other",
        "price": "21.00",
        "discount_price": "",
        "is_active": "on",
        "effective_date": "2027-01-01",
        "expiry_date": "",
        "description": "",
    },
    "person": {**_PERSON, "is_staff": "on", "reason": "入职"},
    "promote": {**_PERSON, "is_staff": "on", "is_superuser": "on", "reason": "入职"},
    "password": {
        "old_password": "{password}",
        "new_password1": NEW_PASSWORD,
        "new_password2": NEW_PASSWORD,
        "password1": NEW_PASSWORD,
        "password2": NEW_PASSWORD,
        "reason": "本人遗忘",
    },
}
