"""What clients send about orders and payments, and how the answers look."""

import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from payments.states import OrderStatus, PaymentMethod
from tcmpay.common.api.serializers import (
    AmountField,
    InputSerializer,
    ListInput,
    MomentField,
    PageSchema,
    PeriodInput,
    SeveralField,
    StrictCharField,
    StrictUUIDField,
)
from tcmpay.common.order_types import SERVICE_TYPES, OrderType

METADATA_BYTES_MAX = 4096
EXAMPLE_ID = "0192f0c1-7a3e-7abc-8def-0123456789ab"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetadataField(serializers.Field):
    """A JSON object of at most 4 KB."""

    default_error_messages = {
        "invalid": _("附加信息应为 JSON 对象"),
        "too_large": _("附加信息不能超过 4 KB"),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(json.dumps(data, ensure_ascii=False).encode()) > METADATA_BYTES_MAX:
            self.fail("too_large")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


class ServiceTypeField(serializers.ChoiceField):
    """What a client may order; a top-up has a call of its own."""

    default_error_messages = {"topup": _("充值请调用 POST /balance/用户编号/topups")}

    def to_internal_value(self, data: Any) -> Any:
        if data == OrderType.TOPUP:
            self.fail("topup")
        return super().to_internal_value(data)


class OrderCreateInput(InputSerializer):
    user_id = StrictUUIDField()
    order_type = ServiceTypeField(choices=SERVICE_TYPES)
    amount = AmountField(required=False)
    service_type = StrictCharField(required=False, max_length=64)
    appointment_id = StrictUUIDField(required=False, allow_null=True)
    description = StrictCharField(required=False, allow_blank=True, allow_null=True, max_length=500)
    metadata = MetadataField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # Under the priced policy an amount alone would not do either: the service says so.
        is_open = settings.ORDER_PRICE_POLICY == "open"
        if is_open and "amount" not in attrs and "service_type" not in attrs:
            raise serializers.ValidationError({"amount": _("请提供金额或服务类型")})
        attrs["description"] = attrs.get("description") or ""
        return attrs


class TopUpInput(InputSerializer):
    amount = AmountField()


class OrderListInput(ListInput, PeriodInput):
    user_id = StrictUUIDField(required=False)
    status = SeveralField(
        child=serializers.ChoiceField(choices=OrderStatus.choices),
        example="pending,paid",
        required=False,
    )
    payment_method = serializers.ChoiceField(choices=PaymentMethod.choices, required=False)
    order_no = StrictCharField(required=False, max_length=28)
    ids = SeveralField(child=StrictUUIDField(), example=EXAMPLE_ID, required=False)
    updated_since = MomentField(required=False)
    order_type = serializers.ChoiceField(choices=OrderType.choices, required=False)
    appointment_id = StrictUUIDField(required=False)


class ReturnUrlField(StrictCharField):
    """Where a payer is led back to (CONTRACT section 3)."""

    default_error_messages = {"not_allowed": _("返回地址不在允许的范围内")}

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if url and not is_allowed_return_url(url):
            self.fail("not_allowed")
        return url


class PayInput(InputSerializer):
    order_id = StrictUUIDField()
    payment_method = StrictCharField(max_length=32)
    return_url = ReturnUrlField(required=False, allow_blank=True, max_length=512)
    scene = StrictCharField(required=False, max_length=16)
    openid = StrictCharField(required=False, max_length=128)


class CashierInput(InputSerializer):
    return_url = ReturnUrlField(required=False, allow_blank=True, max_length=512)
    openid = StrictCharField(required=False, max_length=128)


class StatisticsInput(PeriodInput):
    user_id = StrictUUIDField(required=False)


def is_allowed_return_url(url: str) -> bool:
    """An http(s) address whose origin is in RETURN_URL_ORIGINS.

    With DEBUG on and no list, any https origin and localhost will do.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    # A user name, or a host that browsers decode before they go there.
    if "@" in parts.netloc or "%" in parts.netloc:
        return False
    origin = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
    if settings.RETURN_URL_ORIGINS:
        return origin in settings.RETURN_URL_ORIGINS
    return settings.DEBUG and (parts.scheme == "https" or parts.hostname in LOCAL_HOSTS)


class OrderSchema(serializers.Serializer):
    id = serializers.UUIDField()
    order_no = serializers.CharField()
    user_id = serializers.UUIDField()
    appointment_id = serializers.UUIDField(allow_null=True)
    order_type = serializers.ChoiceField(choices=OrderType.choices)
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    payment_method = serializers.CharField(allow_null=True)
    payment_time = serializers.DateTimeField(allow_null=True)
    expire_time = serializers.DateTimeField()
    description = serializers.CharField()
    metadata = serializers.JSONField(allow_null=True)
    service_type = serializers.CharField()
    refunded_amount = serializers.CharField(help_text="went back of what was paid, yuan")
    refundable_amount = serializers.CharField(help_text="may be asked back still, yuan")
    version = serializers.IntegerField(help_text="grows with every change of the order")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OrderPageSchema(PageSchema):
    orders = OrderSchema(many=True)


class PaySchema(serializers.Serializer):
    order_id = serializers.UUIDField()
    order_no = serializers.CharField()
    payment_method = serializers.CharField()
    payment_url = serializers.CharField(allow_null=True)
    qr_code = serializers.CharField(allow_null=True)
    prepay_data = serializers.JSONField(allow_null=True)


class CashierSchema(serializers.Serializer):
    url = serializers.URLField(help_text="the page to open in the payer's browser or WeChat")
    expires_at = serializers.DateTimeField(help_text="the end of the order's time to pay")
