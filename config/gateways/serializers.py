"""What the endpoints of gateway configuration take, and how their answers are described."""

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from config.gateways.fields import VALUE_BYTES_MAX
from tcmpay.common.api.serializers import (
    InputSerializer,
    StrictBooleanField,
    StrictCharField,
)


class GatewayConfigInput(InputSerializer):
    config_key = StrictCharField(max_length=64, help_text=_("配置项的键；不认识的键返回 400"))
    config_value = StrictCharField(max_length=VALUE_BYTES_MAX, help_text=_("值，不能为空"))
    is_encrypted = StrictBooleanField(
        required=False, help_text=_("是否加密保存；机密不管写什么都加密")
    )


class GatewayConfigSchema(serializers.Serializer):
    about = _("一个配置项；机密只显示掩码")

    config_key = serializers.CharField(help_text=_("键"))
    config_value = serializers.CharField(help_text=_("值；机密显示为掩码，没有设置的为空"))
    is_encrypted = serializers.BooleanField(help_text=_("是否加密保存"))
    description = serializers.CharField(help_text=_("这一项是什么"))
    updated_at = serializers.DateTimeField(help_text=_("最后一次变化的时刻"))


class GatewayConfigUpdatedSchema(serializers.Serializer):
    about = _("已保存但不能使用的值有什么问题；没有问题时为 null")

    warnings = serializers.ListField(
        child=serializers.CharField(), help_text=_("每个问题是什么、怎么办")
    )
