"""Refunds and their approvals under the pages of what they belong to."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from backoffice.refunds.facts import money_place
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
from backoffice.site.words import CASE_PAGE, REFUND_PAGE
from refunds.models import Refund
from refunds.services.funds import funds_case
from refunds.states import RefundStatus
from tcmpay.accounts.selectors import people_names, person_text

REFUND_TONES: dict[str, str] = {
    RefundStatus.PENDING: WAITING,
    RefundStatus.PROCESSING: RUNNING,
    RefundStatus.SUCCESS: GOOD,
    RefundStatus.FAILED: BAD,
    RefundStatus.CANCELLED: NEUTRAL,
}


def status_badge(refund: Refund) -> str:
    return badge(refund.state_text, REFUND_TONES.get(refund.status, NEUTRAL))


def place_linked(refund: Refund) -> str:
    """Where the refund's money is; of one that waits for the merchant's account, the way to the
    case that tells of it."""
    text = money_place(refund)
    case = funds_case(refund)
    if case is None:
        return text
    return format_html("{} {}", text, admin_link(CASE_PAGE, case.pk, case.get_kind_display()))


def refunds_panel(refunds: Iterable[Refund], title: Any = "") -> Panel:
    """Refunds of one order or one payer."""
    shown = list(refunds)
    names = people_names(refund.reviewed_by for refund in shown)
    rows = [
        (
            admin_link(REFUND_PAGE, refund.pk, refund.refund_no),
            money_text(refund.refund_amount),
            status_badge(refund),
            own_words(refund.refund_reason),
            time_text(refund.created_at),
            person_text(refund.reviewed_by, names=names) if refund.reviewed_by else EMPTY,
            time_text(refund.completed_at),
        )
        for refund in shown
    ]
    headers = (
        _("退款单号"), _("金额（元）"), _("状态"), _("原因"), _("申请时间"), _("审核人"),
        _("完成时间"),
    )  # fmt: skip
    return Panel(title or _("退款"), headers, rows, empty=_("没有退款。"))


def approvals_panel(refund: Refund) -> Panel:
    """Who said yes so far."""
    approvals = list(refund.approvals.order_by("created_at")[:PANEL_ROWS_MAX])
    names = people_names(approval.reviewer_id for approval in approvals)
    rows = [
        (
            person_text(approval.reviewer_id, names=names),
            approval.notes or EMPTY,
            time_text(approval.created_at),
        )
        for approval in approvals
    ]
    return Panel(_("审批"), (_("审核人"), _("备注"), _("时间")), rows, empty=_("还没有人批准。"))
