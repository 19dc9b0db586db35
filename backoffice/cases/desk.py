"""The exceptions desk (差错处理): one page per case with what happened and what can be done."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from backoffice.cases.actions import (
    ASSIGN_PERMISSION,
    CLOSE_PERMISSION,
    DESK_ACTIONS,
    WRITE_OFF_PERMISSION,
    DeskAction,
    ending_text,
    offered,
    refund_running,
)
from backoffice.cases.words import EXCEPTION_ADVICE, EXCEPTION_STORY
from backoffice.site.bases import admin_url, list_url
from backoffice.site.display import age_text
from backoffice.site.words import CASE_PAGE, REFUND_PAGE
from balances.models import UserBalance
from payments.errors import ExceptionClosed, ExceptionTaken
from payments.models import PaymentException
from payments.services.exceptions import left_owner
from payments.states import ExceptionKind
from refunds.services.cases import case_refund
from refunds.services.funds import refunds_waiting_for_funds
from tcmpay.accounts.selectors import person_text, staff_who_may
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO

REASON_MAX = 500
ORDER_NO_MAX = 28


class ActionForm(forms.Form):
    """The fields that an action asks for; which are required depends on the action."""

    reason = forms.CharField(
        label=gettext_lazy("说明"), max_length=REASON_MAX, required=False, strip=True
    )
    order_no = forms.CharField(
        label=gettext_lazy("订单号"), max_length=ORDER_NO_MAX, required=False, strip=True
    )
    owner = forms.UUIDField(required=False)

    def __init__(self, action: DeskAction, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = action.needs_reason
        self.fields["order_no"].required = action.needs_order


@dataclass(frozen=True)
class Button:
    """An action as the page offers it."""

    name: str
    action: DeskAction


def case_desk(case: PaymentException, reader: Any) -> dict[str, Any]:
    """A case as one reader has to see it, and what they may do about it."""
    may_assign = reader.has_perm(ASSIGN_PERMISSION)
    return {
        "case": case,
        "story": EXCEPTION_STORY.get(case.kind, ""),
        "advice": EXCEPTION_ADVICE.get(case.kind, ""),
        "age": age_text(case.opened_at),
        "owner": person_text(case.owner_id) if case.owner_id is not None else "",
        "is_mine": case.owner_id == reader.pk,
        "is_open": case.closed_at is None,
        "closer": person_text(case.closed_by),
        "refund": case_refund(case),
        "waiting": _waiting(case),
        "account": _account(case),
        "is_refund_running": refund_running(case) is not None,
        "write_off_person": person_text(case.asked_by),
        "asked_write_off": case.asked_by == reader.pk,
        "may_act": reader.has_perm(CLOSE_PERMISSION),
        "may_assign": may_assign,
        "may_write_off": reader.has_perm(WRITE_OFF_PERMISSION),
        "people": list(staff_who_may(CLOSE_PERMISSION).items()) if may_assign else [],
        "suggested_order": _suggested_order(case),
        "buttons": [Button(name, action) for name, action in offered(case, reader)],
    }


def _waiting(case: PaymentException) -> dict[str, Any] | None:
    """How many refunds, and how much (yuan), wait now for the account that the case is about."""
    if case.kind != ExceptionKind.ACCOUNT_SHORT or case.closed_at is not None:
        return None
    sums = refunds_waiting_for_funds(case).aggregate(
        number=Count("pk"), amount=Sum("refund_amount")
    )
    url = list_url(REFUND_PAGE, {"funds": case.pk})
    return {"number": sums["number"], "amount": sums["amount"] or ZERO, "url": url}


def _account(case: PaymentException) -> UserBalance | None:
    """Whose balance it is that can't go back the way it came."""
    if case.kind != ExceptionKind.GIVE_BACK_LEFT:
        return None
    return UserBalance.objects.filter(user_id=as_uuid_or_text(left_owner(case))).first()


def _suggested_order(case: PaymentException) -> str:
    """Our attempts' numbers begin with their order's number."""
    number = case.out_trade_no.upper()
    is_ours = case.kind == ExceptionKind.UNKNOWN_ORDER and number.startswith("ORD")
    return number if is_ours else ""


@require_POST
def act_view(request: HttpRequest, object_id: str) -> HttpResponse:
    """Do one action about one case. Whether it may be done is checked again where it is done."""
    action = DESK_ACTIONS.get(request.POST.get("action", ""))
    if action is None or not action.is_allowed(request.user):
        raise PermissionDenied
    case = PaymentException.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if case is None:
        messages.warning(request, _("差错记录不存在"))
        return HttpResponseRedirect(reverse(f"admin:{CASE_PAGE}_changelist"))
    form = ActionForm(action, request.POST)
    if not form.is_valid():
        for name, errors in form.errors.items():
            label = form.fields[name].label or name
            messages.error(request, f"{label}：{'；'.join(str(error) for error in errors)}")
    else:
        _act(request, case, action, form.cleaned_data)
    return HttpResponseRedirect(admin_url(f"{CASE_PAGE}_change", case.pk))


def _act(
    request: HttpRequest, case: PaymentException, action: DeskAction, fields: dict[str, Any]
) -> None:
    try:
        text = action.run(request.user.as_actor(), case.pk, fields)  # type: ignore[union-attr]
    except (ExceptionTaken, ExceptionClosed):
        messages.warning(request, somebody_was_faster(case))
    except DomainError as error:
        messages.error(request, _("没有执行：%(reason)s。") % {"reason": error.text})
    else:
        messages.success(request, text)


def somebody_was_faster(case: PaymentException) -> str:
    """Who, and what they did, instead of a bare refusal."""
    now = PaymentException.objects.get(pk=case.pk)
    if now.closed_at is not None:
        return _("您的操作没有生效，差错已结束。%(ending)s") % {"ending": ending_text(now)}
    return _("您的操作没有生效：%(person)s 已认领这项差错，正在处理。") % {
        "person": person_text(now.owner_id)
    }
