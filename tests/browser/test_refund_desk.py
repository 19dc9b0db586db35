"""Reviewing refunds in a browser, as reviewers do it: one, several, two people, two at once."""

from datetime import timedelta

import pytest

from refunds.models import Refund, RefundBatch, RefundNote, RefundPolicyRule
from refunds.services.batches import batch_run
from refunds.services.requests import refund_review
from tcmpay.common import clock
from tests.browser.conftest import PASSWORD
from tests.browser.kit import follow, press
from tests.clinic import staff_actor_of, waiting_refund

NOTES = "审核备注"


def review(desk, page, refund):
    page.goto(desk.url("admin:refunds_refund_review", refund.pk))


def test_from_sign_in_to_an_approved_refund_in_four_clicks_and_a_note(desk, staff):
    refund = waiting_refund()
    reviewer = staff("reviewer", last_name="林审核")
    page = desk.open()
    clicks = 0

    def click(locator):
        nonlocal clicks
        clicks += 1
        follow(locator)

    page.goto(desk.url("admin:login"))
    page.locator("#id_username").fill(reviewer.username)
    page.locator("#id_password").fill(PASSWORD)
    click(page.get_by_role("button", name="登录"))
    click(page.get_by_role("link", name="待审核的退款"))
    click(page.get_by_role("link", name="审核", exact=True))
    page.get_by_label(NOTES).fill("核对无误")
    click(page.get_by_role("button", name="批准退款 30.00 元"))
    page.get_by_text("款项已退回用户余额").wait_for()
    refund.refresh_from_db()
    assert (refund.status, refund.reviewed_by, refund.review_notes) == (
        "success", reviewer.pk, "核对无误",
    )  # fmt: skip
    assert clicks <= 4


def test_it_proposes_by_the_rules_and_a_phrase_rejects(desk, staff):
    RefundPolicyRule(
        order_type="appointment", hours_from=2, hours_to=24, percentage=80, description="当日取消"
    ).save()
    RefundNote(decision="reject", text="已开始就诊，按规则不退").save()
    soon = (clock.now() + timedelta(hours=5)).isoformat()
    refund = waiting_refund(metadata={"appointment_time": soon})
    page = desk.open(as_=staff("reviewer"))
    review(desk, page, refund)
    page.get_by_text("按规则可退 80%：24.00 元").wait_for()
    page.get_by_text("申请金额比规则多 6.00 元").wait_for()
    desk.look(page, "refund-review")
    follow(page.get_by_role("button", name="驳回", exact=True))
    page.get_by_text("驳回时请写明原因").wait_for()
    page.get_by_label("常用语").select_option(label="已开始就诊，按规则不退")
    assert page.get_by_label(NOTES).input_value() == "已开始就诊，按规则不退"
    follow(page.get_by_role("button", name="驳回", exact=True))
    page.get_by_text("已驳回退款").wait_for()
    refund.refresh_from_db()
    assert (refund.status, refund.review_notes) == ("cancelled", "已开始就诊，按规则不退")


def test_asking_for_less_makes_the_reviewer_the_one_who_asks(desk, staff):
    RefundPolicyRule(percentage=50).save()
    refund = waiting_refund()
    reviewer = staff("reviewer")
    page = desk.open(as_=reviewer)
    review(desk, page, refund)
    press(page.get_by_text("改按其他金额退"))
    follow(page.get_by_role("button", name="驳回并另行申请"))
    page.get_by_text("等待另一位审核人").first.wait_for()
    new = Refund.objects.exclude(pk=refund.pk).get()
    refund.refresh_from_db()
    assert (refund.status, new.status, str(new.refund_amount), new.requested_by) == (
        "cancelled", "pending", "15.00", reviewer.pk,
    )  # fmt: skip
    review(desk, page, new)
    assert page.get_by_role("button", name="批准退款").is_disabled()
    page.get_by_text("须由另一位审核人处理").wait_for()


def test_several_at_once_with_sums_and_a_result_for_each(desk, staff):
    reviewer = staff("reviewer")
    refunds = [waiting_refund(amount) for amount in ("10.00", "20.00", "12.50")]
    own = waiting_refund("8.00", asker=staff_actor_of(reviewer), reason="客服代患者申请")
    page = desk.open(as_=reviewer)
    page.goto(desk.url("admin:refunds_refund_queue"))
    assert page.get_by_label(f"选择 {own.refund_no}").is_disabled()
    desk.look(page, "refund-queue")
    for refund in refunds:
        page.get_by_label(f"选择 {refund.refund_no}").check()
    page.get_by_text("已选 3 笔，共 42.50 元").wait_for()
    follow(page.get_by_role("button", name="预览所选"))
    page.get_by_role("row", name="合计 3 42.50").wait_for()
    desk.look(page, "refund-batch-preview")
    page.get_by_label(NOTES).fill("医生停诊")
    follow(page.get_by_role("button", name="批准这 3 笔"))
    page.get_by_text("0 / 3 笔").wait_for()
    # Meanwhile another person decides about one of them.
    other = staff("reviewer", "wang", last_name="王", first_name="复核")
    refund_review(
        actor=other.as_actor(), refund_id=refunds[1].pk, is_approved=False, notes="重复申请"
    )
    batch_run(batch_id=RefundBatch.objects.get().pk)
    page.get_by_text("3 / 3 笔").wait_for()  # the page asks by itself
    page.get_by_text("备注：重复申请").wait_for()
    desk.look(page, "refund-batch-result")
    states = [Refund.objects.get(pk=refund.pk).status for refund in refunds]
    assert states == ["success", "cancelled", "success"]


def test_a_large_one_waits_in_the_second_queue_for_another_person(desk, staff, settings):
    settings.REFUND_SECOND_APPROVAL_OVER = 20
    refund = waiting_refund("25.00")
    first, second = staff("reviewer", "lin", last_name="林审核"), staff("reviewer", "wang")
    page = desk.open(as_=first)
    review(desk, page, refund)
    follow(page.get_by_role("button", name="批准退款 25.00 元"))
    page.get_by_text("还需另一位审核人批准").wait_for()
    review(desk, page, refund)
    assert page.get_by_role("button", name="批准退款").is_disabled()
    other = desk.open(as_=second)
    other.goto(desk.url("admin:refunds_refund_queue"))
    follow(other.get_by_role("link", name="待二审 1"))
    other.get_by_text("林审核 已批准，您是第二位").wait_for()
    desk.look(other, "refund-queue-second")
    follow(other.get_by_role("link", name="审核", exact=True))
    follow(other.get_by_role("button", name="批准退款 25.00 元"))
    other.get_by_text("款项已退回用户余额").wait_for()
    refund.refresh_from_db()
    assert (refund.status, refund.reviewed_by) == ("success", second.pk)


def test_of_two_reviewers_at_once_one_wins_and_the_other_sees_who_and_what(desk, staff):
    refund = waiting_refund()
    one = desk.open(as_=staff("reviewer", "lin", last_name="林审核"))
    other = desk.open(as_=staff("reviewer", "wang", last_name="王复核"))
    review(desk, one, refund)
    review(desk, other, refund)
    other.get_by_label(NOTES).fill("同意")
    one.get_by_label(NOTES).fill("已就诊，不退")
    follow(one.get_by_role("button", name="驳回", exact=True))
    one.get_by_text("已驳回退款").wait_for()
    follow(other.get_by_role("button", name="批准退款"))
    other.get_by_text("您的操作没有生效").wait_for()
    decision = other.locator("[data-test=decision]").inner_text()
    for fact in ("林审核", "驳回", "已就诊，不退"):
        assert fact in decision
    desk.look(other, "refund-review-decided")
    refund.refresh_from_db()
    assert refund.status == "cancelled"


def test_empty_queues_say_what_to_do(desk, staff):
    page = desk.open(as_=staff("finance"))
    page.goto(desk.url("admin:refunds_refund_queue"))
    page.get_by_text("没有等待审核的退款").wait_for()
    desk.look(page, "refund-queue-empty")


def test_it_works_by_keyboard_and_without_scripts(desk, staff):
    refund = waiting_refund()
    page = desk.open(as_=staff("reviewer"))
    page.route("**/desk.js", lambda route: route.fulfill(body=""))
    page.goto(desk.url("admin:refunds_refund_queue"))
    box = page.get_by_label(f"选择 {refund.refund_no}")
    box.focus()
    page.keyboard.press("Space")
    follow(page.get_by_role("button", name="预览所选"), key="Enter")
    page.get_by_label(NOTES).focus()
    page.keyboard.type("好")
    page.keyboard.press("Tab")
    follow(page.locator(":focus"), key="Enter")
    page.get_by_text("0 / 1 笔").wait_for()
    batch_run(batch_id=RefundBatch.objects.get().pk)
    page.reload()
    page.get_by_text("1 / 1 笔").wait_for()


@pytest.mark.parametrize(
    "name", ["refundpolicyrule_changelist", "refundpolicyrule_add", "refundnote_changelist",
             "refundbatch_changelist"]
)  # fmt: skip
def test_the_pages_around_it_open(desk, staff, name):
    RefundPolicyRule(order_type="appointment", hours_from=24, percentage=100).save()
    RefundPolicyRule(order_type="appointment", hours_to=0, percentage=0).save()
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url(f"admin:refunds_{name}"))
    desk.look(page, name)
