"""Closing a day by its page: what stands in the way, put forward, signed, opened again."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from backoffice.reconciliation.calendar import month_of
from backoffice.reconciliation.figures import figures_shown
from backoffice.reconciliation.tests.kit import compared, difference
from backoffice.reconciliation.tile import day_tiles
from backoffice.reconciliation.words import CellState, day_url
from reconciliation.figures import close_of
from reconciliation.models import DailyClose, DayReopening
from reconciliation.tests.days import (
    DAY,
    funded,
    morning_after,
    paid_from_balance,
    patient,
)
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY
from tests.authority.staff import browser_of, person_make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_day_with_money():
    owner = patient()
    funded(owner, "100.00")
    paid_from_balance(owner, "30.00")
    with clock.frozen(morning_after(DAY)):
        yield


@pytest.fixture
def clerk() -> Client:
    return browser_of(person_make("finance"))


@pytest.fixture
def second() -> Client:
    return browser_of(person_make("reviewer"))


def shown(browser: Client, day: date = DAY) -> str:
    answer = browser.get(day_url(day))
    assert answer.status_code == 200
    return answer.content.decode()


def post(browser: Client, page: str, key: object, **form: str) -> str:
    answer = browser.post(reverse(f"admin:reconciliation_{page}", args=[key]), form, follow=True)
    return answer.content.decode()


def propose(browser: Client, day: date = DAY) -> str:
    return post(browser, "reconciledday_propose", day.isoformat())


def sign(browser: Client, decision: str = "sign", notes: str = "") -> str:
    close = DailyClose.objects.latest("version")
    return post(browser, "dailyclose_review", close.pk, decision=decision, notes=notes)


def test_a_ready_day_is_put_forward_by_one_and_signed_by_another(clerk, second):
    text = shown(clerk)
    for part in ("可以日结", "提交日结", "100.00", "70.00", "30.00"):
        assert part in text, part
    assert "等待另一人签字" in propose(clerk)
    assert "签字日结" not in sign_buttons(shown(clerk)), "not one's own"
    assert "签字日结" in shown(second)
    text = sign(second)
    assert "已日结" in text
    close = close_of(DAY)
    assert close is not None
    assert close.signature in text
    assert "提交日结" not in shown(clerk)


def test_a_page_s_breadcrumbs_end_at_the_page(clerk, second):
    propose(clerk)
    sign(second)
    crumbs = shown(clerk).partition("<h1")[2].partition("</h1>")[0]
    assert f">{DAY.isoformat()}</span>" in crumbs


def sign_buttons(text: str) -> str:
    return "".join(part for part in text.split("<button")[1:] if "sign" in part.partition(">")[0])


def test_what_stands_in_the_way_is_said_and_leads_there(clerk):
    paid_from_balance_later = DAY + ONE_DAY
    with clock.frozen(morning_after(paid_from_balance_later)):
        text = shown(clerk, paid_from_balance_later)
        assert "还不能日结" in text
        assert f'href="{day_url(DAY)}"' in text
        assert "提交日结" not in text
        assert "请先日结" in propose(clerk, paid_from_balance_later)
    assert not DailyClose.objects.exists()


def test_today_is_not_to_be_closed(clerk):
    assert "提交日结" not in shown(clerk, clock.today())


def test_one_person_alone_closes_nothing(clerk):
    propose(clerk)
    sign(clerk)
    assert close_of(DAY) is None


def test_a_proposal_is_rejected_with_a_reason_or_taken_back(clerk, second):
    propose(clerk)
    assert "请写明原因" in sign(second, "reject")
    assert "已驳回" in sign(second, "reject", "手续费未核")
    propose(clerk)
    assert "已撤回" in sign(clerk, "withdraw")
    assert close_of(DAY) is None


def test_a_closed_day_is_opened_again_by_two_and_keeps_what_was_signed(clerk, second):
    propose(clerk)
    sign(second)
    first = close_of(DAY)
    text = post(clerk, "reconciledday_reopen", DAY.isoformat(), reason="漏了一笔")
    assert "等待另一人同意" in text
    wish = DayReopening.objects.get()
    post(clerk, "dayreopening_review", wish.pk, decision="approve")
    assert close_of(DAY) == first, "not by oneself"
    assert "已重新打开" in post(second, "dayreopening_review", wish.pk, decision="approve")
    assert close_of(DAY) is None
    page = second.get(reverse("admin:reconciliation_dayreopening_change", args=[wish.pk]))
    assert page.text.count("漏了一笔") > 1, "its history says so, too"
    propose(clerk)
    sign(second)
    text = shown(clerk)
    assert "第 1 版（已重新打开）" in text
    assert "第 2 版（已日结）" in text


def test_what_waits_for_a_second_person_is_seen_wherever_the_day_is(clerk, second):
    tasks = {task.title: task.count for task in second.get("/admin/").context["tasks"]}
    assert (tasks["待签字的日结"], tasks["待同意的重新打开"]) == (0, 0)
    propose(clerk)
    tasks = {task.title: task.count for task in second.get("/admin/").context["tasks"]}
    assert (tasks["待签字的日结"], tasks["待同意的重新打开"]) == (1, 0)
    sign(second)
    close = close_of(DAY)
    version = reverse("admin:reconciliation_dailyclose_change", args=[close.pk])
    assert f"{day_url(DAY)}#closing" in clerk.get(version).content.decode()
    post(clerk, "reconciledday_reopen", DAY.isoformat(), reason="漏了一笔")
    tasks = {task.title: task.count for task in second.get("/admin/").context["tasks"]}
    assert (tasks["待签字的日结"], tasks["待同意的重新打开"]) == (0, 1)
    line = next(line for line in month_of(DAY.strftime("%Y-%m")).days if line.day == DAY)
    assert "待同意重新打开" in line.closed
    wish = DayReopening.objects.get()
    review = reverse("admin:reconciliation_dayreopening_review", args=[wish.pk])
    listed = reverse("admin:reconciliation_dailyclose_changelist")
    for address in (version, listed):
        assert review in second.get(address).content.decode(), address


def close_task(browser: Client):
    """What the first page says of the day that is next to be closed."""
    tasks = browser.get("/admin/").context["tasks"]
    return next((task for task in tasks if task.url.startswith(day_url(DAY))), None)


def test_a_day_that_is_ready_proposes_itself_to_who_may_close_it(clerk, second):
    task = close_task(clerk)
    assert (task.title, task.count, task.is_urgent) == ("昨天可以日结", 1, False)
    assert task.url == f"{day_url(DAY)}#closing"
    assert close_task(browser_of(person_make("auditor"))) is None
    propose(clerk)
    assert "另一人签字" in close_task(clerk).note
    sign(second)
    assert close_task(clerk) is None


def test_a_day_that_is_late_is_urgent_and_says_what_stands_in_the_way(clerk):
    late = timedelta(hours=17, minutes=1)
    with clock.frozen(clock.day_start(DAY + ONE_DAY) + late):
        task = close_task(clerk)
        assert (task.title, task.count, task.is_urgent) == ("昨天可以日结", 1, True)
        assert "17:00" in task.note
        difference(compared(day=DAY))
        task = close_task(clerk)
        assert task.title == "待日结的营业日"
        assert "未处理的差异 1 项" in task.note
    with clock.frozen(clock.day_start(DAY + 2 * ONE_DAY) + late):
        assert close_task(clerk).count == 2


def test_an_empty_list_speaks_of_conditions_only_where_there_are_some(clerk):
    listed = reverse("admin:reconciliation_dailyclose_changelist")
    assert "清除条件" not in clerk.get(listed).content.decode()
    assert "清除条件" in clerk.get(f"{listed}?status__exact=pending").content.decode()


def test_without_a_reason_no_day_is_opened_again(clerk, second):
    propose(clerk)
    sign(second)
    assert "请写明原因" in post(clerk, "reconciledday_reopen", DAY.isoformat(), reason=" ")
    assert not DayReopening.objects.exists()


def test_the_page_of_a_close_shows_what_was_signed(clerk, second):
    propose(clerk)
    sign(second)
    close = close_of(DAY)
    answer = clerk.get(reverse("admin:reconciliation_dailyclose_change", args=[close.pk]))
    text = answer.content.decode()
    for part in (close.signature, "余额支付", "期初", "100.00"):
        assert part in text, part
    assert clerk.get(reverse("admin:reconciliation_dailyclose_changelist")).status_code == 200


def test_the_calendar_and_the_first_page_say_that_it_is_closed(clerk, second):
    reader = person_make("finance")
    [tile] = day_tiles(reader)
    assert (tile.day, tile.is_well) == (DAY, False)
    assert day_url(DAY) in clerk.get("/admin/").content.decode()
    propose(clerk)
    assert [one.state for one in day_tiles(reader)] == ["待签字"]
    sign(second)
    line = next(line for line in month_of(DAY.strftime("%Y-%m")).days if line.day == DAY)
    assert "已日结" in line.closed
    assert line.balance.state == CellState.AGREED
    assert [one.is_well for one in day_tiles(reader)] == [True]


def test_an_older_day_to_close_does_not_hide_yesterday():
    reader = person_make("finance")
    with clock.frozen(morning_after(DAY + ONE_DAY)):
        difference(compared(day=DAY + ONE_DAY))
        tiles = day_tiles(reader)
    assert {one.day: one.state for one in tiles} == {DAY: "待日结", DAY + ONE_DAY: "有差异"}


def test_figures_are_shown_as_money_under_names():
    close_figures = {
        "by_method": {"balance": {"receipts": "30.00"}},
        "by_type": {"other": {"receipts": "30.00"}},
        "by_service": {},
        "by_merchant": [],
        "net": "-1.50",
        "verified_share": "0.9988",
    }
    found = figures_shown(close_figures)
    assert found["net"] == Decimal("-1.50")
    assert found["methods"] == [("余额支付", {"receipts": Decimal("30.00")})]
    assert found["verified"] == "99.88%"


def test_money_that_only_a_mock_took_is_not_said_to_be_verified():
    sums = {"receipts": "20.00", "receipts_number": 1, "refunds": "0.00", "refunds_number": 0}
    told = {
        **{key: {} for key in ("by_method", "by_type", "by_service")},
        "by_merchant": [{"method": "wechat", "merchant": "", **sums}],
        "verified_share": "1.0000",
    }
    assert figures_shown(told)["verified"] == "模拟支付，不对账"
    told["by_merchant"].append({"method": "wechat", "merchant": "1900000109", **sums})
    assert figures_shown(told)["verified"] == "100%"


def test_a_report_of_any_span_agrees_with_its_closes(clerk, second):
    propose(clerk)
    sign(second)
    address = reverse("admin:reconciliation_dailyclose_report")
    answer = clerk.get(address, {"first": DAY.isoformat(), "last": (DAY + ONE_DAY).isoformat()})
    assert answer.context["total"]["receipts"] == Decimal("30.00")
    assert "其中 1 天未日结" in answer.content.decode()
    answer = clerk.get(address, {"first": (DAY - ONE_DAY).isoformat(), "last": DAY.isoformat()})
    assert "未日结" not in answer.content.decode(), "before the first money no day is to be closed"


@pytest.mark.parametrize("what", ["report", "vouchers"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_report_is_a_file_too(clerk, what, form):
    query = {"first": DAY.isoformat(), "what": what, "format": form}
    answer = clerk.get(reverse("admin:reconciliation_dailyclose_report_download"), query)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].endswith(f'.{form}"')
    assert b"".join(answer.streaming_content)


def test_no_other_file_is_made(clerk):
    address = reverse("admin:reconciliation_dailyclose_report_download")
    assert clerk.get(address, {"what": "x", "format": "csv"}).status_code == 404
