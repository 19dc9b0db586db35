"""How the OpenAPI description sees our views: every answer in its envelope, every refusal.

A view says which of its room's errors an action may raise (``refusals``, action → classes) and
which headers its successes carry beside the common ones (``answer_headers``); what any call may
be refused for is added here. Codes and messages come from the classes themselves, texts for
readers from ``extend_schema`` and ``help_text``: docstrings are ours and stay here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, safe_ref
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_field
from rest_framework import serializers

from tcmpay.common.api import deprecations, schema_parts
from tcmpay.common.api.schema_failures import (
    Refusal,
    failure_name,
    failure_response,
    failure_schema,
)
from tcmpay.common.api.schema_parts import Schema, Text, header_refs
from tcmpay.common.errors import (
    BodyTooLarge,
    Forbidden,
    InternalError,
    InvalidInput,
    NotAcceptable,
    ObjectNotFound,
    RateLimited,
    ServiceUnavailable,
    Unauthenticated,
    UnsupportedMediaType,
)

# Whoever calls, and whatever is called.
ALWAYS = (BodyTooLarge, ServiceUnavailable, NotAcceptable, InternalError)
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


class ContractSchema(AutoSchema):
    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            # An empty list says that no token is needed; without one, whatever holds for all does.
            operation.setdefault("security", [])
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                # safe_ref: its description has gone to the parameter, and left an allOf of one.
                parameter["schema"] = safe_ref(
                    self._with_named_enum(schema) if "enum" in schema else schema
                )
            _without_defaults_that_exclude(operation.get("parameters", []))
        return operation

    def get_description(self) -> str:  # type: ignore[override]
        return ""

    def get_tags(self) -> list[str]:
        tag = getattr(self.view, "api_tag", None)
        return [tag] if tag else super().get_tags()

    def is_deprecated(self) -> bool:
        return f"{self.method} {self.path}" in deprecations.DEPRECATED

    def get_auth(self) -> list[Schema]:
        return super().get_auth() if self.view.authentication_classes else []

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A list comes inside its envelope; the answer itself is never a bare array.
        return False

    # --- names and fields -------------------------------------------------------------------

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        name = str(super().get_serializer_name(serializer, direction))
        if name.endswith("Input"):
            return f"{name.removesuffix('Input')}Request"
        return name.removesuffix("Schema")

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        schema.pop("description", None)
        if about := getattr(serializer, "about", None):
            schema["description"] = about
        return schema

    def _map_serializer_field(self, *args: Any, **kwargs: Any) -> Any:
        schema = super()._map_serializer_field(*args, **kwargs)  # type: ignore[no-untyped-call]
        field = args[0]
        if isinstance(field, serializers.ListSerializer):
            # DRF sets both in its constructor; its stubs don't know them.
            bounds = {
                "minItems": getattr(field, "min_length", None),
                "maxItems": getattr(field, "max_length", None),
            }
            schema |= {name: bound for name, bound in bounds.items() if bound is not None}
        return self._with_named_enum(schema) if schema and "enum" in schema else schema

    def _with_named_enum(self, schema: Schema) -> Schema:
        """Every place that has the values of a table of ours refers to one enumeration."""
        schema.pop("x-spec-enum-id", None)
        values = tuple(value for value in schema["enum"] if value is not None)
        name = schema_parts.enum_name(values)
        if name is None:
            schema["enum"] = list(values)
            return schema
        described = schema_parts.enum_values(name)
        self._register(name, ResolvedComponent.SCHEMA, described)
        rest = {key: value for key, value in schema.items() if key not in ("type", "enum")}
        reference = {"$ref": f"#/components/schemas/{name}"}
        if None in schema["enum"]:
            return {"oneOf": [reference, {"type": "null"}], **rest}
        return safe_ref({**reference, **rest})

    def _register(self, name: str, kind: str, described: Schema) -> Schema:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name, kind, described, object=name
        )
        self.registry.register_on_missing(component)
        return component.ref

    # --- answers ----------------------------------------------------------------------------

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for body in bodies.values():
            body["headers"] = header_refs(*self._common_headers(), *self._own_headers())
            body["description"] = body["description"] or _("成功")
        by_status: dict[int, list[Refusal]] = {}
        for refusal in dict.fromkeys(self._refusals()):
            by_status.setdefault(refusal.http_status, []).append(refusal)
        for status, refusals in sorted(by_status.items()):
            bodies[str(status)] = self._failure(status, refusals)
        return bodies

    def _failure(self, status: int, refusals: Sequence[Refusal]) -> Schema:
        """A refusal that comes alone is the same answer everywhere, and described once."""
        name = failure_name(self.get_operation_id(), status, refusals)
        schema = self._register(name, ResolvedComponent.SCHEMA, failure_schema(refusals))
        response = failure_response(schema, refusals)
        headers = [*self._common_headers(), *schema_parts.OF_STATUS.get(status, ())]
        if len(refusals) > 1 and status < 500 and self._is_idempotent():
            headers.append("Idempotency-Replayed")
        response["headers"] = header_refs(*headers)
        if len(refusals) > 1:
            return response
        # What needs no token is limited by other headers' rules; both are one answer to clients.
        return self._register(refusals[0].__name__, ResolvedComponent.RESPONSE, response)

    def _common_headers(self) -> tuple[str, ...]:
        return (*schema_parts.ALWAYS, *schema_parts.LIMITED)

    def _own_headers(self) -> tuple[str, ...]:
        own = getattr(self.view, "answer_headers", {}).get(getattr(self.view, "action", None), ())
        if self.is_deprecated():
            own = (*own, "Deprecation", "Sunset", "Link")
        return (*own, "Idempotency-Replayed") if self._is_idempotent() else tuple(own)

    def _is_idempotent(self) -> bool:
        return getattr(self._action(), "is_idempotent", False)

    def _action(self) -> Any:
        return getattr(self.view, getattr(self.view, "action", "") or "", None)

    def _refusals(self) -> Iterable[Refusal]:
        """Every answer but success."""
        own = (
            *getattr(self.view, "refusals", {}).get(getattr(self.view, "action", None), ()),
            *getattr(self._action(), "refusals", ()),
        )
        yield from (*ALWAYS, *own)
        if self.view.authentication_classes:
            yield from (Unauthenticated, Forbidden)
        is_of_one = "{" in self.path
        if is_of_one and not any(issubclass(error, ObjectNotFound) for error in own):
            yield ObjectNotFound
        if self.method in BODY_METHODS or any(
            place["in"] == "query" for place in self._get_parameters()
        ):
            yield InvalidInput
        if self.method in BODY_METHODS:
            yield UnsupportedMediaType
        if self.view.throttle_classes:
            yield RateLimited


def _without_defaults_that_exclude(parameters: list[Schema]) -> None:
    """Clients that are generated send every default: a page's would refuse every cursor."""
    schemas = {parameter["name"]: parameter["schema"] for parameter in parameters}
    if "cursor" in schemas:
        schemas["page"].pop("default", None)


def success_example(
    message: Text, data: Any, *, status: int = 200, name: str = "", summary: Text = ""
) -> OpenApiExample:
    """``name`` (ASCII, for programs) tells several of one answer apart, ``summary`` says how."""
    body = {"success": True, "message": message, "data": data}
    return OpenApiExample(
        name or "success",
        summary=summary or message,
        value=body,
        response_only=True,
        status_codes=[str(status)],
    )


def request_example(name: str, value: Any, *, summary: Text = "") -> OpenApiExample:
    return OpenApiExample(name, summary=summary, value=value, request_only=True)


def id_in_path(name: str, description: Text, example: str) -> OpenApiParameter:
    """The UUID in an address; ``example`` is what the documentation's form is filled with."""
    schema = {"type": "string", "format": "uuid", "example": example}
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, description=description)


@extend_schema_field({"type": "null"})
class NothingField(serializers.Field):
    """Always null."""


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
        "success": serializers.BooleanField(help_text=_("总是 true")),
        "message": serializers.CharField(help_text=_("给人看的文字，语言随 Accept-Language")),
        "data": inner if inner is not None else NothingField(help_text=_("总是 null")),
    }
    return type(f"{name}Envelope", (serializers.Serializer,), fields)
