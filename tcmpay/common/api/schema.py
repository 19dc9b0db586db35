"""How the OpenAPI description sees our views: every answer in its envelope, every refusal."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers


class ContractSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        tag = getattr(self.view, "api_tag", None)
        return [tag] if tag else super().get_tags()

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A list comes inside its envelope; the answer itself is never a bare array.
        return False


class FailureSchema(serializers.Serializer):
    success = serializers.BooleanField(default=False)
    message = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField()


_envelopes: dict[str, Any] = {}


def enveloped(name: str, inner: Any) -> Any:
    """The success envelope around ``inner`` (a serializer, a list of them, or None).

    One class per ``name``: the description names its components by their class.
    """
    if name not in _envelopes:
        _envelopes[name] = _envelope_class(name, inner)
    return _envelopes[name]


def _envelope_class(name: str, inner: Any) -> Any:
    fields: dict[str, Any] = {
        "success": serializers.BooleanField(default=True),
        "message": serializers.CharField(),
        "data": inner if inner is not None else serializers.JSONField(allow_null=True),
    }
    return type(f"{name}Envelope", (serializers.Serializer,), fields)


def refusals(*statuses: int) -> dict[int, type[FailureSchema]]:
    """The failure shape for each of ``statuses``, as ``extend_schema`` takes it."""
    return dict.fromkeys(statuses, FailureSchema)


# ``errors`` is a property of every serializer class, so the field is added by hand.
FailureSchema._declared_fields["errors"] = serializers.DictField(required=False)
