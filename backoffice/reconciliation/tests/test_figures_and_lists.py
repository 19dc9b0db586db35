"""A figure of a day's page that leads to a list is what the list adds up to, to the fen."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.test import Client

from backoffice.reconciliation.words import day_url
from reconciliation import contents
from reconciliation.services.running import day_reconcile
from reconciliation.tests.kit import (
    DAY,
    NUMBERS,
    at,
    attempt,
    configured,
    imported,
    merchant,
    payment_row,
    refund,
    refund_row,
    unpacked_written,
    wall_clock,
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.authority.staff import browser_of, person_make

pytestmark = pytest.mark.django_db
LINK = re.compile(r'href="([^"?]*\?[^"]*)"><span class="tcm-money">([\d,]+\.\d\d)</span></a>')
FORMER = {
    "wechat": {"mch_id": "1900000099"},
    "alipay": {"app_id": "2021000000000099", "seller_id": "2088000000000099"},
}
LATE = timedelta(hours=24, minutes=-1)


@pytest.fixture(autouse=True)
def _noon_of_the_day_after_the_next(monkeypatch):
    monkeypatch.setattr(contents, "unpacked_bill", unpacked_written)
    with clock.frozen(at(timedelta(hours=60))):
        yield


@pytest.fixture
def clerk() -> Client:
    return browser_of(person_make("finance"))


def business(method: str) -> None:
    """A day's money, and beside it what lies near it and is not in its bill."""
    attempt(method, configured(method, **FORMER[method]))
    version = configured(method)
    first, second = attempt(method, version), attempt(method, version, moved=LATE, amount="20.01")
    is_second = {"disposition": "duplicate", "applied_order_id": None}
    surplus = attempt(method, version, amount="7.00", **is_second)
    attempt(method, version, is_mock=True)
    attempt(method, version, status="pending")
    attempt(method, version, moved=timedelta(hours=24))
    back = refund(first)
    late = refund(second, moved=LATE, amount="3.00")
    # Told the next day: WeChat Pay's bill has it on the day of its acceptance.
    late.completed_at = at(timedelta(hours=24, minutes=5))
    late.completed_on = clock.business_day(late.completed_at)
    late.refund_response = {"create_time": wall_clock(at(LATE))}
    late.save()
    refund(surplus, status="processing")
    refunds = [back, late] if method == "wechat" else [back]
    rows = [payment_row(one) for one in (first, second, surplus)]
    imported(method, rows + [refund_row(one) for one in refunds])


def figures(browser: Client) -> list[tuple[str, Decimal]]:
    text = browser.get(day_url(DAY)).content.decode()
    table = text[text.index("tcm-sides") : text.index("</table>", text.index("tcm-sides"))]
    return [(unescape(link), Decimal(told.replace(",", ""))) for link, told in LINK.findall(table)]


@pytest.mark.parametrize("method", NUMBERS)
def test_each_figure_is_what_its_list_adds_up_to(clerk, method):
    business(method)
    day_reconcile(actor=SYSTEM, merchant=merchant(method), day=DAY)
    found = figures(clerk)
    added = []
    for link, _told in found:
        rows = clerk.get(link).context["cl"].queryset
        name = "amount" if hasattr(rows.model, "amount") else "refund_amount"
        added.append((link, sum(getattr(row, name) for row in rows)))
    assert [told for _link, told in found] == [
        Decimal("57.01"),
        Decimal("13.00" if method == "wechat" else "10.00"),
    ]
    assert added == found


def test_what_moved_since_the_comparison_is_told_beside_the_figures(clerk):
    business("wechat")
    day_reconcile(actor=SYSTEM, merchant=merchant("wechat"), day=DAY)
    assert "对账之后我方又有变化" not in clerk.get(day_url(DAY)).content.decode()
    attempt("wechat", configured("wechat"))
    assert "对账之后我方又有变化" in clerk.get(day_url(DAY)).content.decode()


@pytest.mark.parametrize("value", ["x", "2026-11-24", "2026-11-24:x:1", "9999-99-99:wechat:1"])
def test_an_address_that_names_no_merchants_day_narrows_nothing_and_breaks_nothing(clerk, value):
    assert clerk.get("/admin/payments/paymenttransaction/", {"in_bill": value}).status_code == 200
