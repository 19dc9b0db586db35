"""The cashier in a real browser: paid at the stand-in gateways, on a desktop and on phones."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from payments.models import PaymentOrder, PaymentTransaction
from payments.services.endings import order_cancel, orders_expire
from payments.services.orders import OrderCommand, order_create
from tcmpay.accounts.services import token_issue
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.browser.kit import WAIT_MILLISECONDS, Desk, barriers, follow, press, too_wide_px
from tests.programs import stand_in_running
from tests.servers import free_port
from tests.trial.stage import StandInControl

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
IN_WECHAT = f"{PHONE} MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
# As our proxy tells it: WeChat refuses an h5 payment from the loopback.
PAYER = {"X-Forwarded-For": "14.23.150.211"}
SMALLEST = {"width": 360, "height": 740}
# What thumbs meet; the rest is what ``barriers`` looks for.
UNFIT = """() => {
    const small = one => one.getClientRects().length > 0
        && Math.min(one.getBoundingClientRect().height, one.getBoundingClientRect().width) < 44;
    const wrong = [...document.querySelectorAll('a, button')].filter(small);
    return [...wrong.map(one => `small: ${one.textContent.trim()}`),
        ...(document.querySelectorAll('h1').length === 1 ? [] : ['not one h1'])];
}"""


class Till:
    """The cashier with the stand-in gateways behind it."""

    def __init__(self, desk: Desk, stand_in: str) -> None:
        self.desk, self.stand_in = desk, stand_in
        self.owner = Actor(id=uuid.uuid4(), role=Role.PATIENT)

    def order(self) -> PaymentOrder:
        command = OrderCommand(
            user_id=self.owner.id,
            order_type="consultation",
            amount=Decimal("30.00"),
            description="乳腺外科复诊",
        )
        return order_create(actor=self.owner, command=command)

    def link(self, page: Page, order: PaymentOrder, **body: str) -> str:
        """As the platform's back end asks for it."""
        token = token_issue(user_id=uuid.uuid4(), role=Role.SERVICE, ttl_seconds=600)
        answer = page.request.post(
            f"{self.desk.origin}/api/v1/payment/orders/{order.id}/cashier",
            data=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.ok, answer.text()
        url: str = answer.json()["data"]["url"]
        return url

    def scan(self, order: PaymentOrder) -> None:
        """A phone scans the code that the page shows, and pays."""
        attempt = PaymentTransaction.objects.open().get(order=order)
        phone = self.desk.open(width="phone")
        phone.goto(f"{self.stand_in}/pay?code={quote(attempt.response_data['qr_code'], safe='')}")
        follow(phone.get_by_role("button", name="付款", exact=True))
        expect(phone.get_by_text("付款成功")).to_be_visible()

    def phone(self, agent: str = PHONE, **more: Any) -> Page:
        page = self.desk.open(width="phone", user_agent=agent, extra_http_headers=PAYER, **more)
        page.set_viewport_size(SMALLEST)
        return page


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("gateways")
    port = free_port()
    with stand_in_running(folder, port=port):
        StandInControl(port).ask("settings", h5_refuses_loopback=True)
        yield f"http://127.0.0.1:{port}", str(folder / "config.json")


@pytest.fixture
def till(desk: Desk, stand_in: tuple[str, str], settings: Any) -> Iterator[Till]:
    expect.set_options(timeout=WAIT_MILLISECONDS)
    settings.DEBUG = True  # the gateways' addresses are the stand-in's
    settings.TRUSTED_PROXY_HOPS = 1
    address, config = stand_in
    call_command("load_gateway_config", config, notify_base=desk.origin, verbosity=0)
    with desk.watch.allowing(f"another host: {address}"):
        yield Till(desk, address)


def fit(page: Page) -> None:
    assert too_wide_px(page) == 0
    assert page.evaluate(UNFIT) == []
    assert barriers(page) == []


def attempts_of(order: PaymentOrder) -> list[PaymentTransaction]:
    return list(PaymentTransaction.objects.filter(order=order).order_by("initiated_at"))


def test_on_a_desktop_the_code_is_scanned_and_the_page_knows_by_itself(till):
    page, order = till.desk.open(), till.order()
    page.goto(till.link(page, order, return_url=f"{till.desk.origin}/health/live?from=pay"))
    expect(page.locator("#left")).to_contain_text(re.compile(r"剩余 1:59:\d\d"))
    assert "乳腺" not in page.content()
    fit(page)
    # Pressed twice in one breath, and the same in another tab: one attempt.
    press(page.get_by_role("button", name="微信支付"), times=2)
    expect(page.get_by_role("img", name="微信支付二维码")).to_be_visible()
    fit(page)
    other = till.desk.open()
    other.goto(till.link(other, order))
    expect(other.get_by_role("img", name="微信支付二维码")).to_be_visible()
    assert len(attempts_of(order)) == 1
    till.scan(order)
    expect(other.get_by_role("heading", name="支付成功")).to_be_visible()
    # The one that knows where the payer came from goes back there, and stays only for seconds.
    page.wait_for_url("**/health/live?**")
    told = parse_qs(urlsplit(page.url).query)
    assert told == {"from": ["pay"], "order_id": [str(order.id)], "status": ["paid"]}


def test_alipays_page_the_back_button_and_the_other_tab(till):
    page, order = till.desk.open(scheme="dark", locale="en-GB"), till.order()
    link = till.link(page, order)
    page.goto(link)
    fit(page)
    other = till.desk.open()
    other.goto(link)
    press(other.get_by_role("button", name="微信支付"))
    expect(other.get_by_role("img", name="微信支付二维码")).to_be_visible()
    # The first tab notices, and chooses otherwise: then the code of the other one is gone.
    expect(page.get_by_role("img", name="WeChat Pay QR code")).to_be_visible()
    press(page.get_by_role("button", name="Alipay"))
    page.wait_for_url(f"{till.stand_in}/cashier?**")
    expect(other.get_by_role("img", name="微信支付二维码")).to_have_count(0)
    page.go_back()
    expect(page.get_by_role("heading", name="Not paid yet: you can go on")).to_be_visible()
    fit(page)
    press(page.get_by_role("button", name="Alipay"))
    page.wait_for_url(f"{till.stand_in}/cashier?**")
    follow(page.get_by_role("button", name="付款", exact=True))
    # Alipay leads back; what it adds to the address is left behind.
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert page.url == link
    assert [attempt.status for attempt in attempts_of(order)] == ["failed", "success"]
    fit(page)


@pytest.mark.parametrize("way", ["微信支付", "支付宝"])
def test_on_a_phone_of_360_px(till, way):
    page, order = till.phone(scheme="dark" if way == "支付宝" else "light"), till.order()
    link = till.link(page, order)
    page.goto(link)
    fit(page)
    press(page.get_by_role("button", name=way))
    page.wait_for_url(f"{till.stand_in}/**")
    follow(page.get_by_role("button", name="付款", exact=True))
    expect(page.get_by_role("heading", name="支付成功")).to_be_visible()
    assert page.url == link
    fit(page)
    [attempt] = attempts_of(order)
    assert attempt.scene == ("h5" if way == "微信支付" else "wap")


def test_an_h5_payment_over_the_api_comes_back_to_its_return_url(till):
    """Without our page: a phone's browser is led to WeChat and back to the platform."""
    page, order = till.phone(), till.order()
    token = token_issue(user_id=till.owner.id, role=Role.PATIENT, ttl_seconds=600)
    api, bearer = f"{till.desk.origin}/api/v1/payment", {"Authorization": f"Bearer {token}"}
    back = f"{till.desk.origin}/health/live"
    body = {"order_id": str(order.id), "payment_method": "wechat", "scene": "h5"}
    started = page.request.post(f"{api}/pay", data=body | {"return_url": back}, headers=bearer)
    assert started.ok, started.text()
    page.goto(started.json()["data"]["payment_url"])
    assert page.url.startswith(till.stand_in)
    assert too_wide_px(page) == 0
    follow(page.get_by_role("button", name="付款", exact=True))
    page.wait_for_url(back)
    # Coming back proves nothing: the platform asks, or is told meanwhile.
    asked = page.request.post(f"{api}/orders/{order.id}/sync", headers=bearer)
    assert asked.json()["data"]["status"] == "paid"


def test_inside_wechat(till):
    page, order = till.phone(IN_WECHAT), till.order()
    # WeChat's own bridge: pays at the stand-in what it was handed.
    page.expose_function("payAtStandIn", lambda: _pay_at_stand_in(till, page, order))
    page.add_init_script(
        "window.WeixinJSBridge = {invoke: async (name, fields, then) => {"
        " await window.payAtStandIn(); then({err_msg: 'get_brand_wcpay_request:ok'}); }}"
    )
    page.goto(till.link(page, order))
    expect(page.get_by_text("在浏览器打开")).to_be_visible()
    fit(page)
    page.goto(till.link(page, order, openid=OPENID))
    press(page.get_by_role("button", name="微信支付"))
    expect(page.get_by_role("heading", name="支付成功")).to_be_visible()
    fit(page)


def _pay_at_stand_in(till: Till, page: Page, order: PaymentOrder) -> None:
    body = {"channel": "wechat", "out_trade_no": order.order_no}
    assert page.request.post(f"{till.stand_in}/_control/pay", data=body).ok


def test_a_lost_network_a_gateway_that_is_down_and_an_order_that_ends(till):
    page, order = till.phone(), till.order()
    page.goto(till.link(page, order))
    with till.desk.watch.allowing("ERR_INTERNET_DISCONNECTED", "503"):
        page.context.set_offline(True)
        press(page.get_by_role("button", name="支付宝"))
        expect(page.get_by_text("网络连接中断")).to_be_visible()
        fit(page)
        page.context.set_offline(False)
        expect(page.get_by_text("网络连接中断")).to_have_count(0)
        faults = {"percent": {"error_before": 100}}
        page.request.post(f"{till.stand_in}/_control/faults", data=faults)
        press(page.get_by_role("button", name="微信支付"))
        expect(page.get_by_text("支付渠道暂时不可用")).to_be_visible()
        page.request.post(f"{till.stand_in}/_control/faults", data={"clear": True})
    order_cancel(actor=till.owner, order_id=order.id)
    expect(page.get_by_role("heading", name="订单已取消")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    fit(page)


def test_an_order_whose_time_runs_out_under_the_eyes_of_its_payer(till):
    page, order = till.phone(), till.order()
    link = till.link(page, order)
    ends = clock.now() + timedelta(seconds=4)
    PaymentOrder.objects.filter(pk=order.pk).update(expire_time=ends)
    page.goto(link)
    expect(page.get_by_role("heading", name="正在确认结果")).to_be_visible()
    expect(page.get_by_role("button", name="支付宝")).to_have_count(0)
    fit(page)
    orders_expire()
    expect(page.get_by_role("heading", name="订单已过期")).to_be_visible()
    fit(page)
    with till.desk.watch.allowing("404"):
        page.goto(f"{link}x")
        expect(page.get_by_role("heading", name="链接无效或已失效")).to_be_visible()
        fit(page)


def test_without_scripts(till):
    page, order = till.desk.open(java_script_enabled=False), till.order()
    link = till.link(page, order)
    page.goto(link)
    follow(page.get_by_role("button", name="支付宝"))
    follow(page.get_by_role("link", name="前往支付宝"))
    follow(page.get_by_role("button", name="付款", exact=True))
    expect(page.get_by_role("heading", name="支付成功")).to_be_visible()
    assert page.url == link
