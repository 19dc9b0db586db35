"""Refusals of bills, of comparing them, and of reports."""

from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError


class BillNotAccepted(DomainError):
    """The text says why; nothing was changed."""

    code = "BILL_REFUSED"
    message = _("账单文件不能导入")


class AnotherBillThere(DomainError):
    """Another file of the day counts; ``data`` is what differs, and replacing has to be asked."""

    code = "BILL_DIFFERS"
    http_status = 409
    message = _("这一天已有另一份账单，内容不同：核对差别后选择替换")


class DayIsClosed(DomainError):
    code = "DAY_CLOSED"
    http_status = 409
    message = _("这一天已日结，不能再导入账单")


class BillNotReady(DomainError):
    code = "BILL_NOT_READY"
    http_status = 409
    message = _("网关还没有给出这一天的账单，请稍后再试")


class NothingToCompare(DomainError):
    code = "NO_BILL"
    http_status = 409
    message = _("这一天还没有账单，不能对账")


class BillsChanged(DomainError):
    """Another bill came to count, or another run wrote, while the day was compared."""

    code = "BILLS_CHANGED"
    http_status = 409
    message = _("对账期间账单被替换，或另一次对账已写入，请再对账一次")


class SpanRefused(DomainError):
    code = "SPAN_REFUSED"
    message = _("报表的日期范围应从早到晚，最长三年")
