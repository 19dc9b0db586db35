"""Differences are dealt with from their day's page: a preview, one confirmation, a result each."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from backoffice.cases import actions
from backoffice.reconciliation import mending
from backoffice.reconciliation.tests.kit import compared, difference
from backoffice.reconciliation.words import day_url
from payments.states import ExceptionOutcome
from reconciliation.states import DifferenceType
from tests.authority.staff import browser_of, person_make

pytestmark = pytest.mark.django_db
REASON = "已与合同费率核对"


@pytest.fixture
def reviewer() -> Client:
    return browser_of(person_make("reviewer"))


@pytest.fixture
def row():
    return compared()


def preview(browser: Client, row, *found, action: str = "own"):
    keys = [str(one.pk) for one in found]
    address = reverse("admin:reconciliation_reconciledday_mend", args=[row.day.isoformat()])
    return browser.post(address, {"difference": keys, "action": action})


def mend(browser: Client, row, *found, action: str = "own", reason: str = REASON) -> str:
    """Confirm what the preview showed; the page that tells the results."""
    seen = [step.key for step in preview(browser, row, *found, action=action).context["steps"]]
    return confirm(browser, row, *found, seen=seen, action=action, reason=reason)


def confirm(browser: Client, row, *found, seen, action: str = "own", reason: str = REASON) -> str:
    address = reverse("admin:reconciliation_reconciledday_mend", args=[row.day.isoformat()])
    keys = [str(one.pk) for one in found]
    form = {"difference": keys, "seen": seen, "action": action, "reason": reason}
    answer = browser.post(address, form)
    if answer.status_code == 302:
        answer = browser.get(answer.headers["Location"].partition("#")[0])
    return answer.content.decode()


def outcome(found) -> str:
    found.case.refresh_from_db()
    return found.case.outcome


def test_several_are_dealt_with_at_once_each_in_its_own_way(reviewer, row):
    fee, other_day = difference(row), difference(row, DifferenceType.WRONG_DAY)
    twice = difference(row, DifferenceType.DUPLICATE)
    text = mend(reviewer, row, fee, other_day, twice)
    assert outcome(fee) == outcome(other_day) == ExceptionOutcome.RECORDED
    assert fee.case.resolution == REASON
    assert outcome(twice) == ExceptionOutcome.NONE
    assert twice.case.is_waiting, "another person has to confirm that it is written off"
    assert text.count("已按账单记录，差错已结束") == 2
    assert "等待另一人确认" in text
    assert "逐项结果" not in reviewer.get(day_url(row.day)).content.decode(), "told once"


def test_a_second_person_confirms_what_was_written_off(reviewer, row):
    found = difference(row, DifferenceType.DUPLICATE)
    mend(reviewer, row, found)
    assert preview(reviewer, row, found).context["able"] == [], "not one's own"
    mend(browser_of(person_make("reviewer")), row, found)
    assert outcome(found) == ExceptionOutcome.WRITTEN_OFF


def test_the_second_person_confirms_on_the_day_s_page_where_the_reason_stands(reviewer, row):
    found = difference(row, DifferenceType.DUPLICATE)
    mend(reviewer, row, found)
    second = browser_of(person_make("reviewer"))
    button = f'form="confirm-{found.pk}"'
    assert button not in reviewer.get(day_url(row.day)).content.decode()
    text = second.get(day_url(row.day)).content.decode()
    assert button in text
    assert f"申请核销：{REASON}" in text
    seen = [f"{found.pk}=confirm"]
    assert "请写明核对结果" not in confirm(reviewer, row, found, seen=seen, reason="")
    assert outcome(found) == ExceptionOutcome.NONE, "not one's own"
    assert "已确认核销" in confirm(second, row, found, seen=seen, reason="")
    assert outcome(found) == ExceptionOutcome.WRITTEN_OFF


def test_all_that_is_open_is_previewed_and_confirmed_with_one_click_each(reviewer, row):
    found = [difference(row, DifferenceType.DUPLICATE), difference(row, DifferenceType.DUPLICATE)]
    address = reverse("admin:reconciliation_reconciledday_mend", args=[row.day.isoformat()])
    assert f"{address}?every=1" in reviewer.get(day_url(row.day)).content.decode()
    steps = reviewer.get(address, {"every": "1"}).context["steps"]
    assert {step.line.row.pk for step in steps} == {one.pk for one in found}
    confirm(reviewer, row, *found, seen=[step.key for step in steps])
    assert "confirm-all" not in reviewer.get(day_url(row.day)).content.decode(), "not one's own"
    second = browser_of(person_make("reviewer"))
    lines = second.get(day_url(row.day)).context["day"].to_confirm
    confirm(second, row, *found, seen=[line.seen for line in lines], reason="")
    assert {outcome(one) for one in found} == {ExceptionOutcome.WRITTEN_OFF}


def test_one_action_is_chosen_for_all(reviewer, row):
    fee, state = difference(row), difference(row, DifferenceType.STATE)
    mend(reviewer, row, fee, state, action="write_off")
    fee.case.refresh_from_db()
    state.case.refresh_from_db()
    assert fee.case.is_waiting
    assert state.case.is_waiting


def test_what_no_action_fits_is_left_out_and_says_so(reviewer, row):
    fee, foreign = difference(row), difference(row, DifferenceType.FOREIGN)
    answer = preview(reviewer, row, fee, foreign)
    assert [step.line.row.pk for step in answer.context["able"]] == [fee.pk]
    assert "要逐项选择订单" in answer.content.decode()
    mend(reviewer, row, fee, foreign)
    assert outcome(foreign) == ExceptionOutcome.NONE


def test_what_has_to_be_matched_one_by_one_can_be_written_off_together(reviewer, row):
    found = [difference(row, DifferenceType.FOREIGN) for _ in range(2)]
    page = reviewer.get(day_url(row.day)).content.decode()
    assert "disabled title" not in page, "each can be selected"
    mend(reviewer, row, *found, action="write_off")
    for one in found:
        one.case.refresh_from_db()
        assert one.case.is_waiting, "each has its own second person"


def test_as_many_as_a_page_shows_are_previewed_and_the_rest_is_said(reviewer, row, monkeypatch):
    found = [difference(row, has_case=False) for _ in range(130)]
    answer = preview(reviewer, row, *found)
    assert len(answer.context["steps"]) == 130
    monkeypatch.setattr(mending, "ROWS_MAX", 100)
    assert "一次最多处理 100 项，其余 30 项" in preview(reviewer, row, *found).content.decode()


def test_money_that_may_still_arrive_says_when_it_has_to_be_dealt_with(reviewer, row):
    found = difference(row, DifferenceType.FUND_MISSING, has_case=False)
    due = f"{row.day + timedelta(days=3)} 起仍未到的转入差错"
    assert due in reviewer.get(day_url(row.day)).content.decode()
    assert due in preview(reviewer, row, found).content.decode()


def test_all_that_is_open_is_named_beside_what_is_selected(reviewer, row):
    difference(row)
    difference(row, DifferenceType.FUND_MISSING, has_case=False)
    assert "已选 {count} / 2 项" in reviewer.get(day_url(row.day)).content.decode()


def test_without_a_reason_nothing_is_done(reviewer, row):
    fee = difference(row)
    assert "请写明核对结果" in mend(reviewer, row, fee, reason=" ")
    assert outcome(fee) == ExceptionOutcome.NONE


def test_what_changed_since_the_preview_is_not_done(reviewer, row):
    found = difference(row, DifferenceType.DUPLICATE)
    seen = [step.key for step in preview(reviewer, row, found).context["steps"]]
    mend(browser_of(person_make("reviewer")), row, found)
    text = confirm(reviewer, row, found, seen=seen)
    assert "预览之后情况有变化" in text
    assert outcome(found) == ExceptionOutcome.NONE


def test_one_that_somebody_else_took_does_not_hold_up_the_others(reviewer, row):
    first, second = difference(row), difference(row)
    seen = [step.key for step in preview(reviewer, row, first, second).context["steps"]]
    mend(browser_of(person_make("reviewer")), row, first)
    text = confirm(reviewer, row, first, second, seen=seen)
    assert "已处理" in text
    assert outcome(second) == ExceptionOutcome.RECORDED


def test_an_error_in_one_row_does_not_take_the_results_of_the_others(reviewer, row, monkeypatch):
    first, second = difference(row), difference(row)
    real = actions.exception_record

    def record(*, exception_id, **more):
        if exception_id == first.case_id:
            raise RuntimeError
        return real(exception_id=exception_id, **more)

    monkeypatch.setattr(actions, "exception_record", record)
    text = mend(reviewer, row, first, second)
    assert "系统错误，没有执行" in text
    assert outcome(second) == ExceptionOutcome.RECORDED


def test_a_slow_gateway_does_not_hold_up_the_page(reviewer, row, monkeypatch):
    fee = difference(row)
    monkeypatch.setattr(mending, "SECONDS_MAX", -1.0)
    assert "网关答复太慢" in mend(reviewer, row, fee)
    assert outcome(fee) == ExceptionOutcome.NONE


def test_another_days_difference_is_not_dealt_with_here(reviewer, row):
    other = difference(compared(day=row.day - timedelta(days=1)))
    assert preview(reviewer, row, other).status_code == 302


def test_nothing_selected_leads_back(reviewer, row):
    assert preview(reviewer, row).status_code == 302


def test_a_case_shows_the_difference_that_it_is_about(reviewer, row):
    found = difference(row)
    text = reviewer.get(
        reverse("admin:payments_paymentexception_change", args=[found.case_id])
    ).content.decode()
    assert day_url(row.day) in text
    assert "账单第 2 行" in text
