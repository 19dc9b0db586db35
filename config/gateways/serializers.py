"""What the endpoints of gateway configuration take, and how their answers are described."""

from rest_framework import serializers

from config.gateways.fields import VALUE_BYTES_MAX
from tcmpay.common.api.serializers import (
    InputSerializer,
    StrictBooleanField,
    StrictCharField,
)


class GatewayConfigInput(InputSerializer):
    config_key = StrictCharField(max_length=64)
    config_value = StrictCharField(max_length=VALUE_BYTES_MAX)
    is_encrypted = StrictBooleanField(required=False)


class GatewayConfigSchema(serializers.Serializer):
    """一个配置项；机密只显示掩码。"""

    config_key = serializers.CharField()
    config_value = serializers.CharField()
    is_encrypted = serializers.BooleanField()
    description = serializers.CharField()
    updated_at = serializers.DateTimeField()


class GatewayConfigUpdatedSchema(serializers.Serializer):
    """已保存但不能使用的值有什么问题；没有问题时为 null。"""

    warnings = serializers.ListField(child=serializers.CharField())
