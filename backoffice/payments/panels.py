"""Attempts and callbacks under the pages of what they belong to."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from backoffice.site.bases import PANEL_ROWS_MAX, Panel, admin_link
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    RUNNING,
    WAITING,
    badge,
    money_text,
    time_text,
)
from backoffice.site.own_words import own_words
from backoffice.site.words import CALLBACK_PAGE, TRANSACTION_PAGE, method_text
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.states import Disposition, TransactionStatus, Verdict

TRANSACTION_TONES: dict[str, str] = {
    TransactionStatus.PENDING: WAITING,
    TransactionStatus.SUCCESS: GOOD,
    TransactionStatus.FAILED: BAD,
}
DISPOSITION_TONES: dict[str, str] = {
    Disposition.APPLIED: GOOD,
    Disposition.LATE: BAD,
    Disposition.SECOND: BAD,
}
VERDICT_TONES: dict[str, str] = {
    Verdict.APPLIED: GOOD,
    Verdict.REPEAT: NEUTRAL,
    Verdict.LATE: BAD,
    Verdict.SECOND: BAD,
    Verdict.REFUND_NOTICE: RUNNING,
    Verdict.WRONG_AMOUNT: BAD,
    Verdict.MISMATCH: BAD,
    Verdict.UNKNOWN_ORDER: BAD,
    Verdict.UNTRUSTED: BAD,
}


def transactions_panel(transactions: Iterable[PaymentTransaction]) -> Panel:
    """Attempts to pay, and refunds carried out, of one order."""
    rows = [
        (
            admin_link(TRANSACTION_PAGE, attempt.pk, attempt.transaction_no),
            attempt.get_transaction_type_display(),
            method_text(attempt.payment_method),
            money_text(attempt.amount),
            badge(attempt.get_status_display(), TRANSACTION_TONES.get(attempt.status, NEUTRAL)),
            outcome_badge(attempt),
            time_text(attempt.initiated_at),
            time_text(attempt.completed_at),
        )
        for attempt in transactions
    ]
    headers = (
        _("流水号"), _("类型"), _("支付方式"), _("金额（元）"), _("状态"), _("结果"),
        _("发起时间"), _("完成时间"),
    )  # fmt: skip
    return Panel(_("支付流水"), headers, rows, empty=_("还没有发起过支付。"))


def outcome_badge(attempt: PaymentTransaction) -> str:
    if attempt.disposition:
        return badge(
            attempt.get_disposition_display(),
            DISPOSITION_TONES.get(attempt.disposition, NEUTRAL),
        )
    return attempt.error_message or attempt.error_code or EMPTY


def callbacks_panel(order: PaymentOrder) -> Panel:
    """What gateways told us about one order's attempts."""
    callbacks = PaymentCallback.objects.filter(transaction__order_id=order.pk).order_by(
        "received_at"
    )[:PANEL_ROWS_MAX]
    rows = [
        (
            admin_link(CALLBACK_PAGE, callback.pk, callback.out_trade_no or callback.pk),
            method_text(callback.payment_method),
            money_text(callback.amount),
            badge(callback.get_verdict_display(), VERDICT_TONES.get(callback.verdict, NEUTRAL)),
            own_words(callback.reason) or EMPTY,
            time_text(callback.received_at),
        )
        for callback in callbacks
    ]
    headers = (
        _("商户订单号"), _("支付方式"), _("金额（元）"), _("结论"), _("原因"), _("收到时间"),
    )  # fmt: skip
    return Panel(_("网关通知"), headers, rows, empty=_("没有收到过网关通知。"))
