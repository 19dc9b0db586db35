"""What clients send about orders and payments, and how the answers look."""

import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from payments.states import OrderStatus, PaymentMethod, PaymentScene
from tcmpay.common.api.serializers import (
    AmountField,
    AnsweredAmountField,
    DescribedChoiceField,
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
OF_USER = _("谁的；不写时患者和医生是自己，admin 和 service 是所有人")
UPDATED_SINCE = _("只要这个时刻起有过变化的：带时区的时刻或日期")
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


class ServiceTypeField(serializers.ChoiceField):
    """What a client may order; a top-up has a call of its own."""

    default_error_messages = {"topup": _("充值请调用 POST /balance/用户编号/topups")}

    def to_internal_value(self, data: Any) -> Any:
        if data == OrderType.TOPUP:
            self.fail("topup")
        return super().to_internal_value(data)


class OrderCreateInput(InputSerializer):
    user_id = StrictUUIDField(help_text=_("谁的订单；患者和医生只能写自己"))
    order_type = ServiceTypeField(choices=SERVICE_TYPES, help_text=_("为什么付款"))
    amount = AmountField(
        required=False, help_text=_("金额（元）；给了 service_type 时可以不写，写了必须与价格相符")
    )
    service_type = StrictCharField(
        required=False, max_length=64, help_text=_("服务类型：由系统按今天的价格定价")
    )
    appointment_id = StrictUUIDField(
        required=False,
        allow_null=True,
        help_text=_("预约号：同一预约、同一订单类型最多一个有效订单"),
    )
    description = StrictCharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=500,
        help_text=_("说明：给员工看，不会给支付渠道"),
    )
    metadata = MetadataField(
        required=False, allow_null=True, help_text=_("附加信息：JSON 对象，不超过 4 KB")
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # Under the priced policy an amount alone would not do either: the service says so.
        is_open = settings.ORDER_PRICE_POLICY == "open"
        if is_open and "amount" not in attrs and "service_type" not in attrs:
            raise serializers.ValidationError({"amount": _("请提供金额或服务类型")})
        attrs["description"] = attrs.get("description") or ""
        return attrs


class TopUpInput(InputSerializer):
    amount = AmountField(help_text=_("充值金额（元）"))


class OrderListInput(ListInput, PeriodInput):
    user_id = StrictUUIDField(required=False, help_text=OF_USER)
    status = SeveralField(
        child=serializers.ChoiceField(choices=OrderStatus.choices),
        example="pending,paid",
        required=False,
    )
    payment_method = serializers.ChoiceField(
        choices=PaymentMethod.choices, required=False, help_text=_("付了款的订单：怎么付的")
    )
    order_no = StrictCharField(required=False, max_length=28, help_text=_("订单号"))
    ids = SeveralField(child=StrictUUIDField(), example=EXAMPLE_ID, required=False)
    updated_since = MomentField(required=False, help_text=UPDATED_SINCE)
    order_type = serializers.ChoiceField(
        choices=OrderType.choices, required=False, help_text=_("订单类型")
    )
    appointment_id = StrictUUIDField(required=False, help_text=_("预约号"))


class ReturnUrlField(StrictCharField):
    """Where a payer is led back to (CONTRACT section 3)."""

    default_error_messages = {"not_allowed": _("返回地址不在允许的范围内")}

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if url and not is_allowed_return_url(url):
            self.fail("not_allowed")
        return url


class PayInput(InputSerializer):
    order_id = StrictUUIDField(help_text=_("付哪个订单；只能付自己的"))
    payment_method = DescribedChoiceField(
        values=PaymentMethod.values, max_length=32, help_text=_("怎么付")
    )
    return_url = ReturnUrlField(
        required=False,
        allow_blank=True,
        max_length=512,
        help_text=_("付款后浏览器回到哪里：http(s) 地址，来源须在允许的范围内"),
    )
    scene = serializers.ChoiceField(
        choices=PaymentScene.choices,
        required=False,
        help_text=_("付款人在哪里付；不写时微信是 native，支付宝是 page"),
    )
    openid = StrictCharField(
        required=False, max_length=128, help_text=_("jsapi 和 mini_program 需要：付款人的 openid")
    )


class CashierInput(InputSerializer):
    return_url = ReturnUrlField(
        required=False,
        allow_blank=True,
        max_length=512,
        help_text=_("付款后浏览器回到哪里：http(s) 地址，来源须在允许的范围内"),
    )
    openid = StrictCharField(
        required=False, max_length=128, help_text=_("在微信里打开时需要：付款人的 openid")
    )


class StatisticsInput(PeriodInput):
    user_id = StrictUUIDField(required=False, help_text=OF_USER)


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
    about = _("订单")

    id = serializers.UUIDField(help_text=_("编号"))
    order_no = serializers.CharField(max_length=28, help_text=_("订单号：给人看的"))
    user_id = serializers.UUIDField(help_text=_("谁的订单，也是谁来付"))
    appointment_id = serializers.UUIDField(allow_null=True, help_text=_("预约号"))
    order_type = serializers.ChoiceField(choices=OrderType.choices)
    amount = AnsweredAmountField(help_text=_("应付金额（元）"))
    currency = serializers.CharField(max_length=3, help_text=_("总是 CNY"))
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    payment_method = serializers.ChoiceField(
        choices=PaymentMethod.choices, allow_null=True, help_text=_("怎么付的；未支付为 null")
    )
    payment_time = serializers.DateTimeField(
        allow_null=True, help_text=_("支付渠道报告的付款时刻；未支付为 null")
    )
    expire_time = serializers.DateTimeField(help_text=_("到这个时刻还没付就过期"))
    description = serializers.CharField(max_length=500, help_text=_("说明"))
    metadata = MetadataField(allow_null=True, help_text=_("创建时给的附加信息"))
    service_type = serializers.CharField(
        max_length=64, help_text=_("按哪项服务定价；调用方定价的为空")
    )
    refunded_amount = AnsweredAmountField(help_text=_("入账的支付已退回的金额（元）"))
    refundable_amount = AnsweredAmountField(
        help_text=_("还可以申请退的金额（元）：待审核和处理中的已扣除")
    )
    version = serializers.IntegerField(min_value=1, help_text=_("订单每变化一次加一：较大的较新"))
    created_at = serializers.DateTimeField(help_text=_("创建时刻"))
    updated_at = serializers.DateTimeField(help_text=_("最后一次变化的时刻"))


class OrderPageSchema(PageSchema):
    orders = OrderSchema(many=True)


class WechatJsapiPrepaySchema(serializers.Serializer):
    about = _("微信 jsapi、mini_program：原样交给微信的支付接口")

    appId = serializers.CharField(help_text=_("公众号或小程序的 AppID"))
    timeStamp = serializers.CharField(help_text=_("签名时刻，Unix 秒"))
    nonceStr = serializers.CharField(help_text=_("随机串"))
    package = serializers.CharField(help_text=_("prepay_id=…"))
    signType = serializers.CharField(help_text=_("总是 RSA"))
    paySign = serializers.CharField(help_text=_("签名"))


class WechatAppPrepaySchema(serializers.Serializer):
    about = _("微信 app：原样交给 App 里的微信 SDK")

    appid = serializers.CharField(help_text=_("App 的 AppID"))
    partnerid = serializers.CharField(help_text=_("商户号"))
    prepayid = serializers.CharField(help_text=_("预支付编号"))
    package = serializers.CharField(help_text=_("总是 Sign=WXPay"))
    noncestr = serializers.CharField(help_text=_("随机串"))
    timestamp = serializers.CharField(help_text=_("签名时刻，Unix 秒"))
    sign = serializers.CharField(help_text=_("签名"))


class AlipayAppPrepaySchema(serializers.Serializer):
    about = _("支付宝 app：原样交给 App 里的支付宝 SDK")

    order_string = serializers.CharField(help_text=_("已签名的订单串"))


PREPAY_DATA = PolymorphicProxySerializer(
    component_name="PrepayData",
    serializers=[WechatJsapiPrepaySchema, WechatAppPrepaySchema, AlipayAppPrepaySchema],
    resource_type_field_name=None,
)


@extend_schema_field(PREPAY_DATA)
class PrepayDataField(serializers.Field):
    """What an app hands to the gateway's SDK, by scene."""


class PayResultSchema(serializers.Serializer):
    about = _(
        "付款人接下来要什么：payment_url、qr_code、prepay_data 至多一个有值，由方式和场景决定"
    )

    order_id = serializers.UUIDField(help_text=_("订单编号"))
    order_no = serializers.CharField(max_length=28, help_text=_("订单号"))
    payment_method = serializers.ChoiceField(choices=PaymentMethod.choices)
    payment_url = serializers.CharField(
        allow_null=True, help_text=_("让浏览器打开的地址：微信 h5，支付宝 page、wap")
    )
    qr_code = serializers.CharField(
        allow_null=True, help_text=_("要展示成二维码的文字：微信 native，支付宝 qr")
    )
    prepay_data = PrepayDataField(
        help_text=_("交给支付渠道 SDK 的参数：微信 jsapi、mini_program、app，支付宝 app"),
    )


class CashierSchema(serializers.Serializer):
    about = _("一个订单的收银台")

    url = serializers.URLField(help_text=_("在付款人的浏览器或微信里打开的页面"))
    expires_at = serializers.DateTimeField(help_text=_("到这个时刻为止，订单还可以付"))
