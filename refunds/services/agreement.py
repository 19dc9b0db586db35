"""Whether what a gateway says of a refund is about ours: every number that it names is compared,
and what does not agree changes nothing and becomes a case for staff."""

import hashlib

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from gateways.interface import RefundReport
from payments.channels import is_of_another_merchant
from payments.models import PaymentTransaction
from payments.services.exceptions import exception_open, exception_settle
from payments.states import ExceptionKind
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.actor import Actor
from tcmpay.common.money import ZERO, Money

# Refunds that the gateway's "done" would book.
UNBOOKED = frozenset({RefundStatus.PROCESSING, RefundStatus.FAILED})


def disagreement(
    report: RefundReport, payment: PaymentTransaction, refund: Refund | None = None
) -> str:
    """What the report says otherwise than we know it, in words; "" when all of it agrees.

    Numbers that the message does not carry, or that we don't know yet, are not compared.
    """
    if is_of_another_merchant(payment, app_id=report.app_id, merchant_id=report.merchant_id):
        return _("通知属于另一个商户号或应用")
    pairs = [
        (_("商户订单号"), report.out_trade_no, payment.out_trade_no),
        (_("网关交易号"), report.transaction_id, payment.trade_no),
        (_("订单金额"), report.total_amount, payment.amount),
    ]
    if refund is not None:
        pairs += [
            (_("网关退款号"), report.refund_id, refund.external_refund_id),
            (_("退款金额"), report.amount, refund.refund_amount),
        ]
    for name, said, ours in pairs:
        if said not in (None, "") and ours not in (None, "") and said != ours:
            return _("%(name)s不一致：网关说 %(said)s，我们的是 %(ours)s") % {
                "name": name,
                "said": said,
                "ours": ours,
            }
    return _total_disagreement(report, payment, refund) if refund is not None else ""


def _total_disagreement(report: RefundReport, payment: PaymentTransaction, refund: Refund) -> str:
    """What our books can't explain of the trade's refunded total that comes with the word that
    ``refund`` is done, in words; "" where it fits, none is told, or it is not to be booked.

    In it are this refund and what was booked before it was sent; what was booked since, and what
    else is with the gateway, may be.
    """
    if report.refunded_total is None or refund.status not in UNBOOKED:
        return ""
    others = Refund.objects.filter(transaction=payment).exclude(id=refund.id)
    done = others.filter(status=RefundStatus.SUCCESS)
    before = done.filter(booked_at__lt=refund.sent_at) if refund.sent_at else done.none()
    on_their_way = others.filter(status=RefundStatus.PROCESSING, sendings__gt=0)
    least = refund.refund_amount + _sum(before)
    most = refund.refund_amount + _sum(done) + _sum(on_their_way)
    if least <= report.refunded_total <= most:
        return ""
    return _("该交易的累计退款额不一致：网关说 %(said)s，我们的是 %(ours)s") % {
        "said": report.refunded_total,
        "ours": refund.refund_amount + _sum(done),
    }


def _sum(refunds: QuerySet[Refund]) -> Money:
    return sum(refunds.values_list("refund_amount", flat=True), ZERO)


def unbooked_case_open(
    report: RefundReport, *, method: str, payment: PaymentTransaction | None, reason: str
) -> None:
    """Tell staff of a refund that can't be booked yet; once however often, and whatever hinders.

    Inside the caller's unit.
    """
    _open(_fact(report), report, method, payment, reason)


def contradiction_case_open(
    report: RefundReport, *, payment: PaymentTransaction, reason: str
) -> None:
    """Tell staff that the gateway contradicts what we know; inside the caller's unit.

    Each contradiction is a case of its own, once however often it is told: whoever closed one has
    judged that one alone. None closes itself: an old message that agrees proves nothing against it.
    """
    _open(_fact(report, reason), report, payment.payment_method, payment, reason)


def _open(
    fact: str,
    report: RefundReport,
    method: str,
    payment: PaymentTransaction | None,
    reason: str,
) -> None:
    exception_open(
        ExceptionKind.UNBOOKED_REFUND,
        method=method,
        fact=fact,
        attempt=payment,
        out_trade_no=report.out_trade_no or (payment.out_trade_no if payment else "") or "",
        external_transaction_id=report.transaction_id,
        amount=report.amount,
        reason=f"{report.out_refund_no[:64]}: {reason}",
    )


def unbooked_case_settle(
    report: RefundReport, *, method: str, resolution: str, actor: Actor
) -> None:
    """What the case was about is in the books by now; inside the caller's unit."""
    exception_settle(
        (ExceptionKind.UNBOOKED_REFUND, _fact(report)),
        method=method,
        resolution=resolution,
        actor=actor,
    )


def _fact(report: RefundReport, *contradiction: str) -> str:
    """The refund that the gateway speaks of: the same however often, and in whatever state; and
    what it contradicts, where it does."""
    numbers = "\n".join(
        (report.out_trade_no, report.transaction_id, report.refund_id, *contradiction)
    )
    digest = hashlib.sha256(numbers.encode()).hexdigest()
    return f"{report.out_refund_no[:64]}:{digest[:16]}"
