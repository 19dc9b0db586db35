"""Adjustments that wait for a second person, and the page on which that person decides."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.balances.accounts import ACCOUNT_PAGE, page
from backoffice.site.bases import (
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    admin_url,
    moment,
    money,
    state,
)
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    WAITING,
    age_text,
    badge,
    code_text,
    money_text,
    time_text,
)
from backoffice.site.forms import DecisionForm
from backoffice.trail.pages import history_panel
from balances.adjustments import (
    adjustment_approve,
    adjustment_reject,
    adjustment_withdraw,
)
from balances.models import AdjustmentStatus, BalanceAdjustment, Direction, UserBalance
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text
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


class BalanceAdjustmentAdmin(ReadOnlyAdmin):
    """Corrections by hand: what waits, who asked, who decided."""

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
    list_filter = (("status", ChoicesDropdownFilter), ("created_at", DayRangeFilter))
    ordering = ("-created_at", "-id")
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
    decided = moment("decided_at", gettext_lazy("处理时间"))
    amount_shown = money("amount", gettext_lazy("金额（元）"))
    status_shown = state("status", gettext_lazy("状态"), AdjustmentStatus, STATUS_TONES)
    direction_shown = state("direction", gettext_lazy("方向"), Direction, DIRECTION_TONES)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Whoever has waited longest comes first in the queue; otherwise the newest."""
        if request.GET.get("status__exact") == AdjustmentStatus.PENDING:
            return ("created_at", "id")
        return ("-created_at", "-id")

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

    @admin.display(description=gettext_lazy("申请人"))
    def requester(self, adjustment: BalanceAdjustment) -> str:
        return person_text(adjustment.requested_by)

    @admin.display(description=gettext_lazy("处理人"))
    def decider(self, adjustment: BalanceAdjustment) -> str:
        return person_text(adjustment.decided_by) if adjustment.decided_by else EMPTY

    @admin.display(description=gettext_lazy("处理备注"))
    def notes(self, adjustment: BalanceAdjustment) -> str:
        return adjustment.decision_notes or EMPTY

    @admin.display(description=gettext_lazy("等待"))
    def waits(self, adjustment: BalanceAdjustment) -> str:
        is_waiting = adjustment.status == AdjustmentStatus.PENDING
        return age_text(adjustment.created_at) if is_waiting else EMPTY

    @admin.display(description=gettext_lazy("待办"))
    def todo(self, adjustment: BalanceAdjustment) -> str:
        if adjustment.status != AdjustmentStatus.PENDING:
            return EMPTY
        url = admin_url(f"{ADJUSTMENT_PAGE}_review", adjustment.pk)
        return format_html('<a class="tcm-todo" href="{}">{}</a>', url, _("复核"))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        may = request.user.has_perm(APPROVE_PERMISSION)
        return [name for name in super().get_list_display(request) if may or name != "todo"]

    def panels(self, request: HttpRequest, row: BalanceAdjustment) -> list[Panel]:
        return [history_panel(("balance_adjustment", row.pk))]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        adjustment = self.get_object(request, unquote(object_id))
        if getattr(adjustment, "status", None) != AdjustmentStatus.PENDING:
            return []
        if not may_open(request.user, adjustment):
            return []
        url = admin_url(f"{ADJUSTMENT_PAGE}_review", adjustment.pk)
        is_own = adjustment.requested_by == request.user.pk
        title = _("查看或撤回") if is_own else _("复核这笔调整")
        return [{"title": title, "url": url, "icon": "rule"}]

    def get_urls(self) -> list[URLPattern]:
        review = path(
            "<path:object_id>/review/",
            self.admin_site.admin_view(review_view),
            {"model_admin": self},
            name=f"{ADJUSTMENT_PAGE}_review",
        )
        return [review, *super().get_urls()]


def may_open(user: Any, adjustment: BalanceAdjustment) -> bool:
    """Reviewers may decide; whoever asked may take it back."""
    is_own = adjustment.requested_by == user.pk and user.has_perm(REQUEST_PERMISSION)
    return is_own or user.has_perm(APPROVE_PERMISSION)


@require_http_methods(["GET", "HEAD", "POST"])
def review_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    adjustment = BalanceAdjustment.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if adjustment is None or not may_open(request.user, adjustment):
        raise PermissionDenied
    form = DecisionForm(
        request.POST if request.method == "POST" else None,
        yes="approve",
        no="reject",
        reason_missing=_("驳回时请写明原因，申请人会看到它。"),
    )
    if request.method == "POST" and form.is_valid():
        answer = _decide(request, adjustment, form)
        if answer is not None:
            return answer
    account = UserBalance.objects.filter(user_id=adjustment.user_id).first()
    context = {
        "title": _("复核余额调整"),
        "adjustment": adjustment,
        "account": account,
        "after": _after(adjustment, account),
        "hindrance": _hindrance(adjustment, account),
        "requester": person_text(adjustment.requested_by),
        "decider": person_text(adjustment.decided_by) if adjustment.decided_by else "",
        "is_own": adjustment.requested_by == request.user.pk,
        "is_own_money": adjustment.user_id == request.user.pk,
        "may_approve": request.user.has_perm(APPROVE_PERMISSION),
        "age": age_text(adjustment.created_at),
        "form": form,
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
    request: HttpRequest, adjustment: BalanceAdjustment, form: DecisionForm
) -> HttpResponse | None:
    """Do it; None where it could not be done and the page says why."""
    actor, notes = request.user.as_actor(), form.cleaned_data["notes"]
    decision = form.cleaned_data["decision"]
    if decision != "withdraw" and not request.user.has_perm(APPROVE_PERMISSION):
        raise PermissionDenied
    facts = {"amount": adjustment.amount, "user": adjustment.user_id}
    try:
        if decision == "approve":
            adjustment_approve(actor=actor, adjustment_id=adjustment.pk, notes=notes)
            messages.success(request, str(DONE[Direction(adjustment.direction)]) % facts)
        elif decision == "reject":
            adjustment_reject(actor=actor, adjustment_id=adjustment.pk, notes=notes)
            messages.success(request, _("已驳回这笔调整，余额没有变动。"))
        else:
            adjustment_withdraw(actor=actor, adjustment_id=adjustment.pk, notes=notes)
            messages.success(request, _("已撤回这笔调整，余额没有变动。"))
    except DomainError as error:
        adjustment.refresh_from_db()
        if adjustment.status == AdjustmentStatus.PENDING:
            form.add_error(None, str(error.text))
            return None
        messages.error(request, _refusal(adjustment))
        return HttpResponseRedirect(admin_url(f"{ADJUSTMENT_PAGE}_change", adjustment.pk))
    return HttpResponseRedirect(reverse(f"admin:{ADJUSTMENT_PAGE}_changelist"))


def _refusal(adjustment: BalanceAdjustment) -> str:
    """Somebody was faster: who, and what they decided."""
    return _("这笔调整已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s") % {
        "person": person_text(adjustment.decided_by),
        "state": adjustment.get_status_display(),
        "notes": adjustment.decision_notes or _("无"),
    }
