"""The doctor: what it says about a configuration, and what a probe finds."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateways.doctor import examine
from gateways.key_blocks import KeyUnreadable
from gateways.key_texts import Kind, expiries, normalised
from gateways.tests.kit import (
    MERCHANT_SERIAL,
    NOW,
    PLATFORM_SERIAL,
    PUBLIC_KEY_ID,
    Reply,
    alipay_gateway,
    alipay_values,
    bare,
    certificate_pem,
    private_pem,
    public_pem,
    wechat_error,
    wechat_gateway,
    wechat_reply,
    wechat_trade,
    wechat_values,
)
from gateways.trial import probe
from gateways.wechat.configuration import WechatConfig


def found(findings, level: str) -> set[str]:
    return {finding.key for finding in findings if finding.level == level}


def certificate_file(tmp_path, name="merchant", serial=MERCHANT_SERIAL, days_left=365) -> str:
    path = tmp_path / "apiclient_cert.pem"
    path.write_text(certificate_pem(name, serial, days_left))
    return str(path)


def test_a_good_configuration_has_no_errors(tmp_path):
    values = wechat_values(cert_path=certificate_file(tmp_path))
    for method, given in (("wechat", values), ("alipay", alipay_values())):
        findings = examine(method, given, now=NOW)
        assert found(findings, "error") == set()
        assert found(findings, "warning") == set()
        assert found(findings, "ok")
        assert all(str(finding.message) for finding in findings)


def test_days_left_are_said(tmp_path):
    values = wechat_values(cert_path=certificate_file(tmp_path, days_left=200))
    messages = [str(finding.message) for finding in examine("wechat", values, now=NOW)]
    assert any("200" in message for message in messages)


def test_an_app_id_may_hold_any_small_letter():
    """The one in WeChat's own pages is not hexadecimal."""
    values = wechat_values(app_id="wxd678efh567hg6787")
    assert "app_id" not in found(examine("wechat", values, now=NOW), "error")


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_an_empty_configuration(method):
    findings = examine(method, {}, now=NOW)
    assert {"app_id", "private_key", "notify_url"} <= found(findings, "error")
    assert all(str(finding.fix) for finding in findings if finding.level == "error")
    assert findings[0].level == "error"


WECHAT_FAULTS = [
    ({"app_id": "APP"}, "error", "app_id"),
    ({"app_id": "WX0123456789ABCDEF"}, "error", "app_id"),
    ({"app_id": "wx0123456789abcdefg"}, "error", "app_id"),
    ({"app_id_jsapi": "gh_0123456789ab"}, "error", "app_id_jsapi"),
    ({"mch_id": "abc"}, "error", "mch_id"),
    ({"cert_serial_no": "no hex"}, "error", "cert_serial_no"),
    ({"cert_serial_no": str(MERCHANT_SERIAL)}, "error", "cert_serial_no"),
    ({"cert_serial_no": "A" * 42}, "error", "cert_serial_no"),
    ({"cert_serial_no": "5A3B"}, "warning", "cert_serial_no"),
    ({"public_key_id": "KEY_1"}, "error", "public_key_id"),
    ({"public_key_id": PUBLIC_KEY_ID.lower()}, "error", "public_key_id"),
    ({"api_v3_key": "k" * 31}, "error", "api_v3_key"),
    ({"api_v3_key": "", "api_key": "k" * 32}, "warning", "api_v3_key"),
    ({"private_key": "x"}, "error", "private_key"),
    ({"public_key": public_pem("merchant")}, "error", "public_key"),
    ({"cert_path": "/no/such/file"}, "warning", "cert_path"),
    ({"notify_url": "http://pay.example.com/payment/callback/wechat"}, "warning", "notify_url"),
    ({"notify_url": "https://127.0.0.1/payment/callback/wechat"}, "warning", "notify_url"),
    ({"notify_url": "https://pay.internal/payment/callback/wechat"}, "warning", "notify_url"),
    ({"notify_url": "https://pay.example.com/elsewhere"}, "warning", "notify_url"),
    ({"notify_url": "https://pay.example.com/x?a=1"}, "error", "notify_url"),
    (
        {"platform_cert": certificate_pem("platform", PLATFORM_SERIAL, -1)},
        "error",
        "platform_cert",
    ),
    (
        {"platform_cert": certificate_pem("platform", PLATFORM_SERIAL, 10)},
        "warning",
        "platform_cert",
    ),
    (
        {"platform_cert": certificate_pem("platform", PLATFORM_SERIAL, 1500)},
        "error",
        "platform_cert",
    ),
]


@pytest.mark.parametrize(("changes", "level", "key"), WECHAT_FAULTS)
def test_wechat_faults(changes, level, key):
    assert found(examine("wechat", wechat_values(**changes), now=NOW), level) == {key}


ALIPAY_FAULTS = [
    ({"app_id": "1"}, "error", "app_id"),
    ({"app_id": "wx0123456789abcdef"}, "error", "app_id"),
    ({"app_id": "2088000000000001"}, "error", "app_id"),
    ({"seller_id": ""}, "warning", "seller_id"),
    ({"seller_id": "1"}, "error", "seller_id"),
    ({"public_key": bare(public_pem("app"))}, "error", "public_key"),
    ({"private_key": bare(public_pem("app"))}, "error", "private_key"),
    (
        {
            "app_cert": certificate_pem("other", 11),
            "root_cert": certificate_pem("root", 12),
            "alipay_cert": certificate_pem("alipay", 14),
            "public_key": "",
        },
        "error",
        "private_key",
    ),
    (
        {
            "app_cert": certificate_pem("app", 11),
            "root_cert": certificate_pem("root", 12),
            "alipay_cert": certificate_pem("alipay", 14, -1),
            "public_key": "",
        },
        "error",
        "alipay_cert",
    ),
]


@pytest.mark.parametrize(("changes", "level", "key"), ALIPAY_FAULTS)
def test_alipay_faults(changes, level, key):
    assert found(examine("alipay", alipay_values(**changes), now=NOW), level) == {key}


def test_a_certificate_of_another_key_or_serial(tmp_path):
    pair = wechat_values(cert_path=certificate_file(tmp_path, name="other"))
    assert found(examine("wechat", pair, now=NOW), "error") == {"private_key"}
    serial = wechat_values(cert_path=certificate_file(tmp_path, serial=77))
    assert found(examine("wechat", serial, now=NOW), "error") == {"cert_serial_no"}


def test_a_serial_typed_in_decimal_is_told_in_hexadecimal():
    for serial, decimal in ((MERCHANT_SERIAL, str(MERCHANT_SERIAL)), (77, "77")):
        certificate = certificate_pem("merchant", serial)
        values = wechat_values(cert_serial_no=decimal, merchant_cert=certificate)
        [error] = [one for one in examine("wechat", values, now=NOW) if one.level == "error"]
        assert (error.key, f"{serial:X}" in str(error.message)) == ("cert_serial_no", True)


def test_a_serial_without_its_leading_zero_is_the_certificates():
    certificate = certificate_pem("merchant", 0x0DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C)
    typed = "DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C"
    values = wechat_values(cert_serial_no=typed, merchant_cert=certificate)
    assert found(examine("wechat", values, now=NOW), "error") == set()


def test_no_secret_is_repeated():
    values = wechat_values(api_v3_key="planted-canary-secret")
    assert "planted-canary" not in str([str(f.message) for f in examine("wechat", values, now=NOW)])


# -- probing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "level"),
    [
        (wechat_error(404, "ORDER_NOT_EXIST"), "ok"),
        (wechat_error(401, "SIGN_ERROR"), "error"),
        (wechat_error(403, "RULE_LIMIT"), "error"),
        (wechat_error(500, "SYSTEM_ERROR"), "error"),
        (wechat_reply(wechat_trade(out_trade_no="DOCTOR0PROBE0NO0SUCH0ORDER")), "warning"),
    ],
    ids=["unknown number", "SIGN_ERROR", "RULE_LIMIT", "SYSTEM_ERROR", "it exists"],
)
def test_a_probe_is_one_query(stand_in, reply, level):
    stand_in.always(reply)
    findings = probe(wechat_gateway(stand_in.url))
    assert findings[0].level == level
    assert str(findings[0].message)
    assert [seen.verb for seen in stand_in.seen] == ["GET"]


def test_a_probe_without_connection():
    for gateway in (wechat_gateway(), alipay_gateway()):
        assert [finding.level for finding in probe(gateway)] == ["error"]


@pytest.mark.parametrize(
    ("seconds", "levels"), [(5, ["ok"]), (120, ["ok", "warning"]), (-600, ["ok", "error"])]
)
def test_a_probe_compares_the_clocks(stand_in, seconds, levels):
    reply = wechat_error(404, "ORDER_NOT_EXIST")
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    stand_in.always(Reply(reply.status, reply.body, {"Date": date}))
    assert [finding.level for finding in probe(wechat_gateway(stand_in.url))] == levels


# -- the merchant's and the gateway's certificates ----------------------------------------------

MERCHANT_CERT = certificate_pem("merchant", MERCHANT_SERIAL)
CERTIFICATE_FAULTS = [
    ({"merchant_cert": "x"}, "error", "merchant_cert"),
    ({"merchant_cert": certificate_pem("other", MERCHANT_SERIAL)}, "error", "private_key"),
    ({"merchant_cert": certificate_pem("merchant", 77)}, "error", "cert_serial_no"),
    (
        {"merchant_cert": certificate_pem("merchant", MERCHANT_SERIAL, -1)},
        "error",
        "merchant_cert",
    ),
    (
        {"merchant_cert": certificate_pem("merchant", MERCHANT_SERIAL, 10)},
        "warning",
        "merchant_cert",
    ),
    ({"platform_cert": MERCHANT_CERT, "cert_serial_no": "77"}, "error", "platform_cert"),
    ({"cert_serial_no": f"{PLATFORM_SERIAL:X}"}, "error", "cert_serial_no"),
]


@pytest.mark.parametrize(("changes", "level", "key"), CERTIFICATE_FAULTS)
def test_certificates_that_do_not_fit(changes, level, key):
    assert found(examine("wechat", wechat_values(**changes), now=NOW), level) == {key}


def test_the_merchants_certificate_gives_the_serial():
    values = wechat_values(cert_serial_no="", merchant_cert=MERCHANT_CERT)
    assert WechatConfig.from_values(values).cert_serial_no == f"{MERCHANT_SERIAL:X}"
    assert found(examine("wechat", values, now=NOW), "error") == set()


def test_ones_own_certificate_in_place_of_alipays():
    changes = {
        "app_cert": certificate_pem("app", 11),
        "root_cert": certificate_pem("root", 12),
        "alipay_cert": certificate_pem("app", 11),
        "public_key": "",
    }
    findings = examine("alipay", alipay_values(**changes), now=NOW)
    assert found(findings, "error") == {"alipay_cert"}


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *(("wechat", changes) for changes, _, _ in [*WECHAT_FAULTS, *CERTIFICATE_FAULTS]),
        *(("alipay", changes) for changes, _, _ in ALIPAY_FAULTS),
        ("wechat", {}),
        ("alipay", {}),
    ],
)
def test_every_error_and_warning_says_what_to_do(method, changes):
    values = wechat_values(**changes) if method == "wechat" else alipay_values(**changes)
    for given in (values, changes):
        for finding in examine(method, given, now=NOW):
            assert finding.level == "ok" or str(finding.fix), finding


def test_a_certificate_file_that_never_ends_is_not_read():
    values = wechat_values(cert_path="/dev/zero")
    assert found(examine("wechat", values, now=NOW), "warning") == {"cert_path"}


def test_the_days_of_every_certificate_are_counted():
    values = wechat_values(
        merchant_cert=certificate_pem("merchant", MERCHANT_SERIAL, 20),
        platform_cert=certificate_pem("platform", PLATFORM_SERIAL, 10),
        cert_path="/no/such/file",
    )
    counted = [(one.key, one.days_left) for one in expiries("wechat", values, now=NOW)]
    assert counted == [("platform_cert", 10), ("merchant_cert", 20)]


@pytest.mark.parametrize("secret", ["private_key", "public_key"])
def test_a_private_key_beside_a_certificate_is_left_out(secret):
    bundle = private_pem("merchant") + MERCHANT_CERT
    assert normalised(Kind.CERTIFICATE, bundle) == MERCHANT_CERT
    with pytest.raises(KeyUnreadable):
        normalised(Kind(secret), MERCHANT_CERT)
