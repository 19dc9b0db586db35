from django.utils.translation import gettext_lazy as _

from balances.errors import InsufficientBalance
from tcmpay.common.errors import DomainError, NeedsSomebodyElse, ObjectNotFound


class RefundNotFound(ObjectNotFound):
    message = _("退款记录不存在")


class PaymentNotFound(ObjectNotFound):
    message = _("支付流水不存在")


class OrderNotRefundable(DomainError):
    code = "ORDER_NOT_REFUNDABLE"
    message = _("只能退款已支付的订单")


class RefundExceedsPaid(DomainError):
    code = "REFUND_EXCEEDS_PAID"
    message = _("退款金额不能大于可退金额")


class MoneyGivenBack(RefundExceedsPaid):
    message = _("该支付有退款的差错已核销或正在申请核销，款项视为已另行退还，不能再退")


class TooManyRefunds(DomainError):
    code = "REFUND_LIMIT"
    message = _("该支付的退款次数已达上限，请联系客服")


class TooManyWaiting(TooManyRefunds):
    message = _("该支付等待审核的退款申请已达上限，请等审核后再申请")


class TooManyTopUps(DomainError):
    code = "TOO_MANY_TOPUPS"
    message = _("一次最多从 50 笔充值退回，请分几次申请")


class RefundAlreadyReviewed(DomainError):
    code = "REFUND_ALREADY_REVIEWED"
    message = _("退款申请已处理")


class ApprovedByYouAlready(RefundAlreadyReviewed):
    message = _("您已批准过该退款，需由另一位审核人批准")


class ApprovedMeanwhile(DomainError):
    """``by`` among the facts is the staff user whose approval the reviewer had not seen."""

    code = "APPROVED_MEANWHILE"
    http_status = 409
    message = _("刚有人批准，您这次是第二位，请再确认")


class SelfReview(NeedsSomebodyElse):
    code = "SELF_REVIEW"
    message = _("不能审核自己申请或退给自己的退款")


class RetryNeedsSecondPerson(NeedsSomebodyElse):
    code = "REFUND_NEEDS_SECOND_PERSON"
    message = _("该支付的退款合计已超过双人审批线：请由没有批准过它的另一位审核人重试")


class StopNeedsSecondPerson(NeedsSomebodyElse):
    code = "REFUND_NEEDS_SECOND_PERSON"
    message = _("您已申请停止发送，需由另一位审核人同意")


class RefundNotStoppable(DomainError):
    code = "REFUND_NOT_STOPPABLE"
    message = _("只能停止进行中、网关尚未受理的退款")


class RefundNotWithdrawable(DomainError):
    code = "REFUND_NOT_WITHDRAWABLE"
    message = _("只能撤回待审核的退款申请")


class RefundNotRetryable(DomainError):
    code = "REFUND_NOT_RETRYABLE"
    message = _("只能重试失败的退款")


class RefundGivenBack(RefundNotRetryable):
    message = _(
        "该退款的差错已核销或正在申请核销：款项视为已另行退还，不能重试；"
        "核对后确实没有退还的，请撤回核销申请，已核销的请用余额调整退还"
    )


class WriteOffBeyondBalance(InsufficientBalance):
    message = _(
        "用户的可用余额不够扣除这笔已另行退还的充值：请先与用户核实，余额足够后再确认，或取消核销申请"
    )


class LeftAskedAlready(InsufficientBalance):
    message = _("余额中有一部分已在“余额无法原路退回”的差错里等待处理，请先处理那些差错")


class NoSurplus(DomainError):
    code = "NO_SURPLUS"
    message = _("这笔支付没有可退回的多收款项")


class SurplusRefundExists(DomainError):
    code = "SURPLUS_REFUND_EXISTS"
    message = _("这笔款项已有退款记录，请重试该退款")


class RefundNotReplaceable(DomainError):
    code = "REFUND_NOT_REPLACEABLE"
    message = _("另行申请的金额必须大于零且小于原申请的金额")


class BatchSizeWrong(DomainError):
    code = "BATCH_SIZE"
    message = _("请选择 1 至 100 笔待审核的退款，重试时最多 500 笔")


class NothingLeft(DomainError):
    code = "REFUND_NOTHING_LEFT"
    message = _("可退金额已全部退还，或已有退款申请占用")


class RowGivenBack(DomainError):
    code = "REFUND_GIVEN_BACK"
    message = MoneyGivenBack.message


class BulkNotFound(ObjectNotFound):
    message = _("批量退款不存在")


class BulkSizeWrong(DomainError):
    code = "BULK_SIZE"
    message = _("一次批量退款应有 1 至 5000 个订单，请缩小范围或分几次")


class BulkOfNothing(DomainError):
    code = "BULK_NOTHING"
    message = _("其中没有一个订单可以退款，逐行原因见预览")


class BulkChanged(DomainError):
    code = "BULK_CHANGED"
    http_status = 409
    message = _("预览之后订单有变化，请按新的结果再核对一次")


class BulkAlreadyDecided(DomainError):
    code = "BULK_ALREADY_DECIDED"
    message = _("这次批量退款已处理")


class BulkNotRunning(DomainError):
    code = "BULK_NOT_RUNNING"
    message = _("只有执行中的可以暂停，只有已暂停的可以继续或结束")


class BulkPausedByAnother(NeedsSomebodyElse):
    code = "BULK_NEEDS_SECOND_PERSON"
    message = _("这次批量退款是另一位同事暂停的，不能由申请人继续执行")


class OrderRepeated(DomainError):
    code = "BULK_ORDER_REPEATED"
    message = _("同一个订单在这次批量退款中出现了两次")


class OrderInAnotherBulk(DomainError):
    code = "BULK_ORDER_ELSEWHERE"
    message = _("该订单在另一次还没有完成的批量退款中")


class TopUpInBulk(DomainError):
    code = "BULK_TOPUP"
    message = _("充值订单不能批量退款")


class RowAmountWrong(DomainError):
    code = "BULK_AMOUNT"
    message = _("金额应大于 0 且不超过 99999999.99，最多两位小数")


class RowReasonWrong(DomainError):
    code = "BULK_REASON"
    message = _("退款原因不能超过 500 个字")


class RulesOverlap(DomainError):
    code = "RULES_OVERLAP"
    message = _("与另一条启用的规则重叠，请调整小时范围或停用其中一条")
