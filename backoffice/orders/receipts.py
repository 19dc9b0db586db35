"""What a payer is handed: the receipt of a paid order and the slip of a finished refund."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backoffice.site.bases import admin_url, ensure_may
from backoffice.site.display import EMPTY, money_text, time_text
from backoffice.site.words import ORDER_PAGE, REFUND_PAGE, method_text
from payments.models import PaymentOrder, PaymentTransaction
from payments.selectors import applied_payment, service_names
from payments.states import PAID_STATUSES
from refunds.models import Refund
from refunds.selectors import refunded_total
from refunds.states import RefundStatus
from tcmpay.accounts.selectors import person_text
from tcmpay.common import clock
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import Money, format_money

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
GROUPS = ("", "万", "亿")


@dataclass(frozen=True)
class Slip:
    """One printed page: its heading, its number, its lines, and the amount (yuan)."""

    title: str
    number: str
    amount: Money
    lines: list[tuple[str, Any]]
    back: tuple[str, str]  # the way back: its text and its address
    notice: str = ""


@require_safe
def order_receipt_view(request: HttpRequest, object_id: str) -> HttpResponse:
    """A paid order's receipt, to be printed."""
    ensure_may(request, "payments.view_paymentorder")
    order = PaymentOrder.objects.filter(
        pk=as_uuid_or_text(object_id), status__in=PAID_STATUSES
    ).first()
    payment = applied_payment(order.pk) if order else None
    if order is None or payment is None:
        raise Http404(_("只有已支付的订单才有收据。"))
    return _page(request, _receipt(order, payment))


@require_safe
def refund_slip_view(request: HttpRequest, object_id: str) -> HttpResponse:
    """A finished refund's slip, to be printed."""
    ensure_may(request, "refunds.view_refund")
    refund = (
        Refund.objects.select_related("order", "transaction")
        .filter(pk=as_uuid_or_text(object_id), status=RefundStatus.SUCCESS)
        .first()
    )
    if refund is None:
        raise Http404(_("只有已完成的退款才有退款单。"))
    return _page(request, _slip(refund))


def _page(request: HttpRequest, slip: Slip) -> HttpResponse:
    context = {
        "clinic": settings.CLINIC_NAME,
        "slip": slip,
        "words": amount_in_words(slip.amount),
        "printed_at": clock.now(),
        "printed_by": person_text(request.user.pk),
    }
    return TemplateResponse(request, "orders/slip.html", context)


def _receipt(order: PaymentOrder, payment: PaymentTransaction) -> Slip:
    returned = refunded_total(payment.pk)
    service = order.service_type or order.order_type
    lines = [
        (_("服务"), service_names().get(service, service)),
        (_("付款人"), order.user_id),
        (_("支付方式"), method_text(order.payment_method)),
        (_("支付时间"), time_text(order.payment_time)),
        (_("支付流水号"), payment.transaction_no),
        (_("网关交易号"), payment.trade_no or EMPTY),
    ]
    if returned:
        lines.append((_("其中已退款（元）"), money_text(returned)))
    return Slip(
        _("收款收据"),
        order.order_no,
        order.amount,
        lines,
        back=(_("返回订单"), admin_url(f"{ORDER_PAGE}_change", order.pk)),
        notice=_returned_text(returned, payment.amount),
    )


def _returned_text(returned: Money, paid: Money) -> str:
    """What nobody may overlook on a receipt: that the money went back."""
    if not returned:
        return ""
    if returned >= paid:
        return _("已全额退款")
    return _("已退 %(amount)s 元") % {"amount": format_money(returned)}


def _slip(refund: Refund) -> Slip:
    lines = [
        (_("原订单号"), refund.order.order_no),
        (_("收款人"), refund.user_id),
        (
            _("退款方式"),
            _("%(method)s原路退回") % {"method": method_text(refund.transaction.payment_method)},
        ),
        (_("退款原因"), refund.refund_reason),
        (_("完成时间"), time_text(refund.completed_at)),
        (_("原支付流水号"), refund.transaction.transaction_no),
        (_("网关退款号"), refund.external_refund_id or EMPTY),
    ]
    return Slip(
        _("退款单"),
        refund.refund_no,
        refund.refund_amount,
        lines,
        back=(_("返回退款"), admin_url(f"{REFUND_PAGE}_change", refund.pk)),
    )


def amount_in_words(amount: Money) -> str:
    """``amount`` (yuan, up to 999,999,999,999.99) as Chinese receipts write it.

    As in 《支付结算办法》附一《正确填写票据和结算凭证的基本规定》: zeros between digits are read
    once, and 整 follows 元 or 角 when no fen do.
    """
    fen = int(amount * 100)
    yuan, cents = divmod(fen, 100)
    jiao, left = divmod(cents, 10)
    words = f"{_whole_in_words(yuan)}元" if yuan else ""
    if not cents:
        return f"{words or '零元'}整"
    if jiao:
        words += f"{DIGITS[jiao]}角"
    elif yuan:
        words += "零"
    return words + (f"{DIGITS[left]}分" if left else "整")


def _whole_in_words(number: int) -> str:
    """A positive whole number: groups of four digits, each with its own name."""
    words, is_gap = "", False
    for index in range(len(GROUPS) - 1, -1, -1):
        group = number // 10_000**index % 10_000
        if not group:
            is_gap = bool(words)
            continue
        if words and (is_gap or group < 1_000):
            words += "零"
        words += _group_in_words(group) + GROUPS[index]
        is_gap = False
    return words


def _group_in_words(group: int) -> str:
    words, is_gap = "", False
    for place in range(len(PLACES) - 1, -1, -1):
        digit = group // 10**place % 10
        if not digit:
            is_gap = bool(words)
            continue
        words += ("零" if is_gap else "") + DIGITS[digit] + PLACES[place]
        is_gap = False
    return words
