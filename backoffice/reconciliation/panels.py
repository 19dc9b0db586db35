"""Where an order's money is by the gateways' bills, under the order's page."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.reconciliation.words import BILL_PAGE, day_url
from backoffice.site.bases import Panel, admin_link, admin_url
from backoffice.site.display import BAD, EMPTY, GOOD, WAITING, badge, money_text
from backoffice.site.words import REFUND_PAGE, TRANSACTION_PAGE
from payments.models import PaymentTransaction
from payments.states import TransactionType
from reconciliation.models import BillFile
from reconciliation.selectors import (
    FundsState,
    funds_state_of_attempt,
    funds_state_of_refund,
)
from reconciliation.states import BillType
from refunds.models import Refund
from tcmpay.common.clock import business_day

FUNDS_TONES = {
    FundsState.EXPECTED: WAITING,
    FundsState.SENT: WAITING,
    FundsState.RECEIVED: GOOD,
    FundsState.RETURNED: GOOD,
    FundsState.MISSING: BAD,
}
HEADERS = (
    gettext_lazy("单据"),
    gettext_lazy("类型"),
    gettext_lazy("金额（元）"),
    gettext_lazy("资金"),
    gettext_lazy("账单日"),
    gettext_lazy("账单原文"),
)


def funds_panel(attempts: Iterable[PaymentTransaction], refunds: Iterable[Refund]) -> list[Panel]:
    """What went to and from gateways; no panel where nothing did."""
    rows = [*_payments(attempts), *_refunds(refunds)]
    return [Panel(_("对账"), HEADERS, rows)] if rows else []


def _payments(attempts: Iterable[PaymentTransaction]) -> Iterator[tuple[Any, ...]]:
    for attempt in attempts:
        if attempt.transaction_type != TransactionType.PAYMENT or attempt.completed_at is None:
            continue
        state = funds_state_of_attempt(attempt)
        if state != FundsState.NONE:
            yield (
                admin_link(TRANSACTION_PAGE, attempt.pk, attempt.transaction_no),
                attempt.get_transaction_type_display(),
                money_text(attempt.amount),
                badge(state.label, FUNDS_TONES[state]),
                *_places(
                    attempt.payment_method,
                    business_day(attempt.completed_at),
                    attempt.out_trade_no or "",
                ),
            )


def _refunds(refunds: Iterable[Refund]) -> Iterator[tuple[Any, ...]]:
    for refund in refunds:
        state = funds_state_of_refund(refund)
        if state == FundsState.NONE:
            continue
        day = refund.completed_at and business_day(refund.completed_at)
        places = (
            _places(refund.transaction.payment_method, day, refund.refund_no)
            if day
            else (EMPTY, EMPTY)
        )
        yield (
            admin_link(REFUND_PAGE, refund.pk, refund.refund_no),
            _("退款"),
            money_text(refund.refund_amount),
            badge(state.label, FUNDS_TONES[state]),
            *places,
        )


def _places(method: str, day: date, number: str) -> tuple[str, str]:
    """The page of the business day, and where in its bill the number stands."""
    bills = BillFile.objects.filter(
        payment_method=method, day=day, bill_type=BillType.TRADE, current_key__isnull=False
    ).values_list("pk", flat=True)
    query = urlencode({"q": number})
    found = format_html_join(
        " ",
        '<a class="tcm-link" href="{}?{}">{}</a>',
        ((admin_url(f"{BILL_PAGE}_lines", key), query, _("查看")) for key in bills),
    )
    link = format_html('<a class="tcm-link" href="{}">{}</a>', day_url(day), day)
    return link, found or EMPTY
