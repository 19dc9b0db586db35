"""What the endpoints of prices take, and how their answers are described."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from tcmpay.common.api.serializers import (
    AmountField,
    DayField,
    InputSerializer,
    PageInput,
    QueryBooleanField,
    StrictBooleanField,
    StrictCharField,
)
from tcmpay.common.order_types import SERVICE_TYPES


class PriceFilterInput(PageInput):
    is_active = QueryBooleanField(required=False, help_text=_("true 或 false；不填为全部"))
    on = DayField(required=False, help_text=_("哪一天（北京时间）的价格；不填为今天"))


class PriceDayInput(InputSerializer):
    on = DayField(required=False, help_text=_("哪一天（北京时间）的价格；不填为今天"))


class PriceInput(InputSerializer):
    price = AmountField()
    service_name = StrictCharField(max_length=100, required=False)
    order_type = serializers.ChoiceField(
        choices=SERVICE_TYPES,
        required=False,
        help_text=_("新服务给哪类订单定价；不填时按服务类型的名称，否则为 other；以后不能更改"),
    )
    discount_price = AmountField(required=False, allow_null=True)
    is_active = StrictBooleanField(required=False)
    effective_date = DayField(required=False)
    expiry_date = DayField(required=False, allow_null=True)
    description = StrictCharField(max_length=500, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        discount = attrs.get("discount_price")
        if discount is not None and discount > attrs["price"]:
            raise serializers.ValidationError({"discount_price": _("优惠价不能高于价格")})
        return attrs


class PriceSchema(serializers.Serializer):
    """价格。"""

    id = serializers.UUIDField()
    service_type = serializers.CharField()
    service_name = serializers.CharField()
    order_type = serializers.CharField(help_text=_("给哪类订单定价；空表示由 SQL 写入而未注明"))
    price = serializers.CharField(help_text=_("元，两位小数"))
    discount_price = serializers.CharField(allow_null=True, help_text=_("设置后按此价收取"))
    is_active = serializers.BooleanField()
    effective_date = serializers.DateField()
    expiry_date = serializers.DateField(allow_null=True, help_text=_("含当日"))
    description = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
