"""What bills are, and how they can differ from our books: data, not branches."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.states import ExceptionKind


class BillType(models.TextChoices):
    TRADE = "trade", _("交易账单")
    FUND = "fund", _("资金账单")


class FundsLeg(models.TextChoices):
    """Whether a day's money was looked for in the account's bill."""

    CHECKED = "checked", _("资金已核对")
    NOT_CHECKED = "not_checked", _("资金未核对")
    MISSING = "missing", _("缺资金账单，资金未核对")


class BillSource(models.TextChoices):
    FETCHED = "fetched", _("自动下载")
    UPLOADED = "uploaded", _("人工上传")


class DownloadStatus(models.TextChoices):
    """Bills that staff want from the gateway again."""

    WAITING = "waiting", _("排队下载")
    REFUSED = "refused", _("没有下载到")
    DONE = "done", _("已下载")


class UploadStatus(models.TextChoices):
    """A bill that is not imported while somebody waits: it is big, or has to be confirmed first."""

    WAITING = "waiting", _("排队导入")
    DIFFERS = "differs", _("与现有账单不同")
    REFUSED = "refused", _("不能导入")
    DONE = "done", _("已导入")


class DifferenceType(models.TextChoices):
    """How a bill and our books differ (RECONCILIATION 3 and 6)."""

    OURS_ONLY = "ours_only", _("我方有，网关无")
    THEIRS_ONLY = "theirs_only", _("网关有，我方无")
    AMOUNT = "amount", _("金额不符")
    FEE = "fee", _("手续费不符")
    STATE = "state", _("状态不符")
    DUPLICATE = "duplicate", _("账单重复")
    WRONG_DAY = "wrong_day", _("记在另一日")
    FOREIGN = "foreign", _("不是我方的交易")
    FUND_GAP = "fund_gap", _("资金余额不连续")
    FUND_MISSING = "fund_missing", _("资金未到")
    LINE = "line", _("账单行无法读取")


# Each type of difference is a case of its own kind at the desk.
CASE_KINDS: Mapping[str, ExceptionKind] = {
    kind: ExceptionKind(f"bill_{kind}") for kind in DifferenceType.values
}


class CloseStatus(models.TextChoices):
    """A daily close: put forward, signed by another person; signed, it may be opened again."""

    PENDING = "pending", _("待签字")
    SIGNED = "signed", _("已日结")
    REJECTED = "rejected", _("已驳回")
    WITHDRAWN = "withdrawn", _("已撤回")
    REOPENED = "reopened", _("已重新打开")


CLOSE_TRANSITIONS: Mapping[str, frozenset[str]] = {
    CloseStatus.PENDING: frozenset(
        {CloseStatus.SIGNED, CloseStatus.REJECTED, CloseStatus.WITHDRAWN}
    ),
    CloseStatus.SIGNED: frozenset({CloseStatus.REOPENED}),
}


class ReopeningStatus(models.TextChoices):
    """A wish to open a closed day again, until another person decides."""

    PENDING = "pending", _("待同意")
    APPROVED = "approved", _("已重新打开")
    REJECTED = "rejected", _("已驳回")
    WITHDRAWN = "withdrawn", _("已撤回")


REOPENING_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ReopeningStatus.PENDING: frozenset(
        {ReopeningStatus.APPROVED, ReopeningStatus.REJECTED, ReopeningStatus.WITHDRAWN}
    ),
}


class DayState(models.TextChoices):
    """How a business day stands (RECONCILIATION 6.9)."""

    OPEN = "open", _("未日结")
    READY = "ready", _("可以日结")
    CLOSED = "closed", _("已日结")
