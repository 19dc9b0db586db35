from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError


class InsufficientBalance(DomainError):
    code = "INSUFFICIENT_BALANCE"
    message = _("余额不足")


class InsufficientFrozenBalance(DomainError):
    code = "INSUFFICIENT_FROZEN_BALANCE"
    message = _("冻结余额不足")


class BalanceLimit(DomainError):
    code = "BALANCE_LIMIT"
    message = _("余额超过上限 99999999.99 元")


class BalanceUnderReview(DomainError):
    code = "BALANCE_UNDER_REVIEW"
    http_status = 409
    message = _("余额正在核对，暂不能变动，请联系客服")
