"""Refusals about closing business days."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError, NeedsSomebodyElse


class DayNotClosable(DomainError):
    """``data`` lists what stands in the way, as ``code`` and ``text``."""

    code = "DAY_NOT_CLOSABLE"
    http_status = 409
    message = _("这一天还不能日结")

    def __init__(self, blocks: Sequence[Any] = ()) -> None:
        told = [{"code": block.code, "text": str(block.text)} for block in blocks]
        text = "；".join(one["text"] for one in told)
        super().__init__(text or None, data=told)


class CloseNotFound(DomainError):
    code = "CLOSE_NOT_FOUND"
    http_status = 404
    message = _("没有这次日结")


class CloseWaits(DomainError):
    code = "CLOSE_WAITS"
    http_status = 409
    message = _("这一天已提交日结，等待另一人签字")


class CloseDecided(DomainError):
    code = "CLOSE_DECIDED"
    http_status = 409
    message = _("这次日结已经处理")


class FiguresChanged(DomainError):
    code = "FIGURES_CHANGED"
    http_status = 409
    message = _("提交以后数字有变化，请重新核对并提交")


class OwnClose(NeedsSomebodyElse):
    code = "OWN_CLOSE"
    message = _("日结由两人完成：提交的人不能签字")


class NobodyKnown(NeedsSomebodyElse):
    code = "NOBODY_KNOWN"
    message = _("日结须由具名的员工提交和签字")


class ReopeningNotFound(DomainError):
    code = "REOPENING_NOT_FOUND"
    http_status = 404
    message = _("没有这个重新打开的申请")


class ReopeningWaits(DomainError):
    code = "REOPENING_WAITS"
    http_status = 409
    message = _("这一天已有重新打开的申请，等待另一人同意")


class ReopeningDecided(DomainError):
    code = "REOPENING_DECIDED"
    http_status = 409
    message = _("这个申请已经处理")


class OwnReopening(NeedsSomebodyElse):
    code = "OWN_REOPENING"
    message = _("重新打开须由另一人同意")


class NotNewestClosedDay(DomainError):
    code = "NOT_NEWEST_CLOSED_DAY"
    http_status = 409
    message = _("只能重新打开最新的已日结营业日：从最新的一天起逐日打开")


class ReasonMissing(DomainError):
    code = "REASON_MISSING"
    message = _("请写明原因")
