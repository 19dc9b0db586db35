"""Asking for a refund of one order: the amount that the rules propose, a preview, one request.

It goes the way of every request: somebody else reviews it.
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from backoffice.site.bases import actor_of, admin_url, ensure_may, page
from backoffice.site.forms import AmountFormField, OnceForm, ReasonFormField
from backoffice.site.words import ORDER_PAGE, REFUND_PAGE, method_text
from payments.models import PaymentOrder, PaymentTransaction
from payments.selectors import applied_payment
from payments.states import REFUNDABLE_STATUSES
from refunds.models import Refund, RefundBulk
from refunds.permissions import REQUEST_PERMISSION
from refunds.policy import Proposal, appointment_time, propose_for
from refunds.services.approvals import approvals_needed
from refunds.services.own_cases import given_back_amount
from refunds.services.requests import refund_request
from tcmpay.common import clock
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO, Money, format_money


class AskForm(OnceForm):
    amount = AmountFormField(label=gettext_lazy("退款金额（元）"))
    reason = ReasonFormField(
        label=gettext_lazy("退款原因"),
        help_text=gettext_lazy("用户会看到它。"),
        error_messages={"required": gettext_lazy("请写明退款原因，用户会看到它。")},
    )

    def __init__(self, left: Money, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left = left

    def clean_amount(self) -> Money:
        amount: Money = self.cleaned_data["amount"]
        if amount > self.left:
            text = _("不能大于可退金额 %(amount)s 元") % {"amount": format_money(self.left)}
            raise forms.ValidationError(text)
        return amount


@dataclass(frozen=True)
class Refundable:
    """An order of which something may be asked back: of which payment, and how much (yuan)."""

    order: PaymentOrder
    payment: PaymentTransaction
    given_back: Money  # by another way, for refunds that failed

    @classmethod
    def of(cls, order: PaymentOrder | None) -> "Refundable | None":
        if order is None or order.status not in REFUNDABLE_STATUSES:
            return None
        payment = applied_payment(order.pk)
        found = cls(order, payment, given_back_amount(payment)) if payment else None
        return found if found and found.left > ZERO else None

    @property
    def taken(self) -> Money:
        return self.payment.refund_reserved + self.given_back

    @property
    def left(self) -> Money:
        return self.payment.amount - self.taken

    def proposal(self, requested: Money) -> Proposal | None:
        return propose_for(
            self.order,
            paid=self.payment.amount,
            requested=requested,
            taken=self.taken,
            asked_at=clock.now(),
        )

    @property
    def proposed(self) -> Money:
        """What the form begins with: by the rules where one holds, else all that is left."""
        proposal = self.proposal(self.left)
        by_rule = proposal.amount if proposal else ZERO
        return min(by_rule, self.left) if by_rule > ZERO else self.left


def is_refundable(order: PaymentOrder) -> bool:
    return Refundable.of(order) is not None


@require_http_methods(["GET", "HEAD", "POST"])
def ask_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """The form, what it comes to, and the request once that was confirmed."""
    ensure_may(request, REQUEST_PERMISSION)
    ensure_may(request, "payments.view_paymentorder")
    order = PaymentOrder.objects.filter(pk=as_uuid_or_text(object_id)).first()
    posted = request.POST if request.method == "POST" else None
    if posted is not None and (made := _made_before(posted)):
        return _done(request, made)
    found = Refundable.of(order)
    if order is None or found is None:
        messages.warning(request, _("这个订单没有可退的金额。"))
        return HttpResponseRedirect(_order_url(order))
    form = AskForm(found.left, posted, initial={"amount": found.proposed})
    is_previewed = posted is not None and form.is_valid()
    if is_previewed and posted is not None and posted.get("step") == "confirm":
        return _ask(request, found, form)
    amount = form.cleaned_data["amount"] if is_previewed else found.proposed
    context = {
        "title": f"{_('申请退款')} {order.order_no}",
        "original": order,
        "order": order,
        "found": found,
        "method": method_text(found.payment.payment_method),
        "appointment_at": appointment_time(order.metadata),
        "bulk": RefundBulk.objects.filter(rows__held_order=order.pk).first(),
        "form": form,
        "is_previewed": is_previewed,
        "amount": amount,
        "left_then": found.left - amount,
        "is_for_two": approvals_needed(found.payment.refund_reserved + amount) > 1,
        # As the review page shows it.
        "facts": {"proposal": found.proposal(amount), "is_time_from_payer": False},
    }
    return page(request, model_admin, "refunds/ask.html", context)


def _ask(request: HttpRequest, found: Refundable, form: AskForm) -> HttpResponse:
    try:
        refund = refund_request(
            actor=actor_of(request),
            order_id=found.order.pk,
            amount=form.cleaned_data["amount"],
            reason=form.cleaned_data["reason"],
            # The form's own id: sent twice, it is one request.
            idempotency_key_id=form.cleaned_data["form_id"],
        )
    except DomainError as error:
        messages.error(request, str(error.text))
        return HttpResponseRedirect(admin_url(f"{ORDER_PAGE}_refund", found.order.pk))
    return _done(request, refund)


def _made_before(posted: Any) -> Refund | None:
    key = as_uuid_or_text(posted.get("form_id") or "")
    return Refund.objects.filter(idempotency_key_id=key).first()


def _done(request: HttpRequest, refund: Refund) -> HttpResponse:
    text = _("已申请退款 %(number)s（%(amount)s 元），等待另一位审核人。")
    amount = format_money(refund.refund_amount)
    messages.success(request, text % {"number": refund.refund_no, "amount": amount})
    return HttpResponseRedirect(admin_url(f"{REFUND_PAGE}_change", refund.pk))


def _order_url(order: PaymentOrder | None) -> str:
    if order is None:
        return admin_url(f"{ORDER_PAGE}_changelist")
    return admin_url(f"{ORDER_PAGE}_change", order.pk)
