"""Configured texts: every form that merchants hold keys in, and every problem by its key."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateways import keys
from gateways.alipay.configuration import AlipayConfig
from gateways.configuration import notify_url_in_path_form
from gateways.errors import GatewayMisconfigured
from gateways.key_blocks import KeyUnreadable
from gateways.registry import build_gateway
from gateways.tests.kit import (
    MERCHANT_SERIAL,
    PUBLIC_KEY_ID,
    alipay_values,
    bare,
    certificate_pem,
    private_key,
    private_pem,
    public_pem,
    wechat_values,
)
from gateways.wechat.configuration import WechatConfig, read_certificate_file

PKCS1 = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8
SPELLINGS = {
    "PEM": lambda pem: pem,
    "CRLF": lambda pem: pem.replace("\n", "\r\n"),
    "blank lines": lambda pem: f"\n\n  {pem}\n\n",
    "one line": lambda pem: pem.replace("\n", ""),
    "escaped": lambda pem: pem.replace("\n", "\\n"),
    "bare base64": bare,
}


@pytest.mark.parametrize("form", [PKCS1, PKCS8], ids=["PKCS1", "PKCS8"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_private_keys(form, spelling):
    loaded = keys.load_private_key(SPELLINGS[spelling](private_pem("merchant", form)))
    assert loaded.private_numbers() == private_key("merchant").private_numbers()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_public_keys_and_certificates(spelling):
    spell = SPELLINGS[spelling]
    expected = private_key("merchant").public_key()
    assert keys.is_same_public_key(keys.load_public_key(spell(public_pem("merchant"))), expected)
    certificate = keys.load_certificate(spell(certificate_pem("merchant", MERCHANT_SERIAL)))
    assert keys.certificate_serial(certificate) == f"{MERCHANT_SERIAL:X}"


BAD_KEYS = {
    "empty PEM": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
    "words": "your-rsa-private-key",
    "chinese": "私钥",
    "base64 of nothing": "AAAA",
    "public key": public_pem("merchant"),
    "certificate": certificate_pem("merchant", MERCHANT_SERIAL),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_what_is_no_private_key(name):
    with pytest.raises(keys.KeyUnreadable):
        keys.load_private_key(BAD_KEYS[name])


@pytest.mark.parametrize("name", ["private key", "certificate", "words"])
def test_what_is_no_public_key(name):
    texts = {**BAD_KEYS, "private key": private_pem("merchant")}
    with pytest.raises(keys.KeyUnreadable):
        keys.load_public_key(texts[name])


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("https://a.cn/payment/callback?method=wechat", "https://a.cn/payment/callback/wechat"),
        ("https://a.cn/payment/callback/?method=wechat", "https://a.cn/payment/callback/wechat"),
        ("https://a.cn/payment/callback?method=alipay", "https://a.cn/payment/callback/alipay"),
        ("https://a.cn/payment/callback/wechat", "https://a.cn/payment/callback/wechat"),
        ("https://a.cn/payment/callback?method=", "https://a.cn/payment/callback?method="),
        ("https://a.cn/payment/callback?method=x", "https://a.cn/payment/callback?method=x"),
        ("https://a.cn/x?method=wechat&a=1", "https://a.cn/x?method=wechat&a=1"),
        ("", ""),
    ],
)
def test_the_notify_url_is_sent_in_path_form(configured, sent):
    assert notify_url_in_path_form(configured) == sent


@pytest.mark.parametrize(
    ("changes", "faulty"),
    [
        ({"app_id": ""}, {"app_id"}),
        ({"mch_id": " "}, {"mch_id"}),
        ({"api_v3_key": "k" * 31}, {"api_v3_key"}),
        ({"api_v3_key": "中" * 32}, {"api_v3_key"}),
        ({"api_v3_key": "", "api_key": "short"}, {"api_key"}),
        ({"api_v3_key": ""}, {"api_v3_key"}),
        ({"private_key": "x"}, {"private_key"}),
        ({"public_key": "x"}, {"public_key"}),
        ({"public_key": ""}, {"public_key"}),
        ({"public_key_id": ""}, {"public_key_id"}),
        ({"public_key": "", "public_key_id": "", "platform_cert": ""}, {"public_key"}),
        ({"platform_cert": "x"}, {"platform_cert"}),
        ({"cert_serial_no": ""}, {"cert_serial_no"}),
        ({"cert_serial_no": "", "cert_path": "/no/such/file"}, {"cert_path"}),
        ({"notify_url": ""}, {"notify_url"}),
        ({"notify_url": "example.com/x"}, {"notify_url"}),
        ({"notify_url": "https://a.cn/x?y=1"}, {"notify_url"}),
        ({"notify_url": "https://a.cn/payment/callback?method=alipay"}, {"notify_url"}),
        ({"app_id": "", "mch_id": "", "private_key": ""}, {"app_id", "mch_id", "private_key"}),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_wechat_problems_come_all_at_once_and_by_key(changes, faulty):
    with pytest.raises(GatewayMisconfigured) as caught:
        WechatConfig.from_values(wechat_values(**changes))
    assert set(caught.value.problems) == faulty
    assert all(str(problem) for problem in caught.value.problems.values())


@pytest.mark.parametrize(
    ("changes", "faulty"),
    [
        ({"app_id": ""}, {"app_id"}),
        ({"private_key": "your-rsa-private-key"}, {"private_key"}),
        ({"public_key": ""}, {"public_key"}),
        ({"notify_url": ""}, {"notify_url"}),
        (
            {"app_cert": certificate_pem("app", 11)},
            {"alipay_cert", "root_cert"},
        ),
        (
            {"app_cert": "x", "alipay_cert": "y", "root_cert": "z"},
            {"app_cert", "alipay_cert", "root_cert"},
        ),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_alipay_problems_come_all_at_once_and_by_key(changes, faulty):
    with pytest.raises(GatewayMisconfigured) as caught:
        AlipayConfig.from_values(alipay_values(**changes))
    assert set(caught.value.problems) == faulty


def test_an_empty_configuration_names_what_is_missing():
    with pytest.raises(GatewayMisconfigured) as caught:
        WechatConfig.from_values({})
    assert set(caught.value.problems) == {
        "app_id",
        "mch_id",
        "api_v3_key",
        "private_key",
        "public_key",
        "cert_serial_no",
        "notify_url",
    }


def test_an_api_key_of_32_bytes_serves_as_the_api_v3_key():
    config = WechatConfig.from_values(wechat_values(api_v3_key="", api_key="a" * 32))
    assert config.api_v3_key == "a" * 32
    both = WechatConfig.from_values(wechat_values(api_v3_key="b" * 32, api_key="a" * 32))
    assert both.api_v3_key == "b" * 32


def test_the_serial_is_derived_from_the_certificate_file(tmp_path):
    path = tmp_path / "apiclient_cert.pem"
    path.write_text(certificate_pem("merchant", MERCHANT_SERIAL))
    config = WechatConfig.from_values(wechat_values(cert_serial_no="", cert_path=str(path)))
    assert config.cert_serial_no == f"{MERCHANT_SERIAL:X}"
    # Given, the serial makes the file superfluous.
    assert WechatConfig.from_values(wechat_values(cert_path="/no/such/file"))


@pytest.mark.parametrize(
    ("given", "others"),
    [
        ({"platform_cert": ""}, 1),
        ({"public_key": "", "public_key_id": ""}, 1),
        ({}, 2),
    ],
)
def test_public_key_mode_certificate_mode_and_both(given, others):
    config = WechatConfig.from_values(wechat_values(**given))
    assert len(config.verifiers) == others
    assert (PUBLIC_KEY_ID in config.verifiers) is ("public_key" not in given)


REAL = "https://api.mch.weixin.qq.com"


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, REAL),
        ({"allow_custom_base": True}, "http://configured"),
        ({"base_url": "http://argument/"}, "http://argument"),
        ({"allow_custom_base": True, "base_url": "http://argument"}, "http://argument"),
    ],
)
def test_the_address_is_the_arguments_then_the_allowed_configured_then_the_real_one(
    options, address
):
    values = wechat_values(base_url="http://configured")
    assert WechatConfig.from_values(values, **options).base_url == address


def test_gateways_are_built_by_method():
    assert build_gateway("wechat", wechat_values()).method == "wechat"
    assert build_gateway("alipay", alipay_values()).method == "alipay"
    with pytest.raises(GatewayMisconfigured):
        build_gateway("wechat", {})


# -- the file of a certificate -----------------------------------------------------------------


def closed(folder):
    file = folder / "closed.pem"
    file.write_text(certificate_pem("merchant", MERCHANT_SERIAL))
    file.chmod(0)
    return file


def anything(folder, content=b"root:x:0:0::/root:/bin/bash\n", name="file"):
    file = folder / name
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "place",
    [
        lambda folder: folder / "missing.pem",
        lambda folder: folder / "missing" / "below.pem",
        lambda folder: folder,
        anything,
        lambda folder: anything(folder, b""),
        lambda folder: anything(folder, b"\xff" * 2_000_000),
        lambda folder: anything(folder, private_pem("merchant").encode()),
        lambda folder: anything(folder, b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
        lambda folder: anything(folder) / "below.pem",
        lambda folder: "/dev/zero",
        lambda folder: "/proc/self/mem",
        lambda folder: "\0",
        lambda folder: "x" * 5_000,
        closed,
    ],
)  # fmt: skip
def test_a_path_tells_nothing_of_what_lies_there(tmp_path, place, monkeypatch):
    """Missing, closed or something else: whoever sets the path reads one and the same text."""
    path = str(place(tmp_path))
    if path.endswith("closed.pem"):  # the tests may run as root, who may read everything
        monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(KeyUnreadable) as told:
        read_certificate_file(path)
    with pytest.raises(KeyUnreadable) as of_nothing:
        read_certificate_file("/no/such/file")
    assert (str(told.value), told.value.text) == (str(of_nothing.value), of_nothing.value.text)


def deny(_path):
    raise PermissionError
