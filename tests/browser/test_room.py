"""What people work with fits on a screen of 1440 px: no button, month or date beyond an edge."""

from datetime import timedelta

from config.models import PriceConfig
from refunds.services.requests import refund_review
from tcmpay.common import clock
from tests.browser.kit import follow
from tests.browser.test_every_page import CUT_TABLES
from tests.clinic import staff_actor_of, waiting_refund

OVERFLOWING = "one => one.scrollWidth > one.clientWidth"


def test_the_list_of_refunds_shows_its_buttons_also_those_for_a_second_person(
    desk, staff, settings
):
    settings.REFUND_SECOND_APPROVAL_OVER = 20
    refund = waiting_refund(reason="预约时间冲突，申请取消就诊" * 5)
    waiting_refund()
    refund_review(
        actor=staff_actor_of(staff("reviewer", "first")),
        refund_id=refund.pk,
        is_approved=True,
        notes="x",
    )
    page = desk.open(as_=staff("reviewer", "second"))
    page.goto(desk.url("admin:refunds_refund_changelist"))
    page.get_by_role("link", name="第二人审核").wait_for()
    assert page.evaluate(CUT_TABLES) == []
    desk.look(page, "refund-list-room")


def test_the_calendar_of_prices_shows_all_its_months(desk, staff):
    for number, price in enumerate(PriceConfig.objects.all()):
        price.expiry_date = clock.today() + timedelta(days=14 + number)
        price.save()
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url("admin:config_priceconfig_calendar"))
    assert page.locator(".tcm-calendar thead th").count() == 13
    assert page.evaluate(CUT_TABLES) == []
    desk.look(page, "price-calendar-room")


def test_the_preview_of_a_price_keeps_its_period_inside(desk, staff):
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url("admin:config_priceconfig_service", "consultation"))
    follow(page.get_by_role("link", name="修改价格"))
    page.get_by_label("改价原因").fill("x")
    page.fill("#id_price", "21.00")
    page.fill("#id_expiry_date", str(clock.today() + timedelta(days=30)))
    follow(page.get_by_role("button", name="预览效果"))
    period = page.locator(".tcm-facts dd", has_text="~")
    period.wait_for()
    assert not period.evaluate(OVERFLOWING)
    desk.look(page, "price-preview-room")
