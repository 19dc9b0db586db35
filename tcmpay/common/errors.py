"""Refusals as classes: a stable code, an HTTP status, a message in the reader's language."""

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
    """``errors`` maps field names to lists of messages."""

    code = "VALIDATION_ERROR"
    message = _("请求参数有误，请检查后重试")
    is_lasting = True

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__()
        self.errors = errors


class Unauthenticated(DomainError):
    code = "UNAUTHENTICATED"
    http_status = 401
    message = _("未授权")


class Forbidden(DomainError):
    code = "FORBIDDEN"
    http_status = 403
    message = _("禁止访问")


class ObjectNotFound(DomainError):
    code = "NOT_FOUND"
    http_status = 404
    message = _("资源不存在")


class BodyTooLarge(DomainError):
    code = "BODY_TOO_LARGE"
    http_status = 413
    message = _("请求内容过大")


class ServiceUnavailable(DomainError):
    code = "SERVICE_UNAVAILABLE"
    http_status = 503
    message = _("服务暂时不可用，请稍后重试")
