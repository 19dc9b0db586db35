"""Adjustments that wait for a second person, and the page on which that person decides."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.balances.accounts import ACCOUNT_PAGE
from backoffice.site.bases import (
    Panel,
    admin_link,
    in_lines,
    moment,
    money,
    person_name,
    plain,
    section,
    state,
    wrapped,
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
from backoffice.site.second_person import Door, SecondPersonAdmin, Words
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
            in_lines(one.reason),
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


class BalanceAdjustmentAdmin(SecondPersonAdmin):
    """Corrections by hand: what waits, who asked, who decided."""

    decide_permission = APPROVE_PERMISSION
    review_template = "balances/review.html"
    title = gettext_lazy("复核余额调整")
    todo_title = gettext_lazy("复核")
    review_title = gettext_lazy("复核这笔调整")
    words = Words(
        own=gettext_lazy("这是您自己的申请，须由另一位复核人批准；不再需要时可以撤回。"),
        done=gettext_lazy("这笔调整已处理，当前状态：%(state)s。"),
        told_meanwhile=gettext_lazy(
            "这笔调整已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"
        ),
        reason_missing=gettext_lazy("驳回时请写明原因，申请人会看到它。"),
    )

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
        section(
            None,
            ("user", "status_shown"),
            ("direction_shown", "amount_shown"),
            "reason_shown",
            ("requester", "created"),
            ("decider", "decided"),
            "notes",
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

    reason_shown = wrapped("reason", gettext_lazy("原因"))

    notes = plain("decision_notes", gettext_lazy("处理备注"))

    def panels(self, request: HttpRequest, row: BalanceAdjustment) -> list[Panel]:
        return [history_panel(("balance_adjustment", row.pk))]

    def may_open(self, user: Any, row: BalanceAdjustment) -> bool:
        """Whoever asked may take it back while they may ask at all."""
        if row.requested_by == user.pk and user.has_perm(REQUEST_PERMISSION):
            return True
        return bool(user.has_perm(APPROVE_PERMISSION))

    def doors(self, row: BalanceAdjustment) -> tuple[Door, Door, Door]:
        key = {"adjustment_id": row.pk}
        facts = {"direction": row.get_direction_display(), "amount": f"{row.amount:,.2f}"}
        yes = _("批准：%(direction)s %(amount)s 元") % facts
        approved = str(DONE[Direction(row.direction)]) % {"amount": row.amount}
        rejected, withdrawn = (
            _("已驳回这笔调整，余额没有变动。"),
            _("已撤回这笔调整，余额没有变动。"),
        )
        return (
            Door(yes, partial(adjustment_approve, **key), approved),
            Door(_("驳回"), partial(adjustment_reject, **key), rejected),
            Door(_("撤回申请"), partial(adjustment_withdraw, **key), withdrawn),
        )

    def facts(self, request: HttpRequest, row: BalanceAdjustment) -> dict[str, Any]:
        account = UserBalance.objects.filter(user_id=row.user_id).first()
        is_own_money = row.user_id == request.user.pk
        return {
            "account": account,
            "after": _after(row, account),
            "hindrance": _hindrance(row, account),
            "barred": _("不能复核自己的余额，请由另一位复核人处理。") if is_own_money else "",
        }
