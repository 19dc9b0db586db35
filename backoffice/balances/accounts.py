"""A user's account page, and what staff do there: pages of their own with one form each.

They are not the admin's change form: that one runs inside a transaction, and the services are
durable units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from backoffice.site.bases import actor_of, admin_link, admin_url, ensure_may, own_urls, page
from backoffice.site.forms import AmountFormField, OnceForm, ReasonFormField
from backoffice.site.words import CASE_PAGE
from balances.adjustments import adjustment_request
from balances.models import AdjustmentStatus, BalanceTransaction, Direction, UserBalance
from balances.selectors import adjustments_of, held_for_refunds, is_opening_unadopted
from balances.services import account_open, balance_freeze, balance_unfreeze, opening_adopt
from payments.selectors import topups_of
from payments.services.exceptions import left_open
from refunds.errors import TooManyTopUps
from refunds.permissions import REQUEST_PERMISSION
from refunds.services.balance_give_back import balance_give_back, give_back_plan
from tcmpay.common.actor import Actor
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO, Money

LEDGER_PAGE_ROWS = 50
ACCOUNT_PAGE = "balances_userbalance"
PREVIEW = "preview"


class MoveForm(OnceForm):
    amount = AmountFormField(label=gettext_lazy("金额（元）"))
    reason = ReasonFormField()


class AdjustForm(OnceForm):
    direction = forms.ChoiceField(
        label=gettext_lazy("方向"),
        choices=[("", gettext_lazy("请选择")), *Direction.choices],
        widget=UnfoldAdminSelectWidget,
    )
    amount = AmountFormField(label=gettext_lazy("金额（元）"))
    reason = ReasonFormField()


class AdoptForm(forms.Form):
    reason = ReasonFormField(
        help_text=gettext_lazy("写明核对依据，例如对应的充值凭证或旧系统的期末余额")
    )


class OpenForm(forms.Form):
    user_id = forms.UUIDField(
        label=gettext_lazy("用户编号"),
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("平台的用户编号（UUID）"),
        error_messages={"invalid": gettext_lazy("不是有效的用户编号，应为 UUID")},
    )
    reason = ReasonFormField()


def _moved(service: Callable[..., Any], done: Any) -> Callable[..., str]:
    """Move money between available and frozen by ``service``; ``done`` says it."""

    def run(actor: Actor, account: UserBalance, wanted: Mapping[str, Any]) -> str:
        service(
            user_id=account.user_id,
            amount=wanted["amount"],
            reason=wanted["reason"],
            actor=actor,
            fact_id=wanted["form_id"],
        )
        return str(done) % wanted

    return run


ASKED: Mapping[Direction, Any] = {
    Direction.CREDIT: gettext_lazy(
        "已提交增加余额 %(amount)s 元的申请，由另一位有复核权限的同事处理后才会入账。"
    ),
    Direction.DEBIT: gettext_lazy(
        "已提交扣减余额 %(amount)s 元的申请，由另一位有复核权限的同事处理后才会扣减。"
    ),
}


def _adjust(actor: Actor, account: UserBalance, wanted: Mapping[str, Any]) -> str:
    direction = Direction(wanted["direction"])
    adjustment_request(
        actor=actor,
        request_id=wanted["form_id"],
        user_id=account.user_id,
        direction=direction,
        amount=wanted["amount"],
        reason=wanted["reason"],
    )
    return str(ASKED[direction]) % wanted


def _give_back(actor: Actor, account: UserBalance, wanted: Mapping[str, Any]) -> str:
    given = balance_give_back(
        actor=actor,
        user_id=account.user_id,
        amount=wanted["amount"],
        reason=wanted["reason"],
        request_id=wanted["form_id"],
    )
    facts = {
        "number": len(given.refunds),
        "amount": sum((refund.refund_amount for refund in given.refunds), ZERO),
        "left": given.left,
    }
    text = _("已申请 %(number)d 笔退款，共 %(amount)s 元，金额已冻结，由另一位同事审核后原路退回。")
    told = text % facts if given.refunds else _("没有可以原路退回的充值。")
    if not given.left:
        return told
    case = left_open(account.user_id).order_by("-opened_at", "-id").first()
    left = _("%(left)s 元不能原路退回，已成为差错：") % facts
    place = admin_link(CASE_PAGE, case.pk, _("打开这项差错")) if case else ""
    return format_html("{} {}{}", told, left, place)


def _plan(account: UserBalance, amount: Money | None) -> dict[str, Any]:
    """Over which top-ups ``amount`` would go back, or all that is available; nothing moves."""
    wanted = account.balance if amount is None else amount
    try:
        parts = give_back_plan(account.user_id, wanted)
    except TooManyTopUps as error:
        return {"wanted": wanted, "refused": error.text}
    back = sum((part for _order, _payment, part in parts), ZERO)
    return {"wanted": wanted, "parts": parts, "back": back, "left": wanted - back}


def _has_topups(account: UserBalance) -> bool:
    return account.balance > 0 and topups_of(account.user_id).exists()


def _adopt(actor: Actor, account: UserBalance, wanted: Mapping[str, Any]) -> str:
    is_done = opening_adopt(user_id=account.user_id, reason=wanted["reason"], actor=actor)
    return _("已确认期初余额。") if is_done else _("没有待确认的期初余额，可能已由他人确认。")


@dataclass(frozen=True)
class Step:
    """Something to do with an account: who may, what is asked, what is done."""

    title: Any
    icon: str
    permission: str
    form: type[forms.Form]
    note: Any
    button: Any
    run: Callable[[Actor, UserBalance, Mapping[str, Any]], str]
    is_offered: Callable[[UserBalance], bool] = lambda account: True
    # What the form's amount would bring, shown before it is sent; None: the page shows no such.
    preview: Callable[[UserBalance, Money | None], dict[str, Any]] | None = None


STEPS: Mapping[str, Step] = {
    "adopt": Step(
        title=gettext_lazy("确认期初余额"),
        icon="task_alt",
        permission="balances.adopt_opening",
        form=AdoptForm,
        note=gettext_lazy("这笔余额由 SQL 写入，没有流水。确认后会写入一条期初流水，金额不变。"),
        button=gettext_lazy("确认期初余额"),
        run=_adopt,
        is_offered=is_opening_unadopted,
    ),
    "adjust": Step(
        title=gettext_lazy("调整余额"),
        icon="edit",
        permission="balances.request_adjustment",
        form=AdjustForm,
        note=gettext_lazy("提交后不会立即入账：须由另一位有复核权限的同事批准。"),
        button=gettext_lazy("提交复核"),
        run=_adjust,
    ),
    "give_back": Step(
        title=gettext_lazy("原路退回余额"),
        icon="undo",
        permission=REQUEST_PERMISSION,
        form=MoveForm,
        note=gettext_lazy(
            "从最早的充值起，按原路退回给用户：金额马上冻结，每笔充值一笔退款，由另一位同事审核。"
            "超过一年、已退过或不是充值来的部分不能原路退回，会成为差错。"
        ),
        button=gettext_lazy("申请退回"),
        run=_give_back,
        is_offered=_has_topups,
        preview=_plan,
    ),
    "freeze": Step(
        title=gettext_lazy("冻结余额"),
        icon="lock",
        permission="balances.freeze_balance",
        form=MoveForm,
        note=gettext_lazy("冻结的金额仍属于用户，但不能用来支付，可随时解冻。"),
        button=gettext_lazy("冻结"),
        run=_moved(balance_freeze, gettext_lazy("已冻结 %(amount)s 元。")),
        is_offered=lambda account: account.balance > 0,
    ),
    "unfreeze": Step(
        title=gettext_lazy("解冻余额"),
        icon="lock_open",
        permission="balances.freeze_balance",
        form=MoveForm,
        note=gettext_lazy("解冻的金额回到可用余额，用户可以用来支付。"),
        button=gettext_lazy("解冻"),
        run=_moved(balance_unfreeze, gettext_lazy("已解冻 %(amount)s 元。")),
        is_offered=lambda account: account.frozen_balance > held_for_refunds(account.user_id),
    ),
}


@dataclass(frozen=True)
class LedgerPage:
    """Entries of one account, newest first; found by their number, so that none is counted."""

    entries: list[BalanceTransaction]
    number: int
    pages: int

    @property
    def newer(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def older(self) -> int | None:
        return self.number + 1 if self.number < self.pages else None


def ledger_page(account: UserBalance, asked: str) -> LedgerPage:
    """The ``asked`` page (from 1), or the nearest there is."""
    pages = max(1, -(-account.sequence // LEDGER_PAGE_ROWS))
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1
    number = min(max(number, 1), pages)
    newest = account.sequence - (number - 1) * LEDGER_PAGE_ROWS
    entries = BalanceTransaction.objects.filter(
        user_id=account.user_id, sequence__gt=newest - LEDGER_PAGE_ROWS
    ).order_by("-sequence")
    if number > 1:
        entries = entries.filter(sequence__lte=newest)
    return LedgerPage(list(entries[: LEDGER_PAGE_ROWS * 2]), number, pages)


def steps_for(user: Any, account: UserBalance) -> list[dict[str, Any]]:
    """The buttons that ``user`` may press on the page of ``account``."""
    if isinstance(account.user_id, str):
        return []  # a row by SQL whose user is no UUID belongs to nobody
    if account.user_id == user.pk:
        return []  # nobody handles their own money
    return [
        {
            "title": step.title,
            "icon": step.icon,
            "url": admin_url(f"{ACCOUNT_PAGE}_{name}", account.pk),
            "is_main": not index,
        }
        for index, (name, step) in enumerate(
            (name, step)
            for name, step in STEPS.items()
            if user.has_perm(step.permission) and step.is_offered(account)
        )
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def step_view(request: HttpRequest, object_id: str, name: str, model_admin: Any) -> HttpResponse:
    """One step of one account: facts beside a form; only a POST with its token does it."""
    step = STEPS[name]
    ensure_may(request, step.permission)
    account = UserBalance.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if account is None or isinstance(account.user_id, str):
        messages.warning(request, _("没有这个余额账户。"))
        return HttpResponseRedirect(reverse(f"admin:{ACCOUNT_PAGE}_changelist"))
    form = step.form(request.POST if request.method == "POST" else None)
    is_preview = step.preview is not None and PREVIEW in request.POST
    if request.method == "POST" and form.is_valid() and not is_preview:
        try:
            done = step.run(actor_of(request), account, form.cleaned_data)
        except DomainError as error:
            form.add_error(None, str(error.text))
        else:
            messages.success(request, done)
            return HttpResponseRedirect(admin_url(f"{ACCOUNT_PAGE}_change", account.pk))
    amount = form.cleaned_data.get("amount") if form.is_bound else None
    if is_preview:
        for name in {*form.errors} - {"amount"}:
            del form.errors[name]  # nothing is asked for yet
    context = {
        "plan": step.preview(account, amount) if step.preview else None,
        "title": f"{step.title}",
        "account": account,
        "step": step,
        "form": form,
        "is_offered": step.is_offered(account),
        "waiting": [
            one
            for one in adjustments_of(account.user_id)[:LEDGER_PAGE_ROWS]
            if one.status == AdjustmentStatus.PENDING
        ],
    }
    return page(request, model_admin, "balances/step.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def open_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Make an account for a user who has none; money comes into it by an adjustment."""
    ensure_may(request, "balances.open_account")
    form = OpenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        account, is_new = account_open(
            user_id=form.cleaned_data["user_id"],
            reason=form.cleaned_data["reason"],
            actor=actor_of(request),
        )
        if is_new:
            messages.success(request, _("已开立余额账户，余额为 0。需要入账时请“调整余额”。"))
        else:
            messages.info(request, _("该用户已有余额账户，没有重复开立。"))
        return HttpResponseRedirect(admin_url(f"{ACCOUNT_PAGE}_change", account.pk))
    context = {"title": _("开立余额账户"), "form": form}
    return page(request, model_admin, "balances/open.html", context)


def account_urls(model_admin: Any) -> list[URLPattern]:
    steps = {name: (f"<path:object_id>/{name}/", partial(step_view, name=name)) for name in STEPS}
    return own_urls(model_admin, ACCOUNT_PAGE, {"open": ("open/", open_view), **steps})
