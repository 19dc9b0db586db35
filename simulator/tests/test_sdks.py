"""Other people's client libraries, pointed at the stand-in (see sdk-notes.md for how)."""

import gzip
import importlib
import json
import logging.config
import os
import time
from datetime import datetime

import pytest

from simulator.tests.clients import BEIJING, number

wechatpayv3 = pytest.importorskip("wechatpayv3")


def import_alipay():
    """Importing it reconfigures logging for the whole process (sdk-notes.md 3.1)."""
    kept = logging.config.dictConfig
    logging.config.dictConfig = lambda *arguments, **named: None
    try:
        return pytest.importorskip("alipay")
    finally:
        logging.config.dictConfig = kept


def wechat_client(stand_in, monkeypatch, mode="pubkey"):
    config = stand_in.config
    options = {
        "wechatpay_type": wechatpayv3.WeChatPayType.NATIVE,
        "mchid": config.wechat["mchid"],
        "private_key": config.pem(config.wechat["merchant_private_key_file"]).decode(),
        "cert_serial_no": config.wechat["merchant_serial_no"],
        "apiv3_key": config.wechat["apiv3_key"],
        "appid": config.wechat["appid"],
        "notify_url": "http://127.0.0.1:9/notify",
        "timeout": 5,
    }
    if mode == "pubkey":
        options["public_key"] = config.pem(config.wechat["platform_public_key_file"]).decode()
        options["public_key_id"] = config.wechat["public_key_id"]
        client = wechatpayv3.WeChatPay(**options)
        client._core._gate_way = config.wechat["base_url"]
        return client
    core = importlib.import_module("wechatpayv3.core")

    class Redirected(core.Core):  # type: ignore[name-defined]
        def _init_certificates(self):
            self._gate_way = config.wechat["base_url"]
            super()._init_certificates()

    monkeypatch.setattr(core, "Core", Redirected)
    return wechatpayv3.WeChatPay(**options)


@pytest.fixture(params=["pubkey", "cert", "mixed-pubkey", "mixed-cert"])
def either(request, stand_in, mixed, start, monkeypatch):
    """The SDK in both modes, against stand-ins of both kinds and in the middle of a migration."""
    if request.param == "pubkey":
        yield stand_in, wechat_client(stand_in, monkeypatch)
    elif request.param == "cert":
        with start(sign_mode="cert", refund_delay_seconds=0.02) as certified:
            yield certified, wechat_client(certified, monkeypatch, "cert")
    else:
        mode = request.param.removeprefix("mixed-")
        mixed.control("settings", mixed_pubkey_percent=100 if mode == "pubkey" else 0)
        yield mixed, wechat_client(mixed, monkeypatch, mode)
        mixed.control("settings", mixed_pubkey_percent=50)


def test_wechatpayv3_pays_queries_refunds_and_fetches_the_bill(either, listener):
    stand_in, client = either
    out_trade_no, out_refund_no = number(), number("R")
    url = listener.address((200, b""))
    code, body = client.pay(
        description="在线问诊", out_trade_no=out_trade_no, amount={"total": 3000}, notify_url=url
    )
    assert (code, list(json.loads(body))) == (200, ["code_url"])
    stand_in.control("pay", channel="wechat", out_trade_no=out_trade_no)
    notice = listener.next(url)
    called = client.callback(dict(notice.headers.items()), notice.body.decode())
    assert called["resource"]["out_trade_no"] == out_trade_no
    code, body = client.query(out_trade_no=out_trade_no)
    assert json.loads(body)["trade_state"] == "SUCCESS"
    code, body = client.close(out_trade_no=out_trade_no)
    assert (code, json.loads(body)["code"]) == (400, "ORDERPAID")
    amount = {"refund": 1000, "total": 3000, "currency": "CNY"}
    code, body = client.refund(
        out_refund_no=out_refund_no, amount=amount, out_trade_no=out_trade_no, notify_url=url
    )
    assert json.loads(body)["status"] == "PROCESSING"
    notice = listener.next(url)
    called = client.callback(dict(notice.headers.items()), notice.body.decode())
    assert called["resource"]["refund_status"] == "SUCCESS"
    code, body = client.query_refund(out_refund_no=out_refund_no)
    assert json.loads(body)["status"] == "SUCCESS"
    today = datetime.now(BEIJING).strftime("%Y-%m-%d")
    code, body = client.trade_bill(bill_date=today)
    code, content = client.download_bill(json.loads(body)["download_url"])
    assert out_trade_no in gzip.decompress(content).decode("utf-8-sig")


def test_wechatpayv3_closes_and_reads_the_signed_204(stand_in, monkeypatch):
    client = wechat_client(stand_in, monkeypatch)
    out_trade_no = number()
    client.pay(description="问诊", out_trade_no=out_trade_no, amount={"total": 1})
    assert client.close(out_trade_no=out_trade_no)[0] == 204


def test_wechatpayv3_repairs_an_abnormal_refund(stand_in, wechat, paid, monkeypatch):
    client = wechat_client(stand_in, monkeypatch)
    stand_in.control("settings", refund_delay_seconds=60)
    body = wechat.refund_body(paid, 3000)
    refund = wechat.refund(body).json
    key = {"channel": "wechat", "out_trade_no": paid["out_trade_no"]}
    stand_in.control("settle", **key, out_refund_no=body["out_refund_no"], status="ABNORMAL")
    code, text = client.abnormal_refund(
        refund["refund_id"], body["out_refund_no"], "USER_BANK_CARD", "ICBC_DEBIT",
        "6222020200001234", "张三",
    )  # fmt: skip
    assert (code, json.loads(text)["status"]) == (200, "PROCESSING")


@pytest.mark.parametrize("twist", ["tampered", "wrong_key", "signtest", "tampered_ciphertext"])
def test_wechatpayv3_believes_no_forgery(stand_in, wechat, listener, monkeypatch, twist):
    client = wechat_client(stand_in, monkeypatch)
    url = listener.address((200, b""))
    order = wechat.order(notify_url=url)
    wechat.prepay(order)
    key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
    stand_in.control("pay", **key)
    listener.next(url)
    stand_in.control("notify", **key, twists=[twist])
    notice = listener.next(url)
    assert client.callback(dict(notice.headers.items()), notice.body.decode()) is None


@pytest.mark.parametrize("number_", ["T|12345", "订单12345"])
def test_wechatpayv3_fails_on_numbers_that_are_encoded_after_signing(
    stand_in, monkeypatch, number_
):
    """As at the real gateway: the signature covers the path as it was sent (sdk-notes.md 2.2)."""
    client = wechat_client(stand_in, monkeypatch)
    assert client.query(out_trade_no=number_)[0] == 401


@pytest.fixture
def beijing_process(monkeypatch):
    """The SDK stamps its calls in the zone of the process (sdk-notes.md 3.2)."""
    kept = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    if kept is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", kept)
    time.tzset()


@pytest.fixture
def sdk(stand_in, beijing_process):
    config = stand_in.config
    client = import_alipay().AliPay(
        appid=config.alipay["app_id"],
        app_notify_url=None,
        app_private_key_string=config.pem(config.alipay["app_private_key_file"]).decode(),
        alipay_public_key_string=config.pem(config.alipay["alipay_public_key_file"]).decode(),
        sign_type="RSA2",
    )
    client._gateway = config.alipay["gateway_url"]
    return client


def test_python_alipay_sdk_pays_refunds_and_queries(stand_in, sdk, listener):
    out_trade_no = number("A")
    url = listener.address()
    query = sdk.api_alipay_trade_page_pay(
        subject="在线问诊", out_trade_no=out_trade_no, total_amount="30.00", notify_url=url
    )
    address = f"{sdk._gateway}?{query}"
    assert (
        sdk.api_alipay_trade_query(out_trade_no=out_trade_no)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    )
    stand_in.control("pay", channel="alipay", out_trade_no=out_trade_no, url=address)
    assert sdk.api_alipay_trade_query(out_trade_no=out_trade_no)["trade_status"] == "TRADE_SUCCESS"
    form = listener.next(url).form
    assert sdk.verify(dict(form), form.pop("sign")) is False  # sign must be taken out first
    form = stand_in_notice(stand_in, out_trade_no, listener, url)
    signature = form.pop("sign")
    assert sdk.verify(dict(form), signature) is True
    answer = sdk.api_alipay_trade_refund(
        refund_amount="10.00", out_trade_no=out_trade_no, out_request_no="R1"
    )
    assert answer["fund_change"] == "Y"
    answer = sdk.api_alipay_trade_fastpay_refund_query("R1", out_trade_no=out_trade_no)
    assert answer["refund_status"] == "REFUND_SUCCESS"
    today = datetime.now(BEIJING).strftime("%Y-%m-%d")
    answer = sdk.server_api(
        "alipay.data.dataservice.bill.downloadurl.query",
        {"bill_type": "trade", "bill_date": today},
    )
    assert answer["bill_download_url"].startswith(stand_in.base_url)


def stand_in_notice(stand_in, out_trade_no, listener, url):
    stand_in.control("notify", channel="alipay", out_trade_no=out_trade_no)
    return listener.next(url).form


def test_python_alipay_sdk_precreates_closes_and_cancels(stand_in, sdk):
    out_trade_no = number("A")
    answer = sdk.api_alipay_trade_precreate("问诊", out_trade_no, "0.01")
    assert answer["qr_code"].startswith("https://qr.alipay.com/")
    stand_in.control("open", url=answer["qr_code"])
    assert sdk.api_alipay_trade_close(out_trade_no=out_trade_no)["code"] == "10000"
    assert sdk.api_alipay_trade_cancel(out_trade_no=number("A"))["code"] == "10000"


def test_python_alipay_sdk_sends_a_wap_product_that_is_refused(stand_in, sdk):
    query = sdk.api_alipay_trade_wap_pay(
        subject="问诊", out_trade_no=number("A"), total_amount="1.00"
    )
    assert stand_in.control("open", url=f"{sdk._gateway}?{query}")["status_code"] == 400


def test_python_alipay_sdk_is_broken_by_a_brace_in_a_text(stand_in, sdk, alipay):
    """The trap is reproduced, not avoided (sdk-notes.md 3.3)."""
    order = alipay.order(subject="问诊 {1")
    stand_in.control("open", url=alipay.address("alipay.trade.page.pay", order))
    from alipay.exceptions import AliPayValidationError

    with pytest.raises(AliPayValidationError):
        sdk.api_alipay_trade_query(out_trade_no=order["out_trade_no"])


def test_python_alipay_sdk_works_with_certificates(stand_in, beijing_process):
    config = stand_in.config
    client = import_alipay().DCAliPay(
        appid=config.alipay["app_id"],
        app_notify_url=None,
        app_private_key_string=config.pem(config.alipay["app_private_key_file"]).decode(),
        app_public_key_cert_string=config.pem("alipay_app_cert.pem").decode(),
        alipay_public_key_cert_string=config.pem("alipay_cert.pem").decode(),
        alipay_root_cert_string=config.pem("alipay_root_cert.pem").decode(),
        sign_type="RSA2",
    )
    client._gateway = config.alipay["gateway_url"]
    answer = client.api_alipay_trade_query(out_trade_no="UNKNOWN")
    assert answer["sub_code"] == "ACQ.TRADE_NOT_EXIST"
