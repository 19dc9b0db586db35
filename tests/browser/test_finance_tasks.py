"""What finance does with gateways, prices and balances, in a browser."""

import uuid
from decimal import Decimal

import pytest

from balances.models import UserBalance
from balances.services import balance_top_up
from config.gateways import drafts
from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_configs_replace
from config.prices.selectors import price_in_force
from gateways.findings import Finding
from gateways.tests.kit import (
    MERCHANT_SERIAL,
    certificate_pem,
    private_pem,
    wechat_values,
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.browser.kit import follow

SECRET = "n" * 32
CERTIFICATE = certificate_pem("merchant", MERCHANT_SERIAL)


@pytest.fixture
def gateway(monkeypatch):
    monkeypatch.setattr(drafts, "probe_values", lambda *_asked: [Finding("ok", "", "签名查询成功")])
    values = {**wechat_values(), "platform_cert": ""}
    gateway_configs_replace(
        actor=SYSTEM, configs={"wechat": {k: v for k, v in values.items() if v}}
    )


def upload(page, key: str, name: str, text: str) -> None:
    page.set_input_files(
        f"input[name={key}_file]",
        {"name": name, "mimeType": "text/plain", "buffer": text.encode()},
    )


def test_a_gateway_is_drafted_tested_activated_and_rolled_back(desk, staff, gateway):
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url("admin:config_paymentconfig_changelist"))
    desk.look(page, "gateways")
    follow(page.get_by_role("link", name="打开微信支付配置"))
    before = page.input_value("#id_mch_id")

    # As it is typed: a key of another pair is told at once, with what to do.
    upload(page, "merchant_cert", "apiclient_cert.pem", CERTIFICATE)
    page.wait_for_selector("#field-merchant_cert .tcm-said-ok")
    page.fill("#id_private_key", private_pem("other"))
    page.wait_for_selector("#field-private_key .tcm-said-error")
    assert "不是一对" in page.locator("#field-private_key .tcm-said").inner_text()
    desk.look(page, "gateway-typed")
    page.fill("#id_private_key", "")
    # The serial is read from the certificate; no other field is touched by an upload.
    page.fill("#id_cert_serial_no", "")
    upload(page, "cert_serial_no", "apiclient_cert.pem", CERTIFICATE)
    page.wait_for_function("document.querySelector('#id_cert_serial_no').value.length === 40")
    assert (page.input_value("#id_mch_id"), page.input_value("#id_api_v3_key")) == (before, "")

    page.fill("#id_api_v3_key", SECRET)
    follow(page.get_by_role("button", name="保存并测试"))
    page.wait_for_selector(".tcm-result-good")
    assert SECRET not in page.content()
    page.get_by_label("启用原因").fill("换用新的 APIv3 密钥")
    desk.look(page, "gateway-tested")
    follow(page.get_by_role("button", name="启用草稿"))
    page.get_by_text("自下一笔支付起生效。如有问题").wait_for()
    assert gateway_config_current("wechat").values["api_v3_key"] == SECRET

    follow(page.get_by_role("link", name="恢复…").first)
    desk.look(page, "gateway-roll-back")
    page.get_by_label("恢复原因").fill("新密钥有误")
    follow(page.get_by_role("button", name="恢复版本"))
    page.get_by_text("已恢复版本").wait_for()
    assert gateway_config_current("wechat").values["api_v3_key"] == "k" * 32


def test_the_form_works_without_scripts_and_by_keyboard(desk, staff, gateway):
    page = desk.open(as_=staff("administrator"))
    page.route("**/gateway-form.js", lambda route: route.abort())
    with desk.watch.allowing("gateway-form.js"):
        page.goto(desk.url("admin:config_paymentconfig_gateway", "wechat"))
        upload(page, "private_key", "apiclient_key.pem", "not a key")
        follow(page.get_by_role("button", name="保存并测试"), key="Enter")
        page.wait_for_selector("#field-private_key .tcm-field-error")
        assert page.input_value("#id_private_key") == ""


def test_a_price_is_previewed_and_a_slip_waits_for_a_second_person(desk, staff):
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url("admin:config_priceconfig_service", "consultation"))
    follow(page.get_by_role("link", name="修改价格"))
    page.get_by_label("改价原因").fill("手误：多写一个零")
    page.fill("#id_price", "200.00")
    desk.look(page, "price-form")
    follow(page.get_by_role("button", name="预览效果"))
    assert "900.0%" in page.locator("body").inner_text()
    desk.look(page, "price-preview")
    follow(page.get_by_role("button", name="提交，等待第二人确认"))
    assert page.get_by_role("button", name="确认改价").count() == 0, "not one's own"
    waiting = page.url

    second = desk.open(as_=staff("administrator", "second"))
    second.goto(waiting)
    desk.look(second, "price-review")
    follow(second.get_by_role("button", name="确认改价"))
    second.get_by_text("起收 200.00 元").wait_for()
    desk.look(second, "price-service")
    assert price_in_force("consultation", clock.today()).amount == Decimal("200.00")
    second.goto(desk.url("admin:config_priceconfig_calendar"))
    desk.look(second, "price-calendar")


def test_a_balance_is_frozen_and_adjusted_by_two(desk, staff):
    user_id = uuid.uuid4()
    balance_top_up(user_id=user_id, amount=Decimal("50.00"), reason="开户", actor=SYSTEM)
    account = UserBalance.objects.get(user_id=user_id)
    clerk = desk.open(as_=staff("finance"))
    clerk.goto(desk.url("admin:balances_userbalance_change", account.pk))
    follow(clerk.get_by_role("link", name="冻结余额"))
    clerk.get_by_label("金额（元）").fill("80")
    clerk.get_by_label("原因").fill("投诉核查")
    follow(clerk.get_by_role("button", name="冻结", exact=True))
    clerk.get_by_text("余额不足").wait_for()
    desk.look(clerk, "balance-freeze-refused")
    clerk.get_by_label("金额（元）").fill("8")
    follow(clerk.get_by_role("button", name="冻结", exact=True))
    clerk.get_by_text("已冻结 8.00 元").wait_for()

    follow(clerk.get_by_role("link", name="调整余额"))
    clerk.get_by_label("方向").select_option("income")
    clerk.get_by_label("金额（元）").fill("12.34")
    clerk.get_by_label("原因").fill("线下多收")
    follow(clerk.get_by_role("button", name="提交复核"))
    clerk.get_by_text("由另一位有复核权限的同事处理后才会入账").wait_for()
    desk.look(clerk, "balance-account")

    reviewer = desk.open(as_=staff("reviewer"), width="phone")
    reviewer.goto(desk.url("admin:balances_balanceadjustment_changelist"))
    desk.look(reviewer, "balance-adjustments")
    follow(reviewer.get_by_role("link", name="复核", exact=True).first)
    desk.look(reviewer, "balance-review")
    follow(reviewer.get_by_role("button", name="批准"))
    reviewer.get_by_text("12.34 元已入账").wait_for()
    account.refresh_from_db()
    assert (account.balance, account.frozen_balance) == (Decimal("54.34"), Decimal("8.00"))
