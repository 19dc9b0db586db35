"""Reconciliation as finance does it, in a browser."""

from datetime import timedelta
from decimal import Decimal

from backoffice.reconciliation.tests.kit import ALIPAY, bill, compared, difference, yesterday
from backoffice.reconciliation.words import day_url
from reconciliation.states import DifferenceType
from tests.browser.test_every_page import CUT_TABLES


def test_the_calendar_and_a_day_with_differences_of_every_kind(desk, staff):
    row = compared(verified=Decimal("2460.00"), our_receipts=Decimal("1170.00"), our_payments=9)
    other = compared(ALIPAY)
    for kind in DifferenceType:
        difference(row, kind, line_text="`2026-11-29 12:00:01,`wx1" * 20 if kind == "line" else "")
    difference(other, is_doubtful=True)
    bill(day=row.day, is_replaced=True, file_name="All2026-11-29_2026-11-29.csv")
    for back in range(2, 40):
        compared(day=yesterday() - timedelta(days=back))
    page = desk.open(as_=staff("reviewer"))
    desk.look(page, "reconciliation-today")
    page.goto(desk.url("admin:reconciliation_reconciledday_changelist"))
    desk.look(page, "reconciliation-calendar")
    page.goto(desk.origin + day_url(row.day))
    assert page.evaluate(CUT_TABLES) == []
    desk.look(page, "reconciliation-day")
    page.locator("[data-select-all], input[name=difference]:not(:disabled)").nth(1).check()
    page.locator("input[name=difference]:not(:disabled)").nth(3).check()
    page.locator("input[name=difference]:not(:disabled)").nth(4).check()
    page.get_by_role("button", name="预览所选").click()
    desk.look(page, "reconciliation-mend")
    page.get_by_label("说明").fill("已核对")
    page.get_by_role("button", name="处理 3 项").click()
    page.get_by_text("逐项结果").wait_for()
    desk.look(page, "reconciliation-mended")
    page.get_by_role("link", name="账单第 2 行").first.click()
    desk.look(page, "reconciliation-lines")
    page.goto(desk.url("admin:reconciliation_difference_changelist"))
    assert page.evaluate(CUT_TABLES) == []
    desk.look(page, "reconciliation-differences")
    page.locator("#result_list .field-number_shown a").first.click()
    desk.look(page, "reconciliation-difference")
    page.goto(desk.url("admin:reconciliation_billfile_changelist"))
    desk.look(page, "reconciliation-bills")


def test_last_month_and_any_span_are_there_on_the_first_page(desk, staff):
    page = desk.open(as_=staff("finance"))
    page.get_by_role("link", name="上月净收").click()
    page.get_by_label("从", exact=True).fill("2026-01-01")
    page.get_by_role("button", name="查看").click()
    page.get_by_text("2026-01-01").first.wait_for()
    desk.look(page, "today-span")
