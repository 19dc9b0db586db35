"""The cashier's link: nobody makes, alters or keeps one."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.signing import Signer

from gateways.interface import Scene
from payments.cashier.links import (
    SHOWN_AFTER,
    CashierLink,
    LinkInvalid,
    link_read,
    link_token,
)
from payments.cashier.ways import H5, JSAPI, NATIVE, PAGE, WAP, ways_for
from tcmpay.common import clock

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
LINK = CashierLink(
    order_id=uuid4(),
    ends_at=NOW + timedelta(hours=2),
    return_url="https://yourapp.com/back?a=1",
    openid=OPENID,
)


@pytest.fixture(autouse=True)
def _now():
    with clock.frozen(NOW):
        yield


def test_it_reads_back_what_it_is_bound_to():
    assert link_read(link_token(LINK)) == LINK


def test_it_tells_nobody_who_the_payer_is_at_wechat():
    token = link_token(LINK)
    facts = token.partition(".")[0]
    assert OPENID.encode() not in base64.urlsafe_b64decode(facts + "==")


def test_it_lives_until_the_end_was_shown_and_not_a_second_longer():
    token = link_token(LINK)
    with clock.frozen(LINK.ends_at + SHOWN_AFTER - timedelta(seconds=1)):
        assert link_read(token) == LINK
    with clock.frozen(LINK.ends_at + SHOWN_AFTER), pytest.raises(LinkInvalid):
        link_read(token)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("o", "0" * 32),
        ("e", int((NOW + timedelta(days=9)).timestamp())),
        ("r", "https://thief.example/"),
        ("w", "enc:2:other"),
    ],
)
def test_it_can_not_be_widened(name, value):
    facts, signature = link_token(LINK).split(".")
    altered = json.loads(base64.urlsafe_b64decode(facts + "==")) | {name: value}
    text = base64.urlsafe_b64encode(json.dumps(altered).encode()).decode().rstrip("=")
    with pytest.raises(LinkInvalid):
        link_read(f"{text}.{signature}")


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "é.é", "a" * 5000, "a:b:c", "eyJ9.\x00"])
def test_whatever_else_comes_is_no_link(token):
    with pytest.raises(LinkInvalid):
        link_read(token)


def test_it_is_cut_at_no_letter():
    token = link_token(LINK)
    for length in range(len(token)):
        with pytest.raises(LinkInvalid):
            link_read(token[:length])


def test_another_key_opens_nothing(settings):
    token = link_token(LINK)
    settings.SECRET_KEY = "another-1f0c9d2e7b1a6f3c8e5d0a9b7c2f1e6d"
    with pytest.raises(LinkInvalid):
        link_read(token)


def test_what_the_same_key_signed_for_something_else_is_no_link():
    facts = {"o": LINK.order_id.hex, "e": int(LINK.ends_at.timestamp())}
    for other in (Signer(sep="."), Signer(sep=".", salt="sessions")):
        with pytest.raises(LinkInvalid):
            link_read(other.sign_object(facts))


def test_without_the_key_of_the_openid_the_payer_is_anybody(settings):
    token = link_token(LINK)
    settings.CONFIG_ENCRYPTION_KEYS = ["YW5vdGhlci1hbm90aGVyLWFub3RoZXItYW5vdGhlciE="]
    assert link_read(token).openid == ""


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari"
HARMONY = "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 ArkWeb/4.1.6.1 Mobile"
DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
IN_WECHAT = f"{IPHONE} MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN"
WECHAT_ON_DESKTOP = f"{DESKTOP} MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090a13)"
IN_ALIPAY = f"{ANDROID} AlipayClient/10.6.0"


@pytest.mark.parametrize(
    ("agent", "has_openid", "ways"),
    [
        (DESKTOP, False, (NATIVE, PAGE)),
        ("", False, (NATIVE, PAGE)),
        (IPHONE, False, (H5, WAP)),
        (ANDROID, True, (H5, WAP)),
        (HARMONY, False, (H5, WAP)),
        (IN_WECHAT, True, (JSAPI,)),
        (IN_WECHAT, False, ()),
        (WECHAT_ON_DESKTOP, False, (NATIVE,)),
        (WECHAT_ON_DESKTOP, True, (JSAPI, NATIVE)),
        (IN_ALIPAY, False, (WAP,)),
    ],
)
def test_it_offers_what_works_where_it_is_opened(agent, has_openid, ways):
    assert ways_for(agent, has_openid=has_openid) == ways


def test_it_offers_only_what_the_merchant_has(settings):
    settings.CASHIER_WAYS = ["wechat-native", "alipay-page", "alipay-wap"]
    assert ways_for(IPHONE, has_openid=False) == (WAP,)
    assert ways_for(IN_WECHAT, has_openid=True) == ()
    assert ways_for(DESKTOP, has_openid=False) == (NATIVE, PAGE)


def test_a_way_is_named_by_gateway_and_scene():
    assert NATIVE.code == "wechat-native"
    assert (PAGE.code, PAGE.scene) == ("alipay-page", Scene.PAGE)
