"""How the OpenAPI description sees our views: every answer in its envelope, every refusal.

A view says which of its room's errors an action may raise (``refusals``, action → classes); what
any call may be refused for is added here. Codes and messages come from the classes themselves.
"""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from tcmpay.common.api import deprecations
from tcmpay.common.errors import (
    BodyTooLarge,
    DomainError,
    Forbidden,
    InternalError,
    InvalidInput,
    NotAcceptable,
    ObjectNotFound,
    RateLimited,
    ServiceUnavailable,
    TokenProblem,
    Unauthenticated,
    UnsupportedMediaType,
)

Refusal = type[DomainError]

EXAMPLE_REQUEST_ID = "5b1f0c9a7e3d4f6a"
# Whoever calls, and whatever is called.
ALWAYS = (BodyTooLarge, ServiceUnavailable, NotAcceptable, InternalError)
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
TOKEN_PROBLEMS = [str(problem) for problem in TokenProblem]


class FailureSchema(serializers.Serializer):
    success = serializers.BooleanField(default=False)
    message = serializers.CharField(help_text="for people, in the language of Accept-Language")
    code = serializers.CharField(help_text="for clients, the same in every language")
    reason = serializers.ChoiceField(
        choices=TOKEN_PROBLEMS,
        required=False,
        help_text="which mistake the token has; with UNAUTHENTICATED only",
    )
    request_id = serializers.CharField()


class ContractSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        tag = getattr(self.view, "api_tag", None)
        return [tag] if tag else super().get_tags()

    def is_deprecated(self) -> bool:
        return f"{self.method} {self.path}" in deprecations.DEPRECATED

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A list comes inside its envelope; the answer itself is never a bare array.
        return False

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        is_list = getattr(self.view, "action", None) == "list"
        return f"{name.removesuffix('_retrieve')}_list" if is_list else name

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        by_status: dict[int, list[Refusal]] = {}
        for refusal in dict.fromkeys(self._refusals()):
            by_status.setdefault(refusal.http_status, []).append(refusal)
        for status, refusals in sorted(by_status.items()):
            bodies[str(status)] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                refusal_response(refusals), str(status), direction=direction
            )
        return bodies

    def _refusals(self) -> Iterable[Refusal]:
        """Every answer but success."""
        action = getattr(self.view, getattr(self.view, "action", "") or "", None)
        own = (
            *getattr(self.view, "refusals", {}).get(getattr(self.view, "action", None), ()),
            *getattr(action, "refusals", ()),
        )
        yield from (*ALWAYS, *own)
        if self.view.authentication_classes:
            yield from (Unauthenticated, Forbidden)
        is_of_one = "{" in self.path
        if is_of_one and not any(issubclass(error, ObjectNotFound) for error in own):
            yield ObjectNotFound
        if self.method in BODY_METHODS or any(
            place["in"] != "path" for place in self._get_parameters()
        ):
            yield InvalidInput
        if self.method in BODY_METHODS:
            yield UnsupportedMediaType
        if self.view.throttle_classes:
            yield RateLimited


def refusal_response(refusals: Iterable[Refusal]) -> OpenApiResponse:
    """The failure shape with one example for each of ``refusals``, which share a status."""
    refusals = list(refusals)
    codes = ", ".join(dict.fromkeys(refusal.code for refusal in refusals))
    return OpenApiResponse(
        FailureSchema,
        description=codes,
        examples=[
            OpenApiExample(_example_name(refusals, refusal), value=failure_example(refusal))
            for refusal in refusals
        ],
    )


def _example_name(refusals: list[Refusal], refusal: Refusal) -> str:
    """The code; with its number where one code stands for several messages."""
    alike = [one for one in refusals if one.code == refusal.code]
    number = alike.index(refusal)
    return refusal.code if number == 0 else f"{refusal.code}_{number + 1}"


def failure_example(refusal: Refusal) -> dict[str, Any]:
    body = {
        "success": False,
        "message": str(refusal.message),
        "code": refusal.code,
        "request_id": EXAMPLE_REQUEST_ID,
    }
    if refusal is Unauthenticated:
        body["reason"] = TokenProblem.EXPIRED
    if refusal is InvalidInput:
        body["errors"] = {
            "amount": ['金额应大于 0 且不超过 99999999.99，最多两位小数，例如 "30.00"']
        }
    return body


def success_example(
    message: str, data: Any, *, status: int = 200, name: str = ""
) -> OpenApiExample:
    """``name`` tells several of one answer apart."""
    body = {"success": True, "message": message, "data": data}
    return OpenApiExample(
        name or message, value=body, response_only=True, status_codes=[str(status)]
    )


def request_example(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


@extend_schema_field({"type": "object", "nullable": True, "enum": [None]})
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
        "success": serializers.BooleanField(default=True),
        "message": serializers.CharField(),
        "data": inner if inner is not None else NothingField(),
    }
    return type(f"{name}Envelope", (serializers.Serializer,), fields)


# ``errors`` and ``data`` are properties of every serializer class, so the fields are added by hand.
FailureSchema._declared_fields["errors"] = serializers.DictField(
    required=False, help_text="field → texts; with VALIDATION_ERROR only"
)
FailureSchema._declared_fields["data"] = serializers.CharField(
    required=False, help_text="the live order's id; with APPOINTMENT_HAS_ORDER only"
)
