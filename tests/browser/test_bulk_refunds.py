"""A cancelled clinic day in a browser: forty orders refunded in a few clicks, by two people."""

import pytest

from refunds.models import Refund, RefundBulk
from refunds.services.bulk_runs import bulk_run
from tests.browser.kit import follow
from tests.clinic import new_order, paid_order, patient

CLICKS_MAX = 6


class Clicks:
    """Clicks of one person, counted."""

    def __init__(self, page) -> None:
        self._page, self.count = page, 0

    def __call__(self, role: str, name: str) -> None:
        follow(self._page.get_by_role(role, name=name).first)
        self.count += 1


@pytest.fixture
def day() -> None:
    """Forty paid orders and one that is not."""
    for _number in range(40):
        paid_order()
    new_order(patient())


def test_a_day_of_forty_orders_takes_six_clicks_and_a_second_person(desk, staff, day):
    maker = desk.open(as_=staff("finance", username="chen", last_name="陈", first_name="财务"))
    click = Clicks(maker)
    # From the list as today's figures lead to it: the day's receipts.
    follow(maker.locator("a[href*='paid_on_from']", has_text="1,200.00").first)
    click.count += 1
    desk.look(maker, "orders-with-bulk")
    click("button", "按筛选条件批量退款")
    maker.get_by_label("退款原因").fill("张医生停诊")
    desk.look(maker, "bulk-preview")
    click("button", "提交 40 笔退款")
    maker.get_by_text("等待另一位同事复核后执行").wait_for()
    assert click.count <= CLICKS_MAX, click.count
    desk.look(maker, "bulk-waiting")

    bulk = RefundBulk.objects.get()
    reviewer = desk.open(as_=staff("reviewer", username="wang", last_name="王", first_name="复核"))
    follow(reviewer.get_by_role("link", name="待复核的批量退款").first)
    follow(reviewer.get_by_role("link", name="复核", exact=True).first)
    desk.look(reviewer, "bulk-review")
    follow(reviewer.get_by_role("button", name="同意退款"))
    reviewer.get_by_text("已同意，正在逐笔执行").wait_for()
    bulk_run(bulk_id=bulk.pk)
    maker.reload()
    maker.get_by_text("已申请并批准").first.wait_for()
    desk.look(maker, "bulk-finished")
    assert Refund.objects.filter(status="success").count() == 40


def test_an_orders_page_asks_for_a_refund(desk, staff):
    order = paid_order()
    page = desk.open(as_=staff("finance"))
    page.goto(desk.url("admin:payments_paymentorder_change", order.pk))
    follow(page.get_by_role("link", name="申请退款"))
    page.get_by_label("退款原因").fill("医生停诊")
    desk.look(page, "ask-refund")
    follow(page.get_by_role("button", name="预览"))
    desk.look(page, "ask-refund-preview")
    follow(page.get_by_role("button", name="申请退款"))
    page.get_by_text("等待另一位审核人").first.wait_for()
    assert Refund.objects.get().status == "pending"


def test_a_list_is_uploaded(desk, staff):
    order = paid_order()
    page = desk.open(as_=staff("finance"))
    page.goto(desk.url("admin:refunds_refundbulk_upload"))
    content = f"订单号,退款金额,退款原因\n{order.order_no},12.50,改期\nORDX,,\n".encode("gbk")
    page.set_input_files(
        "input[type=file]", {"name": "停诊.csv", "mimeType": "text/csv", "buffer": content}
    )
    desk.look(page, "bulk-upload")
    follow(page.get_by_role("button", name="上传并预演"))
    page.get_by_text("订单不存在").first.wait_for()
    desk.look(page, "bulk-uploaded")
