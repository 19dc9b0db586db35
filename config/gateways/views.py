"""Doors to gateway configuration."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.gateways import api_schema, selectors, services
from config.gateways.errors import ConfigNeedsSecondPerson, MethodNotFound
from config.gateways.examine import value_warnings
from config.gateways.fields import keys_of
from config.gateways.serializers import (
    GatewayConfigInput,
    GatewayConfigSchema,
    GatewayConfigUpdatedSchema,
)
from gateways.interface import GATEWAY_METHODS
from tcmpay.common.api.envelope import success
from tcmpay.common.api.schema import enveloped, request_example, success_example
from tcmpay.common.api.views import ADMINS, ContractViewSet, actor_of

METHOD_PARAMETER = OpenApiParameter(
    "method",
    {"type": "string", "enum": list(GATEWAY_METHODS)},
    OpenApiParameter.PATH,
    description=_("哪个支付渠道"),
)


class GatewayConfigViewSet(ContractViewSet):
    roles = {"retrieve": ADMINS, "update": ADMINS}
    api_tag = "gateway-config"
    refusals = {
        "retrieve": (MethodNotFound,),
        "update": (MethodNotFound, ConfigNeedsSecondPerson),
    }

    @extend_schema(
        operation_id="getGatewayConfig",
        summary=_("查看支付配置"),
        description=_("机密只显示掩码。"),
        parameters=[METHOD_PARAMETER],
        responses={200: enveloped("GatewayConfig", GatewayConfigSchema(many=True))},
        examples=[success_example(_("获取支付配置成功"), api_schema.CONFIG_EXAMPLE)],
    )
    def retrieve(self, request: Request, method: str) -> Response:
        return success(_("获取支付配置成功"), selectors.gateway_config_masked(method))

    @extend_schema(
        operation_id="updateGatewayConfig",
        summary=_("更新一个支付配置项"),
        description=_(
            "机密一律加密保存；自下一笔支付起生效。密钥和证书可用任何常见形式，统一保存为 PEM。"
            "不能使用的值照样保存，data.warnings 说明问题和处理办法；没有问题时 data 为 null。"
            "若部署要求由第二人启用配置（CONFIG_ACTIVATION_SECOND_PERSON），此接口不作修改。"
        ),
        parameters=[METHOD_PARAMETER],
        request=GatewayConfigInput,
        responses={
            200: enveloped("GatewayConfigUpdated", GatewayConfigUpdatedSchema(allow_null=True))
        },
        examples=[
            request_example(
                "api_key",
                {
                    "config_key": "api_key",
                    "config_value": "your-api-key-here",
                    "is_encrypted": True,
                },
                summary=_("API 密钥"),
            ),
            success_example(_("支付配置更新成功"), None),
            success_example(
                _("支付配置更新成功"),
                api_schema.CONFIG_WARNING_EXAMPLE,
                name="unusable",
                summary=_("保存了不能使用的值"),
            ),
        ],
    )
    def update(self, request: Request, method: str) -> Response:
        keys_of(method)  # an unknown method is 404 whatever the body says
        wanted = GatewayConfigInput.parse(request)
        if settings.CONFIG_ACTIVATION_SECOND_PERSON:
            raise ConfigNeedsSecondPerson()
        services.gateway_config_set(
            actor=actor_of(request),
            method=method,
            key=wanted["config_key"],
            value=wanted["config_value"],
            is_encrypted=wanted.get("is_encrypted"),
        )
        warnings = value_warnings(method, wanted["config_key"])
        return success(_("支付配置更新成功"), {"warnings": warnings} if warnings else None)
