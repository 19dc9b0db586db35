"""Refunds that a gateway gives no clear answer about: cases for a person."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from payments.models import PaymentException
from payments.services.exceptions import exception_open
from payments.services.silence import silent_methods
from payments.states import ExceptionKind
from refunds.models import Refund
from refunds.services.lasting_refusals import refunds_told_of_together
from refunds.services.states import refund_lock
from refunds.services.submission import ABNORMAL
from refunds.states import RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

BATCH = 100
# About twenty minutes of questions (submission.BACKOFF_SECONDS) that brought only errors.
DOUBTS_MAX = 8
# To a bank card a refund takes up to three working days; a weekend may lie between.
PROCESSING_MAX = timedelta(days=5)


def refunds_stuck_report() -> int:
    """Open a case for each processing refund past its time; returns how many."""
    # Where the gateway answers nobody, one case tells of all.
    is_asked = ~Q(transaction__payment_method__in=silent_methods())
    # But whoever stopped one waits for its end.
    is_told = is_asked | Q(stopped_by__isnull=False)
    is_in_doubt = Q(submissions__gte=DOUBTS_MAX) & ~Q(error_code__in=("", ABNORMAL)) & is_told
    is_old = Q(created_at__lt=clock.now() - PROCESSING_MAX)
    stuck = Refund.objects.filter(is_in_doubt | is_old, status=RefundStatus.PROCESSING)
    told = [*_told_of(), *refunds_told_of_together().values_list("id", flat=True)]
    ids = list(
        stuck.exclude(id__in=told).order_by("created_at").values_list("id", flat=True)[:BATCH]
    )
    return sum(_report(refund_id) for refund_id in ids)


def _told_of() -> list[UUID]:
    """Refunds still processing that have their case: they must not stand before the others."""
    keys = PaymentException.objects.filter(
        kind=ExceptionKind.STUCK_REFUND, transaction__refunds__status=RefundStatus.PROCESSING
    ).values_list("fact_key", flat=True)
    return [UUID(key.rpartition(":")[2]) for key in keys]


@money_unit
def _report(refund_id: UUID) -> int:
    _order, payment, refund = refund_lock(refund_id)
    if refund.status != RefundStatus.PROCESSING:
        return 0
    exception_open(
        ExceptionKind.STUCK_REFUND,
        method=payment.payment_method,
        fact=str(refund.id),
        attempt=payment,
        out_trade_no=payment.out_trade_no or "",
        external_transaction_id=payment.trade_no or "",
        amount=refund.refund_amount,
        reason=_reason(refund),
        actor=SYSTEM,
    )
    return 1


def _reason(refund: Refund) -> str:
    text = _("%(number)s：已询问 %(times)d 次，仍无结果。%(error)s")
    told = text % {
        "number": refund.refund_no,
        "times": refund.submissions,
        "error": refund.error_message,
    }
    if refund.stopped_by is None:
        return told
    return told[:250] + _(
        "。已停止发送，但网关没有答复这笔退款不存在，款项继续留着。恢复密钥、权限后会自动问到结果；"
        "账号已停用、再也问不到的，请向网关客服核实有没有退出，没有退出的用余额调整还给用户，并在这里写明"
    )
