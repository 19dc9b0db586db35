"""What a test of a configuration proves at the gateway, and what it says it does not."""

import pytest

from gateways.tests.kit import (
    NOW,
    PLATFORM_SERIAL,
    PUBLIC_KEY_ID,
    Reply,
    Seen,
    alipay_gateway,
    alipay_reply,
    wechat_error,
    wechat_gateway,
    wechat_reply,
)
from gateways.trial import EchoListener, probe, trial


class Wechat:
    """Answers an echo, an order and a close; each may be told otherwise."""

    def __init__(self, **answers: Reply) -> None:
        self.answers = answers
        self.heard: dict[str, Seen] = {}

    def __call__(self, seen) -> Reply:
        name = next(
            name
            for name, part in (
                ("echo", "/v3/security/echo"),
                ("close", "/close"),
                ("order", "/v3/pay/transactions/native"),
                ("app", "/v3/pay/transactions/app"),
            )
            if part in seen.target
        )
        self.heard[name] = seen
        if name in self.answers:
            return self.answers[name]
        if name == "echo":
            return wechat_reply({"echo_message": seen.json["echo_message"]})
        started = {"order": {"code_url": "weixin://wxpay/x"}, "app": {"prepay_id": "wx1"}}
        return wechat_reply(started.get(name))


def told(findings) -> list[tuple[str, str]]:
    return [(finding.level, finding.key) for finding in findings]


def unproved(findings) -> str:
    return str(findings[-1].unproved)


def test_a_query_does_not_prove_the_app_id(stand_in):
    stand_in.always(wechat_error(404, "ORDER_NOT_EXIST"))
    [found] = probe(wechat_gateway(stand_in.url))
    assert found.level == "ok"
    assert "商户私钥" in str(found.message)
    for what in ("AppID", "微信支付公钥", "APIv3", "通知地址"):
        assert what in str(found.unproved), "its answer comes unsigned"


def test_an_order_over_one_fen_is_made_and_closed(stand_in):
    wechat = Wechat()
    stand_in.answer = wechat
    findings = trial(wechat_gateway(stand_in.url), now=NOW)
    assert told(findings) == [("ok", ""), ("ok", "")]
    assert "AppID 与商户号已绑定" in str(findings[-1].message)
    assert not unproved(findings).startswith("AppID")
    assert "通知地址" in unproved(findings)
    order = wechat.heard["order"].json
    assert order["amount"] == {"total": 1, "currency": "CNY"}
    assert order["out_trade_no"] in wechat.heard["close"].target
    assert wechat.heard["echo"].headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert wechat.heard["echo"].json["notify_url"].endswith("/payment/callback/wechat")


def test_a_wrong_app_id_fails_the_test(stand_in):
    stand_in.answer = Wechat(order=wechat_error(400, "APPID_MCHID_NOT_MATCH"))
    findings = trial(wechat_gateway(stand_in.url), now=NOW)
    assert told(findings)[-1] == ("error", "app_id")
    assert str(findings[-1].fix)


@pytest.mark.parametrize("status", [403, 404])
def test_without_an_echo_it_says_what_is_not_proved(stand_in, status):
    stand_in.answer = Wechat(
        echo=wechat_error(status, "NO_AUTH"), order=wechat_error(403, "NOAUTH")
    )
    findings = trial(wechat_gateway(stand_in.url), now=NOW)
    assert told(findings) == [("ok", ""), ("warning", "")]
    assert "AppID" in str(findings[0].unproved)
    assert "AppID" in unproved(findings), "the product is missing, so the AppID stays open"


@pytest.mark.parametrize(
    ("echo", "order", "levels"),
    [
        (wechat_error(401, "SIGN_ERROR"), None, ["error", "ok"]),
        (wechat_reply({"echo_message": "another"}), None, ["error", "ok"]),
        (None, wechat_error(400, "PARAM_ERROR"), ["ok", "error"]),
        (None, wechat_error(500, "SYSTEM_ERROR"), ["ok", "error"]),
    ],
)
def test_whatever_else_is_refused_is_an_error(stand_in, echo, order, levels):
    answers = {"echo": echo, "order": order}
    stand_in.answer = wechat = Wechat(**{name: reply for name, reply in answers.items() if reply})
    findings = trial(wechat_gateway(stand_in.url), now=NOW)
    assert [finding.level for finding in findings] == levels
    is_open = order is None or order.status == 500
    assert ("close" in wechat.heard) is is_open, "an order that may be there is closed"


def test_an_order_that_stays_open_is_told(stand_in):
    stand_in.answer = Wechat(close=wechat_error(500, "SYSTEM_ERROR"))
    assert told(trial(wechat_gateway(stand_in.url), now=NOW))[-1] == ("warning", "")
    stand_in.answer = Wechat(close=wechat_error(400, "ORDERPAID"))
    assert "已被支付" in str(trial(wechat_gateway(stand_in.url), now=NOW)[-1].fix)


def test_in_certificate_mode_the_echo_names_the_certificate(stand_in):
    stand_in.answer = wechat = Wechat()
    trial(wechat_gateway(stand_in.url, public_key="", public_key_id=""), now=NOW)
    assert wechat.heard["echo"].headers["wechatpay-serial"] == f"{PLATFORM_SERIAL:040X}"


def test_an_app_of_its_own_is_proved_by_an_order_of_its_own(stand_in):
    own = "wx9999999999999999"
    stand_in.answer = wechat = Wechat()
    findings = trial(wechat_gateway(stand_in.url, app_id_app=own), now=NOW)
    assert told(findings) == [("ok", "")] * 3
    assert wechat.heard["app"].json["appid"] == own
    stand_in.answer = Wechat(app=wechat_error(400, "APPID_MCHID_NOT_MATCH"))
    findings = trial(wechat_gateway(stand_in.url, app_id_app=own), now=NOW)
    assert told(findings)[-1] == ("error", "app_id_app")


# -- Alipay ----------------------------------------------------------------------------------------

PRECREATE, CANCEL = "alipay.trade.precreate", "alipay.trade.cancel"
REFUSALS = {
    "permission": ({"code": "40006", "msg": "x"}, ("warning", "")),
    "product": (
        {"code": "40004", "msg": "x", "sub_code": "ACQ.ACCESS_FORBIDDEN"},
        ("warning", ""),
    ),
    "application": (
        {"code": "40002", "msg": "x", "sub_code": "isv.invalid-app-id"},
        ("error", ""),
    ),
}


class Alipay:
    def __init__(self, node: dict | None = None) -> None:
        self.node = node
        self.heard: list[str] = []

    def __call__(self, seen) -> Reply:
        method = seen.fields["method"]
        self.heard.append(method)
        if method == CANCEL:
            return alipay_reply(CANCEL, {"code": "10000", "msg": "Success", "action": "close"})
        good = {"code": "10000", "msg": "Success", "qr_code": "https://qr.alipay.com/x"}
        return alipay_reply(PRECREATE, self.node or good)


def test_alipays_order_is_made_and_cancelled(stand_in):
    stand_in.answer = alipay = Alipay()
    findings = trial(alipay_gateway(stand_in.url), now=NOW)
    assert told(findings) == [("ok", "")]
    assert "电脑网站" in unproved(findings)
    assert alipay.heard == [PRECREATE, CANCEL]
    assert "total_amount" in stand_in.seen[0].fields["biz_content"]


@pytest.mark.parametrize("case", REFUSALS)
def test_alipays_refusals(stand_in, case):
    node, level = REFUSALS[case]
    stand_in.answer = Alipay(node)
    assert told(trial(alipay_gateway(stand_in.url), now=NOW)) == [level]


@pytest.mark.parametrize(("is_heard", "level"), [(True, "ok"), (False, "warning")])
def test_the_notice_of_the_echo_proves_address_and_key_once_it_is_heard(stand_in, is_heard, level):
    expected: list[str] = []
    stand_in.answer = wechat = Wechat()
    listener = EchoListener(expected.append, lambda message: is_heard)
    findings = trial(wechat_gateway(stand_in.url), now=NOW, listener=listener)
    assert findings[-1].level == level
    assert "APIv3" in str(findings[-1].message)
    assert expected == [wechat.heard["echo"].json["echo_message"]], "before it could come"


def test_no_notice_is_waited_for_where_no_echo_is_offered(stand_in):
    stand_in.answer = Wechat(echo=wechat_error(404, "NOT_FOUND"))
    listener = EchoListener(lambda message: None, lambda message: pytest.fail("waited"))
    assert len(trial(wechat_gateway(stand_in.url), now=NOW, listener=listener)) == 2
