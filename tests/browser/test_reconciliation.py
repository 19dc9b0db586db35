"""Reconciliation as finance does it, in a browser."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from backoffice.reconciliation import waiting_bills
from backoffice.reconciliation.tests.kit import ALIPAY, bill, compared, difference, yesterday
from backoffice.reconciliation.words import day_url
from payments.models import PaymentOrder
from reconciliation import contents
from reconciliation.figures import close_of
from reconciliation.services.running import day_reconcile
from reconciliation.states import DifferenceType
from reconciliation.tests.days import funded, paid_from_balance, patient
from reconciliation.tests.kit import (
    attempt,
    configured,
    imported,
    merchant,
    open_written,
    payment_row,
    unpacked_written,
    written,
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.browser.conftest import PASSWORD
from tests.browser.kit import follow
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
    page.locator("[data-select-all]").check()
    page.get_by_text("已选 11 / 11 项").wait_for()
    page.locator("[data-select-all]").uncheck()
    for place in (1, 3, 4):
        page.locator("input[name=difference]:not(:disabled)").nth(place).check()
    follow(page.get_by_role("button", name="预览所选"))
    desk.look(page, "reconciliation-mend")
    page.get_by_label("说明").fill("已核对")
    follow(page.get_by_role("button", name="处理 3 项"))
    page.get_by_text("逐项结果").wait_for()
    desk.look(page, "reconciliation-mended")
    follow(page.get_by_role("link", name="账单第 2 行").first)
    desk.look(page, "reconciliation-lines")
    page.goto(desk.url("admin:reconciliation_difference_changelist"))
    assert page.evaluate(CUT_TABLES) == []
    desk.look(page, "reconciliation-differences")
    follow(page.locator("#result_list .field-number_shown a").first)
    desk.look(page, "reconciliation-difference")
    page.goto(desk.url("admin:reconciliation_billfile_changelist"))
    desk.look(page, "reconciliation-bills")


def test_the_pages_fit_in_english_too(desk, staff):
    row = compared()
    compared(ALIPAY)
    difference(row, DifferenceType.THEIRS_ONLY)
    page = desk.open(as_=staff("administrator"), locale="en-US")
    page.goto(desk.url("admin:reconciliation_reconciledday_changelist"))
    desk.look(page, "reconciliation-calendar-english")
    page.goto(desk.origin + day_url(row.day))
    desk.look(page, "reconciliation-day-english")
    page.goto(desk.url("admin:reconciliation_dailyclose_report"))
    desk.look(page, "report-english")


def test_last_month_and_any_span_are_there_on_the_first_page(desk, staff):
    page = desk.open(as_=staff("finance"))
    follow(page.get_by_role("link", name="上月净收"))
    page.get_by_label("从", exact=True).fill("2026-01-01")
    follow(page.get_by_role("button", name="查看"))
    page.get_by_text("2026-01-01").first.wait_for()
    desk.look(page, "today-span")


# --- closing a day, and how many clicks it takes --------------------------------------------------


class Clicks:
    """What two people click from signing in to a closed day; typing is no click."""

    def __init__(self, desk) -> None:
        self.desk, self.number = desk, 0

    def sign_in(self, username: str):
        page = self.desk.open()
        page.goto(self.desk.url("admin:login"))
        page.get_by_label("用户名").fill(username)
        page.get_by_label("密码").fill(PASSWORD)
        self.on(page.get_by_role("button", name="登录"))
        page.wait_for_url(self.desk.url("admin:index"))
        return page

    def on(self, what) -> None:
        self.number += 1
        follow(what)

    def reload(self, page) -> None:
        self.number += 1
        page.reload()

    def link(self, page, text: str) -> None:
        self.on(page.get_by_role("link", name=re.compile(text)).first)

    def button(self, page, text: str) -> None:
        self.on(page.get_by_role("button", name=text, exact=True))


@pytest.fixture
def yesterday_with_money(monkeypatch):
    """A payment from a balance and one by WeChat Pay, and the bill that has it."""
    monkeypatch.setattr(contents, "unpacked_bill", unpacked_written)
    day = yesterday()
    noon = clock.day_start(day) + timedelta(hours=12)
    owner = patient()
    funded(owner, "100.00", noon)
    paid_from_balance(owner, "30.00", noon)
    payment = attempt("wechat", configured("wechat"), day=day)
    PaymentOrder.objects.filter(pk=payment.order_id).update(paid_on=day)

    def bill_comes(*, times=1, **differing):
        line = payment_row(payment, **differing)
        imported("wechat", [line] * times, day=day)
        day_reconcile(actor=SYSTEM, merchant=merchant("wechat"), day=day)

    with clock.frozen(clock.day_start(day + timedelta(days=1)) + timedelta(hours=10)):
        yield bill_comes


def test_a_day_with_nothing_open_is_closed_in_six_clicks(desk, staff, yesterday_with_money):
    yesterday_with_money()
    staff("finance"), staff("reviewer")
    clicks = Clicks(desk)
    clerk = clicks.sign_in("finance")
    clicks.link(clerk, "对账与日结")
    clerk.get_by_text("可以日结").wait_for()
    desk.look(clerk, "close-ready")
    clicks.button(clerk, "提交日结")
    clerk.get_by_text("等待另一人签字").first.wait_for()
    desk.look(clerk, "close-waiting")
    second = clicks.sign_in("reviewer")
    clicks.link(second, "对账与日结")
    clicks.button(second, "签字日结")
    second.get_by_text("已日结").first.wait_for()
    assert close_of(yesterday()) is not None
    assert clicks.number <= 6, clicks.number
    desk.look(second, "close-signed")
    second.goto(desk.url("admin:index"))
    second.get_by_text("对账相符").wait_for()
    desk.look(second, "close-today")
    second.goto(desk.url("admin:reconciliation_dailyclose_changelist"))
    assert second.evaluate(CUT_TABLES) == []
    desk.look(second, "close-list")
    second.goto(desk.url("admin:reconciliation_dailyclose_change", close_of(yesterday()).pk))
    desk.look(second, "close-page")
    second.goto(desk.url("admin:reconciliation_dailyclose_report", query=f"?first={yesterday()}"))
    desk.look(second, "report")


def test_a_day_with_one_difference_is_closed_in_ten_clicks(desk, staff, yesterday_with_money):
    yesterday_with_money(fee=25_000)  # the rate makes it eighteen fen
    staff("finance"), staff("reviewer")
    clicks = Clicks(desk)
    reviewer = clicks.sign_in("reviewer")
    clicks.link(reviewer, "对账与日结")
    clicks.link(reviewer, "按账单记录")
    reviewer.get_by_label("说明").fill("已与合同费率核对，以账单为准")
    clicks.button(reviewer, "处理 1 项")
    reviewer.get_by_text("逐项结果").wait_for()
    desk.look(reviewer, "close-mended")
    clerk = clicks.sign_in("finance")
    clicks.link(clerk, "对账与日结")
    clicks.button(clerk, "提交日结")
    clerk.get_by_text("等待另一人签字").first.wait_for()
    clicks.reload(reviewer)
    clicks.button(reviewer, "签字日结")
    reviewer.get_by_text("已日结").first.wait_for()
    assert close_of(yesterday()) is not None
    assert clicks.number <= 10, clicks.number


def test_a_day_with_two_write_offs_is_closed_in_ten_clicks(desk, staff, yesterday_with_money):
    """Two people are needed for the differences, and two for the day."""
    yesterday_with_money(times=3)
    staff("reviewer"), staff("administrator")
    clicks = Clicks(desk)
    reviewer = clicks.sign_in("reviewer")
    clicks.link(reviewer, "对账与日结")
    clicks.link(reviewer, "预览全部 2 项")
    reviewer.get_by_label("说明").fill("微信支付客服确认：账单多列两行，次日更正")
    clicks.button(reviewer, "处理 2 项")
    reviewer.get_by_text("逐项结果").wait_for()
    second = clicks.sign_in("administrator")
    clicks.link(second, "对账与日结")
    second.get_by_text("账单多列两行").first.wait_for()
    desk.look(second, "close-write-off")
    clicks.button(second, "确认核销 2 项")
    second.get_by_text("已确认核销").first.wait_for()
    clicks.button(second, "提交日结")
    second.get_by_text("等待另一人签字").first.wait_for()
    clicks.reload(reviewer)
    clicks.button(reviewer, "签字日结")
    reviewer.get_by_text("已日结").first.wait_for()
    assert close_of(yesterday()) is not None
    assert clicks.number <= 10, clicks.number


def test_a_bill_is_uploaded_looked_at_and_replaced(desk, staff, yesterday_with_money, monkeypatch):
    yesterday_with_money()
    monkeypatch.setattr(waiting_bills, "open_bill", open_written)
    page = desk.open(as_=staff("finance"))
    page.goto(desk.origin + day_url(yesterday()))
    follow(page.get_by_role("link", name="上传账单"))
    desk.look(page, "bill-upload")
    page.get_by_label("商户号").select_option("wechat:1900000001")
    page.set_input_files(
        "input[type=file]",
        {"name": "all.csv", "mimeType": "text/csv", "buffer": written([]) + b"\nodd <b>line</b>"},
    )
    follow(page.get_by_role("button", name="上传并核对"))
    page.get_by_text("已有另一份账单").wait_for()
    desk.look(page, "bill-uploaded")
    follow(page.get_by_role("button", name="替换并对账"))
    page.get_by_text("已导入").wait_for()
    desk.look(page, "bill-replaced")
    follow(page.get_by_role("button", name="用现有账单重新对账"))
    page.get_by_text("项差异待处理").first.wait_for()
    page.get_by_role("link", name="下载", exact=True).first.wait_for()
