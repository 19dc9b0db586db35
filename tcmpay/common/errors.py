"""Refusals as classes: a stable code, an HTTP status, a message in the reader's language.

What any address may answer stands here, what one room answers in its ``errors.py``; how Django's
and DRF's own exceptions are answered is told by ``common/api/exceptions.py`` with these classes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class DomainError(Exception):
    """Base of every refusal that a caller may see.

    ``facts`` are for logs and tests, never for the answer; ``data`` is part of the answer.
    """

    code: ClassVar[str] = "DOMAIN_ERROR"
    http_status: ClassVar[int] = 400
    message: ClassVar[str | Promise] = _("请求被拒绝")
    # Whether the same request is refused so for ever, whatever happens meanwhile. Only then is the
    # answer kept under an Idempotency-Key: a balance is topped up, a refund withdrawn.
    is_lasting: ClassVar[bool] = False
    # What ``data`` is, for the API description; None where the answer has none.
    data_schema: ClassVar[Mapping[str, Any] | None] = None
    # Where waiting helps: sent as Retry-After.
    retry_after_seconds: int | None = None

    def __init__(
        self, message: str | Promise | None = None, *, data: Any = None, **facts: Any
    ) -> None:
        super().__init__(self.code)
        self.text = message or self.message
        self.data = data
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.code} {self.facts}" if self.facts else self.code


class InvalidInput(DomainError):
    """``errors`` maps field names to lists of messages; empty where no field is to blame."""

    code = "VALIDATION_ERROR"
    message = _("请求参数有误，请检查后重试")
    is_lasting = True

    def __init__(self, errors: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.errors = errors or {}


class TokenProblem(StrEnum):
    """Which mistake a token has: stable as a code is, and nothing about the key.

    Everything from EXPIRED on is told of tokens alone that are signed with the right key.
    """

    MISSING = "missing"
    SCHEME = "scheme"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CLAIMS = "claims"
    AUDIENCE = "audience"
    ISSUER = "issuer"
    SUBJECT = "subject"
    ROLE = "role"

    @property
    def told(self) -> str:
        """In a developer's words: English, as it stands in a header (RFC 6750, error_description).

        "" where no token came that something could be said about.
        """
        return _TOLD_OF_TOKENS.get(self, "")


_TOLD_OF_TOKENS = {
    TokenProblem.MALFORMED: "not a JWT of three base64url parts, or longer than 4096 characters",
    TokenProblem.ALGORITHM: "alg is not the one that this service is configured for",
    TokenProblem.SIGNATURE: "not signed with the key that this service is configured for",
    TokenProblem.EXPIRED: "exp has passed",
    TokenProblem.NOT_YET_VALID: "iat or nbf lies in the future",
    TokenProblem.CLAIMS: "sub, role, exp and iat are needed, exp and iat as numbers",
    TokenProblem.AUDIENCE: "aud does not name this service",
    TokenProblem.ISSUER: "iss is not the platform",
    TokenProblem.SUBJECT: "sub is not a UUID",
    TokenProblem.ROLE: "role is none of patient, doctor, admin, service",
}


class Unauthenticated(DomainError):
    """``reason`` is part of the answer, beside the code."""

    code = "UNAUTHENTICATED"
    http_status = 401
    message = _("未授权")

    def __init__(self, reason: TokenProblem = TokenProblem.MISSING) -> None:
        super().__init__()
        self.reason = reason


class Forbidden(DomainError):
    code = "FORBIDDEN"
    http_status = 403
    message = _("禁止访问")


class NeedsSomebodyElse(DomainError):
    """Base of what the rooms answer to whoever may not decide alone (``common/second_person.py``).

    Its kinds have a code each: what the person has to do with the thing is not the same.
    """

    http_status = 403


class ObjectNotFound(DomainError):
    code = "NOT_FOUND"
    http_status = 404
    message = _("资源不存在")


class MethodNotAllowed(DomainError):
    code = "METHOD_NOT_ALLOWED"
    http_status = 405
    message = _("不支持该请求方法")


class NotAcceptable(DomainError):
    code = "NOT_ACCEPTABLE"
    http_status = 406
    message = _("仅提供 JSON 格式，请调整 Accept 请求头")


class BodyTooLarge(DomainError):
    code = "BODY_TOO_LARGE"
    http_status = 413
    message = _("请求内容过大")


class UnsupportedMediaType(DomainError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    http_status = 415
    message = _("请使用 Content-Type: application/json")


class RateLimited(DomainError):
    code = "RATE_LIMITED"
    http_status = 429
    message = _("请求过于频繁，请稍后重试")

    def __init__(self, *, retry_after_seconds: float | None = None) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, int(retry_after_seconds or 1))


class InternalError(DomainError):
    """What nobody expected; never raised, only answered."""

    code = "INTERNAL_ERROR"
    http_status = 500
    message = _("系统内部错误，请稍后重试")


class ServiceUnavailable(DomainError):
    code = "SERVICE_UNAVAILABLE"
    http_status = 503
    message = _("服务暂时不可用，请稍后重试")
    retry_after_seconds = 5
