"""What the endpoints of prices take, and how their answers are described."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from tcmpay.common.api.serializers import (
    AmountField,
    AnsweredAmountField,
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
    price = AmountField(help_text=_("价格（元）"))
    service_name = StrictCharField(
        max_length=100, required=False, help_text=_("服务名称；新服务不填时用服务类型")
    )
    order_type = serializers.ChoiceField(
        choices=SERVICE_TYPES,
        required=False,
        help_text=_("新服务给哪类订单定价；不填时按服务类型的名称，否则为 other；以后不能更改"),
    )
    discount_price = AmountField(
        required=False,
        allow_null=True,
        help_text=_("优惠价（元）：设置后按它收取，不能高于价格；null 表示取消优惠"),
    )
    is_active = StrictBooleanField(required=False, help_text=_("是否启用"))
    effective_date = DayField(
        required=False, help_text=_("从哪一天起；晚于现行价格的开始日就开始新的价格")
    )
    expiry_date = DayField(
        required=False, allow_null=True, help_text=_("到哪一天为止，含当日；null 表示不限")
    )
    description = StrictCharField(
        max_length=500, required=False, allow_blank=True, help_text=_("说明")
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        discount = attrs.get("discount_price")
        if discount is not None and discount > attrs["price"]:
            raise serializers.ValidationError({"discount_price": _("优惠价不能高于价格")})
        return attrs


class ServicePriceSchema(serializers.Serializer):
    about = _("一项服务在一段日子里的价格")

    id = serializers.UUIDField(help_text=_("编号"))
    service_type = serializers.CharField(max_length=64, help_text=_("服务类型"))
    service_name = serializers.CharField(max_length=100, help_text=_("服务名称"))
    order_type = serializers.ChoiceField(
        choices=SERVICE_TYPES,
        allow_blank=True,
        help_text=_("给哪类订单定价；空表示由 SQL 写入而未注明"),
    )
    price = AnsweredAmountField(help_text=_("价格（元）"))
    discount_price = AnsweredAmountField(allow_null=True, help_text=_("设置后按此价收取"))
    is_active = serializers.BooleanField(help_text=_("是否启用"))
    effective_date = serializers.DateField(help_text=_("从这一天起"))
    expiry_date = serializers.DateField(allow_null=True, help_text=_("到这一天为止，含当日"))
    description = serializers.CharField(help_text=_("说明"))
    created_at = serializers.DateTimeField(help_text=_("创建时刻"))
    updated_at = serializers.DateTimeField(help_text=_("最后一次变化的时刻"))
