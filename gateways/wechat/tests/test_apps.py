"""One merchant, several apps: each scene has its own AppID, in every message about it."""

import dataclasses

import pytest

from gateways.errors import GatewayUnknown, GatewayUntrusted
from gateways.interface import Scene, TradeState
from gateways.registry import build_gateway
from gateways.tests.kit import (
    TIMESTAMP,
    WX_APP_ID,
    is_signed,
    payment_request,
    wechat_callback,
    wechat_gateway,
    wechat_notification,
    wechat_reply,
    wechat_trade,
    wechat_values,
)

OFFICIAL, MINI, APP, FORMER, FOREIGN = (f"wx{digit * 16}" for digit in "abcde")
OWN = {"app_id_jsapi": OFFICIAL, "app_id_mini_program": MINI, "app_id_app": APP}
OF_SCENE = {
    Scene.NATIVE: WX_APP_ID,
    Scene.H5: WX_APP_ID,
    Scene.JSAPI: OFFICIAL,
    Scene.MINI_PROGRAM: MINI,
    Scene.APP: APP,
}


@pytest.fixture
def gateway(stand_in):
    return wechat_gateway(stand_in.url, **OWN)


@pytest.mark.parametrize("scene", OF_SCENE)
def test_the_request_names_the_scenes_app(gateway, scene):
    prepared = gateway.prepare_payment(payment_request(scene))
    assert prepared["body"]["appid"] == OF_SCENE[scene]


@pytest.mark.parametrize("scene", OF_SCENE)
def test_without_one_of_its_own_it_names_the_default(scene):
    prepared = wechat_gateway().prepare_payment(payment_request(scene))
    assert prepared["body"]["appid"] == WX_APP_ID


@pytest.mark.parametrize(
    ("scene", "last_line", "signature"),
    [
        (Scene.JSAPI, "prepay_id=wx24abc", "paySign"),
        (Scene.MINI_PROGRAM, "prepay_id=wx24abc", "paySign"),
        (Scene.APP, "wx24abc", "sign"),
    ],
)
def test_the_payers_app_is_signed_for_as_the_prepay_id_was_made(
    gateway, stand_in, scene, last_line, signature
):
    """Also where the AppID was changed since: the stored request names the one that counts."""
    stand_in.always(wechat_reply({"prepay_id": "wx24abc"}))
    prepared = wechat_gateway(stand_in.url, **dict.fromkeys(OWN, FORMER)).prepare_payment(
        payment_request(scene)
    )
    fields = gateway.create_payment(prepared).prepay_data
    nonce = fields.get("nonceStr") or fields["noncestr"]
    text = f"{FORMER}\n{TIMESTAMP}\n{nonce}\n{last_line}\n"
    assert is_signed("merchant", text.encode(), fields[signature])
    assert fields.get("appId", fields.get("appid", FORMER)) == FORMER


@pytest.mark.parametrize("app_id", [WX_APP_ID, OFFICIAL, MINI, APP])
def test_messages_may_be_about_any_of_our_apps(gateway, stand_in, app_id):
    trade = wechat_trade(appid=app_id)
    stand_in.always(wechat_reply(trade))
    assert gateway.query_payment(trade["out_trade_no"]).app_id == app_id
    notice = gateway.parse_callback(wechat_callback(wechat_notification(trade)))
    assert (notice.trade.app_id, notice.trade.state) == (app_id, TradeState.PAID)


def test_messages_about_another_app_are_not_believed(gateway, stand_in):
    trade = wechat_trade(appid=FOREIGN)
    stand_in.always(wechat_reply(trade))
    with pytest.raises(GatewayUnknown):
        gateway.query_payment(trade["out_trade_no"])
    with pytest.raises(GatewayUntrusted):
        gateway.parse_callback(wechat_callback(wechat_notification(trade)))


def test_an_app_of_before_is_known_where_it_is_said_to_be():
    values = wechat_values(**OWN)
    gateway = build_gateway("wechat", values, apps_of=[wechat_values(app_id=FORMER)])
    config = gateway._config
    assert config.known_app_ids == {WX_APP_ID, OFFICIAL, MINI, APP, FORMER}
    assert dataclasses.replace(config).app_id_of(Scene.NATIVE) == WX_APP_ID
