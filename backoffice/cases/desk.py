"""The exceptions desk (差错处理): one page per case with what happened and what can be done."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
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
from backoffice.site.bases import admin_url
from backoffice.site.display import age_text
from backoffice.site.words import CASE_PAGE
from payments.errors import ExceptionClosed, ExceptionTaken
from payments.models import PaymentException
from payments.states import ExceptionKind
from refunds.services.cases import case_refund
from tcmpay.accounts.selectors import person_text, staff_who_may
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text

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


@dataclass(frozen=True)
class CaseView:
    """A case as one reader has to see it."""

    case: PaymentException
    reader: Any

    @property
    def story(self) -> str:
        return str(EXCEPTION_STORY.get(self.case.kind, ""))

    @property
    def advice(self) -> str:
        return str(EXCEPTION_ADVICE.get(self.case.kind, ""))

    @property
    def age(self) -> str:
        return age_text(self.case.opened_at)

    @property
    def owner(self) -> str:
        return person_text(self.case.owner_id) if self.case.owner_id is not None else ""

    @property
    def is_mine(self) -> bool:
        return self.case.owner_id == self.reader.pk

    @property
    def is_open(self) -> bool:
        return self.case.closed_at is None

    @property
    def closer(self) -> str:
        return person_text(self.case.closed_by)

    @property
    def refund(self) -> Any:
        return case_refund(self.case)

    @property
    def is_refund_running(self) -> bool:
        return refund_running(self.case) is not None

    @property
    def write_off_person(self) -> str:
        return person_text(self.case.asked_by)

    @property
    def asked_write_off(self) -> bool:
        return self.case.asked_by == self.reader.pk

    @property
    def may_act(self) -> bool:
        return bool(self.reader.has_perm(CLOSE_PERMISSION))

    @property
    def may_assign(self) -> bool:
        return bool(self.reader.has_perm(ASSIGN_PERMISSION))

    @property
    def may_write_off(self) -> bool:
        return bool(self.reader.has_perm(WRITE_OFF_PERMISSION))

    @property
    def people(self) -> list[tuple[object, str]]:
        return list(staff_who_may(CLOSE_PERMISSION).items())

    @property
    def suggested_order(self) -> str:
        """Our attempts' numbers begin with their order's number."""
        if self.case.kind != ExceptionKind.UNKNOWN_ORDER:
            return ""
        number = self.case.out_trade_no.upper()
        return number if number.startswith("ORD") else ""

    @property
    def buttons(self) -> list[Button]:
        return [Button(name, action) for name, action in offered(self.case, self.reader)]


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
        messages.warning(request, _somebody_was_faster(case))
    except DomainError as error:
        messages.error(request, _("没有执行：%(reason)s。") % {"reason": error.text})
    else:
        messages.success(request, text)


def _somebody_was_faster(case: PaymentException) -> str:
    """Who, and what they did, instead of a bare refusal."""
    now = PaymentException.objects.get(pk=case.pk)
    if now.closed_at is not None:
        return _("您的操作没有生效，差错已结束。%(ending)s") % {"ending": ending_text(now)}
    return _("您的操作没有生效：%(person)s 已认领这项差错，正在处理。") % {
        "person": person_text(now.owner_id)
    }
