"""The states of a refund, and which may follow which."""

import enum
from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _


class RefundStatus(models.TextChoices):
    PENDING = "pending", _("待审核")
    PROCESSING = "processing", _("退款中")
    SUCCESS = "success", _("已退款")
    FAILED = "failed", _("退款失败")
    CANCELLED = "cancelled", _("已取消")


REFUND_TRANSITIONS: Mapping[str, frozenset[str]] = {
    RefundStatus.PENDING: frozenset({RefundStatus.PROCESSING, RefundStatus.CANCELLED}),
    RefundStatus.PROCESSING: frozenset({RefundStatus.SUCCESS, RefundStatus.FAILED}),
    # Staff retry with the same number; success on verified gateway proof only.
    RefundStatus.FAILED: frozenset({RefundStatus.PROCESSING, RefundStatus.SUCCESS}),
    RefundStatus.SUCCESS: frozenset(),
    RefundStatus.CANCELLED: frozenset(),
}

# Refunds that hold their amount of the payment. A failed one frees it and takes it again on retry.
RESERVING_STATUSES = frozenset(
    {RefundStatus.PENDING, RefundStatus.PROCESSING, RefundStatus.SUCCESS}
)
# The error code of one that waits for staff to act in the merchant console.
ABNORMAL = "ABNORMAL"


class Told(enum.Enum):
    """What became of something that a gateway said about one of our refunds."""

    AGREED = enum.auto()  # booked, or in the books already, or nothing to book
    HELD = enum.auto()  # a case for staff
    CONTRADICTED = enum.auto()  # it says that what we booked as done is not
    WITHOUT_ROOM = enum.auto()  # done after all, and refunds that are not done hold its money
    UNDECIDED = enum.auto()  # nobody has decided about the refund that it speaks of
    NEVER_OURS = enum.auto()  # the refund that it speaks of was called off here
    EARLIER_NUMBER = enum.auto()  # it speaks of a number that the refund does not go by now


class RefundCause(models.TextChoices):
    """Why money goes back."""

    REQUESTED = "requested", _("用户或客服申请")
    LATE_PAYMENT = "late_payment", _("订单结束后到账，自动退回")
    SECOND_PAYMENT = "second_payment", _("重复支付，自动退回")
    OUTSIDE = "outside", _("商户平台直接退款")


SURPLUS_CAUSES = frozenset({RefundCause.LATE_PAYMENT, RefundCause.SECOND_PAYMENT})
# Refunds that nobody reviews here: surplus money was never ours, an outside one is done already.
AUTOMATIC_CAUSES = SURPLUS_CAUSES | {RefundCause.OUTSIDE}


class ReviewDecision(models.TextChoices):
    """What a reviewer says to a request."""

    APPROVE = "approve", _("批准")
    REJECT = "reject", _("驳回")


class BatchDecision(models.TextChoices):
    """What is done with every refund of a batch."""

    APPROVE = ReviewDecision.APPROVE.value, ReviewDecision.APPROVE.label
    REJECT = ReviewDecision.REJECT.value, ReviewDecision.REJECT.label
    RETRY = "retry", _("重试")


class BatchOutcome(models.TextChoices):
    """What became of one refund in a batch of decisions."""

    WAITING = "waiting", _("等待处理")
    DONE = "done", _("已完成")
    FIRST_APPROVAL = "first_approval", _("已记录第一次批准")
    REFUSED = "refused", _("未执行")


class BulkSource(models.TextChoices):
    """How the orders of a bulk came to be named."""

    ORDERS = "orders", _("接口清单")
    FILE = "file", _("上传的文件")
    FILTER = "filter", _("筛选条件")


class BulkStatus(models.TextChoices):
    """How far a bulk of refunds is that one person asked for."""

    PENDING = "pending", _("待复核")
    RUNNING = "running", _("执行中")
    PAUSED = "paused", _("已暂停")
    FINISHED = "finished", _("已完成")
    REJECTED = "rejected", _("已驳回")
    WITHDRAWN = "withdrawn", _("已撤回")


BULK_TRANSITIONS: Mapping[str, frozenset[str]] = {
    BulkStatus.PENDING: frozenset({BulkStatus.RUNNING, BulkStatus.REJECTED, BulkStatus.WITHDRAWN}),
    BulkStatus.RUNNING: frozenset({BulkStatus.PAUSED, BulkStatus.FINISHED}),
    BulkStatus.PAUSED: frozenset({BulkStatus.RUNNING, BulkStatus.FINISHED}),
    BulkStatus.FINISHED: frozenset(),
    BulkStatus.REJECTED: frozenset(),
    BulkStatus.WITHDRAWN: frozenset(),
}
# While a bulk may still ask for refunds, its waiting rows hold their orders.
UNFINISHED_BULKS = frozenset({BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.PAUSED})


class BulkOutcome(models.TextChoices):
    """What became of one order in a bulk of refunds."""

    WAITING = "waiting", _("等待执行")
    APPROVED = "approved", _("已申请并批准")
    ASKED = "asked", _("已申请，还需另一位审核人")
    REFUSED = "refused", _("未申请")
    LEFT_OUT = "left_out", _("提前结束，未执行")


# Rows that made a refund.
BULK_OUTCOMES_WITH_REFUND = (BulkOutcome.APPROVED, BulkOutcome.ASKED)
