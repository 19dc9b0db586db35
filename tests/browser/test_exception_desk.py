"""Working on cases of money in a browser: owning one, giving money back, writing off by two."""

import pytest

from payments.models import PaymentException
from refunds.models import Refund
from refunds.services.submission import refunds_sweep
from tests.browser.kit import follow, press
from tests.clinic import late_case, unknown_case


@pytest.fixture(autouse=True)
def held(settings):
    settings.LATE_PAYMENT_POLICY = "hold"


def case_page(desk, page, case):
    page.goto(desk.url("admin:payments_paymentexception_change", case.pk))


def act(page, title, reason):
    press(page.locator("summary", has_text=title))
    form = page.locator("details[open] form", has=page.get_by_role("button", name=title))
    form.get_by_label("说明").fill(reason)
    follow(form.get_by_role("button", name=title))


def test_claim_a_case_and_give_the_money_back(desk, staff):
    case = late_case()
    reviewer = staff("reviewer", last_name="林审核")
    page = desk.open(as_=reviewer)
    page.goto(desk.url("admin:payments_paymentexception_changelist", query="?case=open"))
    desk.look(page, "exceptions")
    case_page(desk, page, case)
    page.get_by_text("订单已取消或过期之后，用户的付款才到账").wait_for()
    follow(page.get_by_role("button", name="认领"))
    page.get_by_text("这项差错现在由您负责").wait_for()
    desk.look(page, "exception-late")
    act(page, "原路退回", "联系付款人后退回")
    page.get_by_text("到账后差错自动了结").first.wait_for()
    assert page.locator("summary", has_text="原路退回").count() == 0, "not offered twice"
    refunds_sweep()
    case.refresh_from_db()
    refund = Refund.objects.get()
    assert (refund.status, refund.reviewed_by, case.outcome) == (
        "success", reviewer.pk, "settled",
    )  # fmt: skip
    page.reload()
    page.get_by_text("自动了结").first.wait_for()


def test_a_write_off_needs_a_second_person(desk, staff):
    case = unknown_case()
    first, second = staff("reviewer", "lin", last_name="林审核"), staff("reviewer", "wang")
    page = desk.open(as_=first)
    case_page(desk, page, case)
    act(page, "申请核销", "其他系统的收款，已核对")
    page.get_by_text("等待另一人确认").first.wait_for()
    assert page.get_by_role("button", name="确认核销").is_disabled()
    other = desk.open(as_=second)
    case_page(desk, other, case)
    desk.look(other, "exception-write-off")
    follow(other.get_by_role("button", name="确认核销"))
    other.get_by_text("已确认核销").wait_for()
    ending = other.locator("[data-test=ending]").inner_text()
    assert "已核销" in ending
    assert "林审核" in ending
    case.refresh_from_db()
    assert (case.outcome, case.write_off_by, case.closed_by) == (
        "written_off", first.pk, second.pk,
    )  # fmt: skip


def test_of_two_people_at_one_case_one_wins_and_the_other_sees_who(desk, staff):
    case = unknown_case()
    one = desk.open(as_=staff("reviewer", "lin", last_name="林审核"))
    other = desk.open(as_=staff("reviewer", "wang", last_name="王复核"))
    case_page(desk, one, case)
    case_page(desk, other, case)
    follow(one.get_by_role("button", name="认领"))
    one.get_by_text("这项差错现在由您负责").wait_for()
    act(other, "申请核销", "不知情")
    other.get_by_text("林审核 已认领这项差错").wait_for()
    assert PaymentException.objects.get().write_off_by is None
    act(one, "申请核销", "已在商户平台退回")
    one.get_by_text("等待另一人确认").first.wait_for()
    case_page(desk, other, case)
    follow(other.get_by_role("button", name="确认核销"))
    other.get_by_text("已确认核销").wait_for()
    assert "已在商户平台退回" in other.locator("[data-test=ending]").inner_text()


def test_who_may_only_look_is_offered_nothing(desk, staff):
    case = unknown_case()
    page = desk.open(as_=staff("finance"))
    case_page(desk, page, case)
    page.get_by_text("处理差错需要审核角色").wait_for()
    assert page.locator(".tcm-actions details").count() == 0
