"""How the OpenAPI description sees our views: every answer in its envelope, every refusal."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers


class ContractSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        tag = getattr(self.view, "api_tag", None)
        return [tag] if tag else super().get_tags()


class FailureSchema(serializers.Serializer):
    success = serializers.BooleanField(default=False)
    message = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.DictField(required=False)
    request_id = serializers.CharField()


def enveloped(name: str, inner: Any) -> Any:
    """The success envelope around ``inner`` (a serializer, a list of them, or None)."""
    fields: dict[str, Any] = {
        "success": serializers.BooleanField(default=True),
        "message": serializers.CharField(),
        "data": inner if inner is not None else serializers.JSONField(allow_null=True),
    }
    return type(f"{name}Envelope", (serializers.Serializer,), fields)


def refusals(*statuses: int) -> dict[int, type[FailureSchema]]:
    """The failure shape for each of ``statuses``, as ``extend_schema`` takes it."""
    return dict.fromkeys(statuses, FailureSchema)
