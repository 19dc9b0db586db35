from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError


class IdempotencyKeyReused(DomainError):
    code = "IDEMPOTENCY_KEY_REUSED"
    http_status = 422
    message = _("该幂等键已用于另一个请求，请为新请求使用新的幂等键")


class IdempotencyInProgress(DomainError):
    code = "IDEMPOTENCY_IN_PROGRESS"
    http_status = 409
    message = _("相同的请求正在处理中，请稍后重试")
