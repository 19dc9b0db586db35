"""Each way of both gateways, from the order to the callback that marks it paid."""

import pytest

WECHAT = ["native", "jsapi", "mini_program", "h5", "app"]
ALIPAY = ["page", "wap", "app", "qr"]


def test_the_usual_scenes(stage):
    assert stage.buy("wechat").shown["wechat"]["qr_code"].startswith("weixin://")
    assert "alipay.trade.page.pay" in stage.buy("alipay").shown["alipay"]["payment_url"]


@pytest.mark.parametrize(
    ("method", "scene"),
    [*(("wechat", scene) for scene in WECHAT), *(("alipay", scene) for scene in ALIPAY)],
)
def test_a_payment_marks_the_order_paid(stage, method, scene):
    purchase = stage.buy(method, scene)
    assert purchase.status == "pending"
    purchase.pay(method)
    assert purchase.verdicts(purchase.number(method)) == ["applied"]
    book = purchase.theirs(method)
    assert (book["state"], book["amount_fen"]) == ("PAID", 3000)


def shown_of(stage, method, scene):
    return stage.buy(method, scene).shown[method]


def test_what_a_client_is_given(stage):
    assert shown_of(stage, "wechat", "native")["qr_code"].startswith("weixin://wxpay/")
    for scene in ("jsapi", "mini_program"):
        prepay = shown_of(stage, "wechat", scene)["prepay_data"]
        assert prepay["package"].startswith("prepay_id=wx")
        assert prepay["signType"] == "RSA"
        assert len(prepay["paySign"]) > 300
    prepay = shown_of(stage, "wechat", "app")["prepay_data"]
    assert (prepay["package"], len(prepay["sign"]) > 300) == ("Sign=WXPay", True)
    assert shown_of(stage, "wechat", "h5")["payment_url"].startswith("http")
    assert "product_code" in shown_of(stage, "alipay", "app")["prepay_data"]["order_string"]
    assert shown_of(stage, "alipay", "qr")["qr_code"].startswith("http")


def test_told_again_nothing_changes(stage):
    for method in ("wechat", "alipay"):
        purchase = stage.buy(method)
        purchase.pay(method)
        before = stage.hand.do("money")
        answers = stage.stand_in.ask(
            "notify", **purchase.trade(method) | {"url": ""}, copies=5, concurrent=True
        )["answers"]
        assert [answer["received"] for answer in answers] == [True] * 5
        assert stage.hand.do("money") == before
        assert purchase.verdicts(purchase.number(method)) == ["applied", *["repeat"] * 5]
