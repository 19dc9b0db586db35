"""How refusals stand in the API description: one body per set of codes, so that a client's
compiler knows which codes an operation may answer with a status."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext_lazy as _

from tcmpay.common.api.schema_parts import Schema
from tcmpay.common.errors import DomainError, InvalidInput, TokenProblem, Unauthenticated

Refusal = type[DomainError]

EXAMPLE_REQUEST_ID = "5b1f0c9a7e3d4f6a"


def codes_of(refusals: Iterable[Refusal]) -> list[str]:
    return list(dict.fromkeys(refusal.code for refusal in refusals))


def failure_name(operation_id: str, status: int, refusals: Sequence[Refusal]) -> str:
    """One code has the same body everywhere; several belong to their operation and status."""
    codes = codes_of(refusals)
    if len(codes) == 1:
        name = "".join(word.title() for word in codes[0].split("_"))
    else:
        phrase = "".join(HTTPStatus(status).phrase.split())
        name = f"{operation_id[0].upper()}{operation_id[1:]}{phrase}"
    return f"{name.removesuffix('Error')}Error"


def failure_schema(refusals: Sequence[Refusal]) -> Schema:
    properties: Schema = {
        "success": {"type": "boolean", "description": _("总是 false"), "example": False},
        "message": {"type": "string", "description": _("给人看的文字，语言随 Accept-Language")},
        "code": {
            "type": "string",
            "enum": codes_of(refusals),
            "description": _("给程序看的代码，不随语言变化"),
        },
    }
    if any(issubclass(refusal, InvalidInput) for refusal in refusals):
        properties["errors"] = {"$ref": "#/components/schemas/FieldErrors"}
    if any(issubclass(refusal, Unauthenticated) for refusal in refusals):
        properties["reason"] = {"$ref": "#/components/schemas/TokenProblem"}
    for refusal in refusals:
        if refusal.data_schema:
            properties["data"] = dict(refusal.data_schema)
    properties["request_id"] = {
        "type": "string",
        "description": _("与响应头 X-Request-ID 相同"),
        "maxLength": 64,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in ("errors", "data")],
    }


def failure_response(schema: Schema, refusals: Sequence[Refusal]) -> Schema:
    """The answer with one example for each of ``refusals``, which share a status."""
    lines = dict.fromkeys(f"`{refusal.code}` {refusal.message}" for refusal in refusals)
    examples = {
        _example_name(refusals, refusal): {"value": failure_example(refusal)}
        for refusal in refusals
    }
    return {
        "description": "\n\n".join(lines),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _example_name(refusals: Sequence[Refusal], refusal: Refusal) -> str:
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
        amount = _('金额应大于 0 且不超过 99999999.99，最多两位小数，例如 "30.00"')
        body["errors"] = {"amount": [str(amount)]}
    if refusal.data_schema:
        body["data"] = None
    return body
