from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError, NeedsSomebodyElse, ObjectNotFound


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


class MovementRepeated(DomainError):
    code = "MOVEMENT_REPEATED"
    http_status = 409
    message = _("这张表单已经提交过，没有重复执行")


class AdjustmentNotFound(ObjectNotFound):
    message = _("余额调整不存在")


class AdjustmentExists(DomainError):
    code = "ADJUSTMENT_EXISTS"
    http_status = 409
    message = _("这张表单已经提交过，没有重复申请")


class AdjustmentDecided(DomainError):
    code = "ADJUSTMENT_DECIDED"
    message = _("该余额调整已处理")


class OwnAdjustment(NeedsSomebodyElse):
    code = "OWN_ADJUSTMENT"
    message = _("不能复核自己申请的调整，请由另一位复核人处理")


class OwnBalance(NeedsSomebodyElse):
    code = "OWN_BALANCE"
    message = _("不能调整自己的余额")
