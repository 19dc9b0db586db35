"""The calendar, a day's page, differences and lines of bills, as they are read."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backoffice.reconciliation.bill_lines import BillText
from backoffice.reconciliation.calendar import month_of
from backoffice.reconciliation.day import Day
from backoffice.reconciliation.tests.kit import (
    ALIPAY,
    HEADER,
    WECHAT,
    bill,
    compared,
    difference,
    yesterday,
)
from backoffice.reconciliation.words import CellState, day_url, percent_text
from gateways.alipay.tests import test_bills as alipay
from gateways.wechat.tests import test_bills as wechat
from reconciliation.bill_text import PAYER_COLUMNS
from reconciliation.states import DifferenceType
from reconciliation.tests.kit import configured
from tcmpay.common import clock
from tests.authority.staff import browser_of, person_make
from tests.clinic import report_paid, started_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def reviewer() -> Client:
    return browser_of(person_make("reviewer"))


def shown(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def states_of(day) -> dict[str, CellState]:
    month = month_of(day.strftime("%Y-%m"))
    line = next(line for line in month.days if line.day == day)
    return {cell.merchant.method: cell.state for cell in line.cells}


def test_a_day_agrees_has_open_differences_or_waits_for_tomorrows_bill():
    day = yesterday()
    row = compared()
    other = compared(ALIPAY)
    assert states_of(day) == {"wechat": CellState.AGREED, "alipay": CellState.AGREED}
    difference(row)
    difference(other, is_doubtful=True)
    assert states_of(day) == {"wechat": CellState.OPEN, "alipay": CellState.DOUBTFUL}


def test_a_day_s_page_reads_what_is_heavy_once():
    """Whose money it is, what the day moved, and the balances' leg, wherever they are shown."""
    for method in ("wechat", "alipay"):
        configured(method)
    row = compared()
    clerk = browser_of(person_make("finance"))
    with CaptureQueriesContext(connection) as read:
        shown(clerk, day_url(row.day))
    texts = [one["sql"] for one in read.captured_queries]
    heavy = [text for text in texts if "SUM(" in text or "payment_config_versions" in text]
    assert len(heavy) > 10
    assert len(heavy) == len(set(heavy))


def test_a_day_that_is_not_over_offers_nothing_and_says_when():
    compared()
    clerk = browser_of(person_make("finance"))
    today = shown(clerk, day_url(clock.today()))
    assert "还没有结束" in today
    assert 'name="do"' not in today
    assert "上传账单" not in today


def test_a_day_without_a_bill_waits_until_three_in_the_afternoon_and_then_misses_it():
    compared(day=yesterday() - timedelta(days=3))
    afternoon = clock.day_start(clock.today()) + timedelta(hours=15)
    with clock.frozen(afternoon - timedelta(seconds=1)):
        assert states_of(yesterday()) == {"wechat": CellState.WAITING}
    with clock.frozen(afternoon):
        assert states_of(yesterday()) == {"wechat": CellState.MISSING}


def test_no_bill_is_missed_before_the_first():
    compared()
    before = yesterday() - timedelta(days=1)
    if before.month == yesterday().month:
        assert states_of(before) == {"wechat": CellState.NONE}


def test_a_day_on_which_nothing_moved_agrees_without_a_file():
    row = compared(is_without_movement=True)
    row.trade_bill = None
    row.save()
    assert states_of(yesterday()) == {"wechat": CellState.AGREED}


@pytest.mark.parametrize("month", ["1999-12", "9999-12", "x", "2026-13", "", "２０２６-11"])
def test_a_month_that_is_none_shows_yesterdays(month):
    assert month_of(month).first == yesterday().replace(day=1)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        ("0", "0", "—"),
        ("100", "100", "100%"),
        ("99999.99", "100000", "99.99%"),
        ("1", "3", "33.33%"),
    ],
)
def test_a_share_is_never_rounded_up(part, whole, text):
    assert percent_text(Decimal(part), Decimal(whole)) == text


def test_the_calendar_leads_to_each_day(reviewer):
    compared()
    text = shown(reviewer, reverse("admin:reconciliation_reconciledday_changelist"))
    assert day_url(yesterday()) in text


def test_a_day_shows_both_sides_its_differences_and_its_files(reviewer):
    row = compared(our_receipts=Decimal("1170.00"), our_payments=9)
    found = difference(row, DifferenceType.THEIRS_ONLY, ours=None, theirs=Decimal("30.00"))
    bill(day=row.day, is_replaced=True, file_name="昨天的账单.csv")
    text = shown(reviewer, day_url(row.day))
    for part in (
        "1,200.00",
        "1,170.00",
        "网关有，我方无",
        found.out_trade_no,
        "昨天的账单.csv",
        "已被替换",
    ):
        assert part in text, part
    assert reverse("admin:payments_paymentexception_change", args=[found.case_id]) in text
    assert f"{reverse('admin:reconciliation_billfile_lines', args=[found.bill_id])}?n=2" in text


def test_a_day_says_where_the_account_was_not_looked_at(reviewer):
    row = compared(fees=Decimal("6.84000"))
    compared(ALIPAY)
    text = shown(reviewer, day_url(row.day))
    assert "缺资金账单，资金未核对" in text
    assert ">资金未核对<" in text
    row.fees_charged, row.fund_bill = Decimal("7.02"), row.trade_bill
    row.save()
    text = shown(reviewer, day_url(row.day))
    assert "缺资金账单" not in text
    assert "7.02" in text
    assert re.search("与账单逐行之和差 .{0,80}0\\.18", text)


def test_what_staff_ended_and_what_is_gone_no_longer_count():
    row = compared()
    ended, gone, waits = (difference(row) for _number in range(3))
    ended.case.closed_at = clock.now()
    ended.case.save()
    gone.gone_at = clock.now()
    gone.save()
    day = Day(row.day, person_make("reviewer"))
    assert [line.row.pk for group in day.groups for line in group.lines] == [waits.pk]
    assert {line.row.pk for group in day.ended for line in group.lines} == {ended.pk, gone.pk}
    assert day.line.open == 1


def test_the_remedy_is_the_first_that_the_reader_may_take():
    row = compared()
    fee = difference(row)
    state = difference(row, DifferenceType.STATE)
    may, may_not = person_make("reviewer"), person_make("finance")
    remedies = {
        line.row.pk: line.remedy and line.remedy.name
        for group in Day(row.day, may).groups
        for line in group.lines
    }
    assert remedies == {fee.pk: "record", state.pk: "query"}
    assert all(
        line.remedy is None for group in Day(row.day, may_not).groups for line in group.lines
    )


def test_hostile_texts_of_a_bill_are_shown_as_texts():
    finance = browser_of(person_make("finance"))
    hostile = '<script>alert(1)</script>=cmd|"/c calc"!A1\u202eexe'
    row = compared()
    difference(row, DifferenceType.LINE, ours=None, theirs=None, reason="多一列", line_text=hostile)
    file = bill(ALIPAY, name=hostile.replace(",", ""), file_name=hostile)
    addresses = (
        day_url(row.day),
        reverse("admin:reconciliation_billfile_changelist"),
        reverse("admin:reconciliation_billfile_change", args=[file.pk]),
        f"{reverse('admin:reconciliation_billfile_lines', args=[file.pk])}?n=2",
        reverse("admin:reconciliation_difference_changelist"),
    )
    for address in addresses:
        text = shown(finance, address)
        assert "<script>alert(1)" not in text, address
        assert "\u202e" not in text, address
    assert "[U+202E]" in shown(finance, addresses[0])


def test_a_line_is_shown_with_the_names_of_its_columns_and_without_its_payer(reviewer):
    file = bill(numbers=("ORD1", "ORD2"))
    address = reverse("admin:reconciliation_billfile_lines", args=[file.pk])
    text = shown(reviewer, f"{address}?n=3")
    for part in ("第 3 行", "商户订单号", "ORD2", "应结订单金额", "30.00"):
        assert part in text, part
    assert "ORD1" not in text
    assert "oPayer" not in text
    assert "没有这一行" in shown(reviewer, f"{address}?n=9")


@pytest.mark.parametrize(
    ("content", "number", "name", "cell"),
    [
        (wechat.GOOD, 2, "微信订单号", "4200001"),
        (wechat.flow_text(*wechat.FLOW), 2, "资金流水单号", "F1"),
        (alipay.GOOD, 6, "商户订单号", "ORD1"),
        (alipay.account(*alipay.MOVES), 6, "账务流水号", "F1"),
    ],
    ids=["wechat", "wechat funds", "alipay", "alipay funds"],
)
def test_every_kind_of_bill_is_shown_by_its_columns(content, number, name, cell):
    [line] = BillText(bill(content=content), shows_all=False).line(number)
    fields = dict(line.fields)
    assert fields[name] == cell
    assert {fields[column] for column in PAYER_COLUMNS if column in fields} <= {"***", ""}


def test_chinese_is_found_in_either_encoding():
    for content in (wechat.GOOD, alipay.GOOD):
        file = bill(ALIPAY if content is alipay.GOOD else WECHAT, content=content)
        assert BillText(file, shows_all=False).containing("挂号费")


def test_who_paid_is_neither_shown_nor_found():
    text = BillText(bill(), shows_all=True)
    assert dict(text.line(2)[0].fields)["用户标识"] == "***"
    assert not text.containing("oPayer-1")
    assert text.containing("ORD1")


def test_a_line_that_nobody_can_read_is_for_those_who_may_take_the_file():
    odd = "`2026-11-29 12:00:01,`oPayer-9,`ORD7"
    row = compared()
    difference(row, DifferenceType.LINE, reason="少几列", line_text=odd)
    file = bill(ALIPAY, content="\r\n".join([HEADER, odd, ""]).encode())
    lines = reverse("admin:reconciliation_billfile_lines", args=[file.pk])
    one = reverse("admin:reconciliation_difference_change", args=[row.differences.get().pk])
    addresses = (day_url(row.day), one, f"{lines}?n=2", f"{lines}?q=ORD7")
    may_not = person_make("outsider")
    may_not.is_staff = True
    may_not.save()
    names = ("view_reconciledday", "view_difference", "view_billfile")
    may_not.user_permissions.set(Permission.objects.filter(codename__in=names))
    for person, is_shown in ((person_make("finance"), True), (may_not, False)):
        browser = browser_of(person)
        for address in addresses:
            assert ("oPayer-9" in shown(browser, address)) == is_shown, (person, address)


def test_lines_are_found_by_a_number_and_lead_to_the_order(reviewer, settings):
    settings.MOCK_CALLBACKS = True
    attempt = started_attempt()
    report_paid(attempt)
    file = bill(numbers=("ORD1", attempt.out_trade_no, "ORD2"))
    address = reverse("admin:reconciliation_billfile_lines", args=[file.pk])
    text = shown(reviewer, f"{address}?q={attempt.out_trade_no}")
    assert "第 3 行" in text
    assert attempt.order.order_no in text
    assert "ORD1" not in text
    assert "没有一行" in shown(reviewer, f"{address}?q=nowhere")


def test_the_list_of_differences_is_narrowed_to_what_waits(reviewer):
    row = compared()
    waits, gone, older = difference(row), difference(row), difference(row)
    gone.gone_at = clock.now()
    gone.save()
    older.found_at -= timedelta(days=1)
    older.save()
    address = reverse("admin:reconciliation_difference_changelist")
    text = shown(reviewer, f"{address}?standing=open")
    assert gone.out_trade_no not in text
    assert text.index(older.out_trade_no) < text.index(waits.out_trade_no), "the oldest first"
    text = shown(reviewer, address)
    assert text.index(waits.out_trade_no) < text.index(older.out_trade_no), "the newest first"
    assert waits.out_trade_no in shown(
        reviewer, reverse("admin:reconciliation_difference_change", args=[waits.pk])
    )


@pytest.mark.parametrize("day", ["9999-12-31", "1999-01-01", "2026-02-30", "x"])
def test_a_day_that_is_none_leads_back_to_the_calendar(reviewer, day):
    answer = reviewer.get(reverse("admin:reconciliation_reconciledday_day", args=[day]))
    assert answer.status_code == 302


def test_wechat_is_before_alipay():
    compared(ALIPAY)
    compared(WECHAT)
    assert [one.method for one in month_of(yesterday().strftime("%Y-%m")).merchants] == [
        "wechat",
        "alipay",
    ]


def test_money_that_a_mock_took_is_said_not_to_be_reconciled(reviewer, settings):
    settings.MOCK_CALLBACKS = True
    day = yesterday()
    with clock.frozen(clock.day_start(day) + timedelta(hours=12)):
        report_paid(started_attempt("wechat"))
    compared(total=Decimal(0), verified=Decimal(0))
    assert states_of(day)["wechat"] == CellState.MOCK
    assert "模拟支付，不对账" in shown(reviewer, day_url(day))
