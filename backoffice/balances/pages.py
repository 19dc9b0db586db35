"""Accounts and ledgers for reading."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.balances.accounts import account_urls, ledger_page, steps_for
from backoffice.balances.adjustments import adjustments_panel
from backoffice.site.bases import (
    PANEL_ROWS_MAX,
    AmountRangeFilter,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    column,
    moment,
    money,
    number,
    searched,
    section,
    state,
    told,
)
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    RUNNING,
    WAITING,
    badge,
    code_text,
    money_text,
    time_text,
)
from backoffice.site.filters import cases
from backoffice.site.own_words import own_words
from backoffice.site.words import ORDER_PAGE, ORDER_TONES
from backoffice.trail.pages import history_panel
from balances.models import BalanceTransaction, EntryType, RelatedType, UserBalance
from balances.selectors import adjustments_of, is_opening_unadopted, unadopted_openings
from payments.models import PaymentOrder
from payments.selectors import topups_of
from tcmpay.accounts.selectors import people_names, person_text

ENTRY_TONES = {
    EntryType.INCOME: GOOD,
    EntryType.EXPENSE: BAD,
    EntryType.FREEZE: WAITING,
    EntryType.UNFREEZE: RUNNING,
}
ACCOUNT_PAGE = "balances_userbalance"
ENTRY_PAGE = "balances_balancetransaction"
# The business fact behind an entry, as a page of the admin.
RELATED_PAGES: dict[str, str] = {
    RelatedType.ORDER: ORDER_PAGE,
    RelatedType.REFUND: "refunds_refund",
    RelatedType.ADJUSTMENT: "balances_balanceadjustment",
}


def related_text(entry: BalanceTransaction) -> str:
    """The business fact that an entry belongs to, as a link where it has a page."""
    related = RELATED_PAGES.get(entry.related_type)
    name = entry.get_related_type_display()
    is_freeze = entry.transaction_type in (EntryType.FREEZE, EntryType.UNFREEZE)
    is_of_staff = is_freeze and entry.related_type == RelatedType.ADJUSTMENT
    if entry.related_type == RelatedType.TOPUP and _has_order(entry):
        related = RELATED_PAGES[RelatedType.ORDER]
    if related is None or is_of_staff:
        return name
    return admin_link(related, entry.related_id, name)


def _has_order(entry: BalanceTransaction) -> bool:
    """Money that came in by hand has none."""
    return PaymentOrder.objects.filter(pk=entry.related_id).exists()


def topups_panel(account: UserBalance) -> list[Panel]:
    """The user's top-ups, where there are any."""
    orders = list(topups_of(account.user_id)[:PANEL_ROWS_MAX])
    rows = [
        (
            time_text(order.created_at),
            admin_link(ORDER_PAGE, order.pk, order.order_no),
            money_text(order.amount),
            badge(order.get_status_display(), ORDER_TONES.get(order.status, NEUTRAL)),
            order.get_payment_method_display() or EMPTY,
            time_text(order.payment_time),
        )
        for order in orders
    ]
    headers = (
        _("下单时间"), _("订单号"), _("金额（元）"), _("状态"), _("支付方式"), _("支付时间"),
    )  # fmt: skip
    return [Panel(gettext("充值订单"), headers, rows)] if rows else []


def entries_panel(entries: Iterable[BalanceTransaction], title: Any = "") -> Panel:
    """Ledger entries with what they moved and what they belong to."""
    shown = list(entries)
    names = people_names(entry.actor_id for entry in shown)
    rows = [
        (
            admin_link(ENTRY_PAGE, entry.pk, f"#{entry.sequence}"),
            badge(
                entry.get_transaction_type_display(),
                ENTRY_TONES.get(entry.transaction_type, NEUTRAL),
            ),
            money_text(entry.amount),
            money_text(entry.balance_before),
            money_text(entry.balance_after),
            related_text(entry),
            own_words(entry.description) or EMPTY,
            code_text(person_text(entry.actor_id, names=names)),
            time_text(entry.created_at),
        )
        for entry in shown
    ]
    headers = (
        _("序号"), _("类型"), _("金额（元）"), _("变动前（元）"), _("变动后（元）"), _("关联"),
        _("说明"), _("操作人"), _("时间"),
    )  # fmt: skip
    return Panel(title or _("余额流水"), headers, rows, empty=_("没有余额流水。"))


# Balances that were put in by SQL and that staff have not accepted yet.
OPENING_FILTER = cases(
    "opening",
    _("期初余额"),
    {"unadopted": (_("未确认"), lambda _request: Q(pk__in=unadopted_openings().values("pk")))},
)


class UserBalanceAdmin(ReadOnlyAdmin):
    """What users have with us."""

    page_template = "balances/account.html"
    search_help_text = _("用户编号")
    list_before_template = "balances/open_button.html"
    list_display = ("user", "balance_shown", "frozen", "income", "expense", "entries", "updated")
    list_filter = (OPENING_FILTER,)
    ordering = ("-id",)
    fieldsets = (
        section(
            None,
            ("user", "balance_shown"),
            ("frozen", "entries"),
            ("income", "expense"),
            ("created", "updated"),
            "adopted",
        ),
    )

    user = number("user_id", _("用户"))
    balance_shown = money("balance", _("可用余额（元）"))
    frozen = money("frozen_balance", _("冻结余额（元）"))
    income = money("total_income", _("累计收入（元）"))
    expense = money("total_expense", _("累计支出（元）"))
    entries = number("sequence", _("流水笔数"))
    created = moment("created_at", _("创建时间"))
    updated = moment("updated_at", _("更新时间"))
    adopted = moment("opening_adopted_at", _("期初确认时间"))

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(user_id=term), Q(pk=term))

    def title_of(self, row: UserBalance) -> str:
        return gettext("余额账户")

    def page_context(self, request: HttpRequest, row: UserBalance) -> dict[str, Any]:
        """The account with its running ledger; nothing is written here."""
        ledger = ledger_page(row, request.GET.get("page", ""))
        adjustments = adjustments_of(row.user_id)[:PANEL_ROWS_MAX]
        return {
            "original": None,
            "account": row,
            "ledger": ledger,
            "steps": steps_for(request.user, row),
            "is_unadopted": is_opening_unadopted(row),
            "entries": entries_panel(ledger.entries, _("余额流水（新的在前）")),
            "panels": [
                *topups_panel(row),
                adjustments_panel(adjustments, gettext("人工调整")),
                history_panel(("balance", row.user_id)),
            ],
        }

    def get_urls(self) -> list[URLPattern]:
        return [*account_urls(self), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_open = request.user.has_perm("balances.open_account")
        open_url = reverse(f"admin:{ACCOUNT_PAGE}_open") if may_open else ""
        return super().changelist_view(request, {**(extra_context or {}), "open_url": open_url})


class BalanceTransactionAdmin(ReadOnlyAdmin):
    """The ledger of all users."""

    search_help_text = _("用户编号、关联的订单或退款编号")
    list_display = (
        "created",
        "user",
        "entry",
        "type_shown",
        "amount_shown",
        "before",
        "after",
        "related",
        "description_shown",
    )
    list_filter = (
        ("transaction_type", ChoicesDropdownFilter),
        ("related_type", ChoicesDropdownFilter),
        ("amount", AmountRangeFilter),
        ("created_at", DayRangeFilter),
    )
    ordering = ("-created_at", "-id")
    fieldsets = (
        section(
            None,
            ("user", "entry"),
            ("type_shown", "amount_shown"),
            ("before", "after"),
            ("frozen_before_shown", "frozen_after_shown"),
            ("related", "description_shown"),
            ("actor", "created"),
        ),
        section(_("凭证"), "previous_hash_shown", "hash_shown", is_closed=True),
    )

    created = moment("created_at", _("时间"))
    entry = number("sequence", _("序号"))
    type_shown = state("transaction_type", _("类型"), EntryType, ENTRY_TONES)
    amount_shown = money("amount", _("金额（元）"))
    before = money("balance_before", _("变动前（元）"))
    after = money("balance_after", _("变动后（元）"))
    frozen_before_shown = money("frozen_before", _("冻结变动前（元）"))
    frozen_after_shown = money("frozen_after", _("冻结变动后（元）"))
    previous_hash_shown = number("previous_hash", _("前一笔的摘要"))
    hash_shown = number("hash", _("摘要"))

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(user_id=term), Q(related_id=term), Q(pk=term))

    user = searched(ACCOUNT_PAGE, "user_id", _("用户"))

    related = column("", _("关联"), related_text)

    description_shown = told("description", _("说明"))

    actor = column("actor_id", _("操作人"), lambda person: code_text(person_text(person)))
