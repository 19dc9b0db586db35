"""Adjustments that wait for a second person, and the page on which that person decides."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from backoffice.balances.accounts import ACCOUNT_PAGE, page
from backoffice.site.bases import (
    Panel,
    admin_link,
    admin_url,
    moment,
    money,
    person_name,
    state,
)
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    WAITING,
    badge,
    code_text,
    money_text,
    time_text,
)
from backoffice.site.forms import DecisionForm
from backoffice.site.second_person import SecondPersonAdmin
from backoffice.trail.pages import history_panel
from balances.adjustments import (
    adjustment_approve,
    adjustment_reject,
    adjustment_withdraw,
)
from balances.models import AdjustmentStatus, BalanceAdjustment, Direction, UserBalance
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.common.money import MONEY_MAX, ZERO, Money, format_money

ADJUSTMENT_PAGE = "balances_balanceadjustment"
APPROVE_PERMISSION = "balances.approve_adjustment"
REQUEST_PERMISSION = "balances.request_adjustment"
STATUS_TONES = {
    AdjustmentStatus.PENDING: WAITING,
    AdjustmentStatus.APPROVED: GOOD,
    AdjustmentStatus.REJECTED: BAD,
    AdjustmentStatus.WITHDRAWN: NEUTRAL,
}
DONE = {
    Direction.CREDIT: gettext_lazy("已批准，%(amount)s 元已入账。"),
    Direction.DEBIT: gettext_lazy("已批准，已扣减 %(amount)s 元。"),
}
DIRECTION_TONES = {Direction.CREDIT: GOOD, Direction.DEBIT: BAD}


def adjustments_panel(adjustments: Iterable[BalanceAdjustment], title: Any) -> Panel:
    """Adjustments of one account."""
    shown = list(adjustments)
    names = people_names(
        person for one in shown for person in (one.requested_by, one.decided_by) if person
    )
    rows = [
        (
            admin_link(ADJUSTMENT_PAGE, one.pk, f"{one.created_at.date():%Y-%m-%d}"),
            badge(one.get_direction_display(), DIRECTION_TONES.get(one.direction, NEUTRAL)),
            money_text(one.amount),
            badge(one.get_status_display(), STATUS_TONES.get(one.status, NEUTRAL)),
            format_html('<span class="tcm-wrap">{}</span>', one.reason),
            person_text(one.requested_by, names=names),
            person_text(one.decided_by, names=names) if one.decided_by else EMPTY,
            time_text(one.decided_at),
        )
        for one in shown
    ]
    headers = (
        _("申请日期"), _("方向"), _("金额（元）"), _("状态"), _("原因"), _("申请人"), _("处理人"),
        _("处理时间"),
    )  # fmt: skip
    return Panel(title, headers, rows, empty=_("没有人工调整。"))


@require_http_methods(["GET", "HEAD", "POST"])
def review_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    adjustment: BalanceAdjustment = model_admin.opened(request, object_id)
    form = DecisionForm(
        request.POST if request.method == "POST" else None,
        yes="approve",
        no="reject",
        reason_missing=_("驳回时请写明原因，申请人会看到它。"),
    )
    if request.method == "POST" and form.is_valid():
        answer = _decide(request, adjustment, form, model_admin)
        if answer is not None:
            return answer
    account = UserBalance.objects.filter(user_id=adjustment.user_id).first()
    context = model_admin.review_context(request, adjustment, form) | {
        "title": _("复核余额调整"),
        "adjustment": adjustment,
        "account": account,
        "after": _after(adjustment, account),
        "hindrance": _hindrance(adjustment, account),
        "is_own_money": adjustment.user_id == request.user.pk,
        "may_approve": request.user.has_perm(APPROVE_PERMISSION),
    }
    return page(request, model_admin, "balances/review.html", context)


def _after(adjustment: BalanceAdjustment, account: UserBalance | None) -> Money:
    """What would be available afterwards (yuan)."""
    available = account.balance if account else ZERO
    is_credit = adjustment.direction == Direction.CREDIT
    return available + adjustment.amount if is_credit else available - adjustment.amount


def _hindrance(adjustment: BalanceAdjustment, account: UserBalance | None) -> str:
    """Why it can't be approved as things stand: what the service would answer; "" when it can."""
    after = _after(adjustment, account)
    if after < ZERO:
        available = format_money(account.balance if account else ZERO)
        text = _("可用余额只有 %(amount)s 元，不够扣减。请驳回，或等余额足够后再批准。")
        return text % {"amount": available}
    if after > MONEY_MAX:
        return _("批准后余额会超过上限 99999999.99 元。请驳回。")
    return ""


def _decide(
    request: HttpRequest, adjustment: BalanceAdjustment, form: DecisionForm, model_admin: Any
) -> HttpResponse | None:
    """Do it; None where it could not be done and the page says why."""

    key = {"adjustment_id": adjustment.pk}
    approved = str(DONE[Direction(adjustment.direction)]) % {"amount": adjustment.amount}
    is_done = model_admin.decide(
        request,
        adjustment,
        form,
        doors={
            "approve": (partial(adjustment_approve, **key), approved),
            "reject": (partial(adjustment_reject, **key), _("已驳回这笔调整，余额没有变动。")),
            "withdraw": (partial(adjustment_withdraw, **key), _("已撤回这笔调整，余额没有变动。")),
        },
        told_meanwhile=_("这笔调整已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"),
    )
    if is_done is None:
        return None
    if not is_done:
        return HttpResponseRedirect(admin_url(f"{ADJUSTMENT_PAGE}_change", adjustment.pk))
    return HttpResponseRedirect(reverse(f"admin:{ADJUSTMENT_PAGE}_changelist"))


class BalanceAdjustmentAdmin(SecondPersonAdmin):
    """Corrections by hand: what waits, who asked, who decided."""

    decide_permission = APPROVE_PERMISSION
    review = staticmethod(review_view)
    todo_title = gettext_lazy("复核")
    review_title = gettext_lazy("复核这笔调整")

    search_help_text = gettext_lazy("用户编号或调整编号")
    list_display = (
        "created",
        "user",
        "direction_shown",
        "amount_shown",
        "status_shown",
        "reason_shown",
        "requester",
        "waits",
        "todo",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("user", "status_shown"),
                    ("direction_shown", "amount_shown"),
                    "reason_shown",
                    ("requester", "created"),
                    ("decider", "decided"),
                    "notes",
                )
            },
        ),
    )

    created = moment("created_at", gettext_lazy("申请时间"))
    requester = person_name("requested_by", gettext_lazy("申请人"))
    amount_shown = money("amount", gettext_lazy("金额（元）"))
    status_shown = state("status", gettext_lazy("状态"), AdjustmentStatus, STATUS_TONES)
    direction_shown = state("direction", gettext_lazy("方向"), Direction, DIRECTION_TONES)

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(user_id=term), Q(pk=term))

    @admin.display(description=gettext_lazy("用户"))
    def user(self, adjustment: BalanceAdjustment) -> str:
        account = UserBalance.objects.filter(user_id=adjustment.user_id).first()
        if account is None:
            return code_text(adjustment.user_id)
        return admin_link(ACCOUNT_PAGE, account.pk, adjustment.user_id)

    @admin.display(description=gettext_lazy("原因"))
    def reason_shown(self, adjustment: BalanceAdjustment) -> str:
        return format_html('<span class="tcm-wrap">{}</span>', adjustment.reason)

    @admin.display(description=gettext_lazy("处理备注"))
    def notes(self, adjustment: BalanceAdjustment) -> str:
        return adjustment.decision_notes or EMPTY

    def panels(self, request: HttpRequest, row: BalanceAdjustment) -> list[Panel]:
        return [history_panel(("balance_adjustment", row.pk))]

    def may_open(self, user: Any, row: BalanceAdjustment) -> bool:
        """Whoever asked may take it back while they may ask at all."""
        if row.requested_by == user.pk and user.has_perm(REQUEST_PERMISSION):
            return True
        return bool(user.has_perm(APPROVE_PERMISSION))
