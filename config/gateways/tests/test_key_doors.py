"""A key is the same key through whichever door it comes: pasted, uploaded, API, file."""

import base64
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from config.gateways.drafts import candidate_of
from config.gateways.selectors import gateway_config_current
from config.models import PaymentConfig, PaymentConfigVersion
from gateways.tests.kit import (
    MERCHANT_SERIAL,
    NOW,
    PLATFORM_SERIAL,
    PUBLIC_KEY_ID,
    bare,
    certificate_pem,
    private_pem,
    public_pem,
    signed_certificate,
)
from tcmpay.common import clock

pytestmark = pytest.mark.django_db

PAGE = "/admin/config/paymentconfig/gateway/wechat/"
PRIVATE = private_pem("merchant")
CERTIFICATE = certificate_pem("merchant", 0x0A00000000000000000000000000000000000001)
BAG = "Bag Attributes\n    friendlyName: 商户证书\n"
BUNDLE = f"{BAG}{CERTIFICATE}{BAG}{PRIVATE}"
P12 = base64.b64encode(bytes.fromhex("3082000a02010330050603010203")).decode()
READ: dict[str, tuple[str, str, str]] = {
    "a mark before it": ("private_key", "\ufeff" + PRIVATE, PRIVATE),
    "bare, unpadded": ("private_key", bare(PRIVATE).rstrip("="), PRIVATE),
    "openssl's bundle": ("private_key", BUNDLE, PRIVATE),
    "its certificate": ("merchant_cert", BUNDLE, CERTIFICATE),
    "X509": ("merchant_cert", CERTIFICATE.replace("CERTIFICATE", "X509 CERTIFICATE"), CERTIFICATE),
    "a serial from a certificate": (
        "cert_serial_no",
        CERTIFICATE,
        "0A00000000000000000000000000000000000001",
    ),
}
NAMED: dict[str, tuple[str, str, str]] = {
    "p12": ("private_key", P12, ".p12 证书包"),
    "locked": (
        "private_key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
        "AAAA\n-----END RSA PRIVATE KEY-----",
        "口令",
    ),
    "cut off": ("merchant_cert", CERTIFICATE[:-30], "不完整"),
}


@pytest.fixture(autouse=True)
def _now():
    with clock.frozen(NOW):
        yield


@pytest.fixture
def page(client, staff):
    client.force_login(staff)

    def post(**changes: Any) -> Any:
        return client.post(PAGE, {"revision": 0, **changes})

    return post


def in_draft(key: str) -> str:
    return candidate_of("wechat").values.get(key, "")


@pytest.mark.parametrize("case", READ)
def test_pasted_uploaded_and_sent_it_is_kept_alike(case, page, admin_api):
    key, given, kept = READ[case]
    assert page(**{key: given}).status_code == 302
    assert in_draft(key) == kept
    PaymentConfig.objects.all().update(config_value="")
    body = {"config_key": key, "config_value": given}
    status, answer = admin_api("put", "admin/config/wechat", body)
    assert (status, answer["data"]) == (200, None)
    assert gateway_config_current("wechat").values[key] == kept


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("case", [case for case in READ if case != "a mark before it"])
def test_an_uploaded_file_is_read_in_every_encoding(case, encoding, page):
    key, given, kept = READ[case]
    file = SimpleUploadedFile("a.pem", given.encode(encoding))
    assert page(**{f"{key}_file": file}).status_code == 302
    assert in_draft(key) == kept


@pytest.mark.parametrize("case", NAMED)
def test_what_can_not_be_used_is_named_alike(case, page, admin_api):
    key, given, told = NAMED[case]
    assert told in page(**{key: given}).content.decode()
    file = SimpleUploadedFile("a.p12", given.encode())
    assert told in page(**{f"{key}_file": file}).content.decode()
    body = {"config_key": key, "config_value": given}
    status, answer = admin_api("put", "admin/config/wechat", body)
    assert status == 200
    assert told in answer["data"]["warnings"][0]
    assert gateway_config_current("wechat").values[key] == given, "saved as it was given"


@pytest.mark.parametrize(
    ("key", "value", "is_warned"),
    [
        ("app_id", "wx0123456789abcdef", False),
        ("app_id", "gh_0123456789", True),
        ("cert_serial_no", str(MERCHANT_SERIAL), True),
        ("public_key_id", PUBLIC_KEY_ID.lower(), True),
        ("api_v3_key", "short", True),
        ("mch_id", "1900000109", False),
    ],
)
def test_the_api_warns_of_a_value_that_cannot_work(key, value, is_warned, admin_api):
    body = {"config_key": key, "config_value": value}
    status, answer = admin_api("put", "admin/config/wechat", body)
    assert (status, bool(answer["data"])) == (200, is_warned)
    if is_warned:
        assert "怎么办" in answer["data"]["warnings"][0]
        assert value not in str(answer["data"])


def test_the_api_does_not_tell_whether_a_file_is_there(admin_api, tmp_path):
    there = tmp_path / "apiclient_cert.pem"
    there.write_text(certificate_pem("merchant", 9))
    answers = []
    for path in (there, tmp_path / "nothing.pem"):
        for key, value in (("cert_path", str(path)), ("cert_serial_no", f"{MERCHANT_SERIAL:X}")):
            body = {"config_key": key, "config_value": value}
            answers.append(admin_api("put", "admin/config/wechat", body)[1]["data"])
    assert answers == [None] * 4


def test_where_two_people_are_needed_the_api_changes_nothing(admin_api, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    body = {"config_key": "private_key", "config_value": "x"}
    assert admin_api("put", "admin/config/wechat", body)[0] == 409
    assert not PaymentConfigVersion.objects.exists()


# -- a file of configuration -----------------------------------------------------------------------

WECHAT = {
    "mchid": "1900000109",
    "appid": "wx0123456789abcdef",
    "apiv3_key": "k" * 32,
    "merchant_serial_no": f"{MERCHANT_SERIAL:X}",
    "merchant_private_key_file": "merchant.pem",
    "public_key_id": PUBLIC_KEY_ID,
    "platform_public_key_file": "wechat.pem",
    "platform_serial_no": f"{PLATFORM_SERIAL:X}",
    "platform_cert_file": "platform.pem",
}
ALIPAY = {
    "app_id": "2021001234567890",
    "seller_id": "2088000000000001",
    "app_private_key_file": "app.pem",
    "alipay_public_key_file": "alipay.pem",
}
ROOT = signed_certificate("root", 1, subject="root", is_authority=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "merchant.pem": BUNDLE.encode("gbk"),
        "wechat.pem": public_pem("wechat").encode("utf-8-sig"),
        "platform.pem": certificate_pem("platform", PLATFORM_SERIAL).encode(),
        "old.pem": certificate_pem("platform", PLATFORM_SERIAL, -1).encode(),
        "app.pem": base64.b64decode(bare(private_pem("app"))),
        "alipay.pem": bare(public_pem("alipay")).rstrip("=").encode(),
        "app.crt": signed_certificate("app", 2, subject="app", issuer=("root", ROOT)).encode(),
        "alipay.crt": signed_certificate("alipay", 3, subject="a", issuer=("root", ROOT)).encode(),
        "root.crt": ROOT.replace("\n", "\r\n").encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def load(folder: Path, encoding: str = "utf-8", **sections: Any) -> None:
    (folder / "config.json").write_bytes(json.dumps(sections).encode(encoding))
    arguments = ["--notify-base", "https://pay.example.com"]
    call_command(
        "load_gateway_config",
        str(folder / "config.json"),
        *arguments,
        stdout=StringIO(),
        stderr=StringIO(),
    )


def values(method: str) -> dict[str, str]:
    return dict(gateway_config_current(method).values)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_for_one_gateway_leaves_the_other_alone(folder, encoding):
    load(folder, wechat=WECHAT, alipay=ALIPAY)
    before = gateway_config_current("alipay")
    load(folder, encoding, wechat={**WECHAT, "mchid": "1900000110"})
    assert values("wechat")["mch_id"] == "1900000110"
    assert gateway_config_current("alipay") == before
    load(folder, encoding, alipay={**ALIPAY, "seller_id": "2088000000000002"})
    assert values("alipay")["seller_id"] == "2088000000000002"


def test_the_files_that_it_names_are_read_in_every_form(folder):
    load(folder, wechat=WECHAT, alipay=ALIPAY)
    assert values("wechat")["private_key"] == PRIVATE
    assert values("wechat")["public_key"] == public_pem("wechat")
    assert values("alipay")["private_key"] == private_pem("app")
    assert values("alipay")["public_key"] == public_pem("alipay")


@pytest.mark.parametrize(
    ("mode", "changes", "has_key", "has_certificate"),
    [
        (None, {}, True, True),
        ("both", {}, True, True),
        ("pubkey", {}, True, True),
        ("pubkey", {"platform_cert_file": "nothing.pem"}, True, False),
        ("pubkey", {"platform_cert_file": "old.pem"}, True, False),
        ("pubkey", {"platform_serial_no": "77"}, True, False),
        (None, {"platform_cert_file": ""}, True, False),
        ("cert", {}, False, True),
        (None, {"platform_public_key_file": "", "public_key_id": ""}, False, True),
    ],
)
def test_both_keys_of_a_migration_are_taken(folder, mode, changes, has_key, has_certificate):
    load(folder, wechat={**WECHAT, **changes, **({"sign_mode": mode} if mode else {})})
    found = values("wechat")
    assert ("public_key" in found, "public_key_id" in found) == (has_key, has_key)
    assert ("platform_cert" in found) is has_certificate


def test_both_means_both(folder):
    for changes in ({"platform_cert_file": "old.pem"}, {"platform_public_key_file": "no.pem"}):
        with pytest.raises(CommandError, match="没有任何改动"):
            load(folder, wechat={**WECHAT, "sign_mode": "both", **changes})


def test_alipays_certificate_mode_is_taken_from_a_file(folder):
    certificates = {
        "app_cert_file": "app.crt",
        "alipay_cert_file": "alipay.crt",
        "alipay_root_cert_file": "root.crt",
    }
    load(folder, alipay={**ALIPAY, **certificates})
    found = values("alipay")
    assert "public_key" not in found
    assert found["root_cert"] == ROOT
    assert {"app_cert", "alipay_cert"} <= found.keys()
    with pytest.raises(CommandError, match="alipay_root_cert_file"):
        load(folder, alipay={**ALIPAY, **certificates, "alipay_root_cert_file": ""})


def test_a_wrong_file_is_named_with_what_to_do(folder):
    (folder / "merchant.pem").write_bytes(base64.b64decode(P12))
    with pytest.raises(CommandError, match=r"merchant_private_key_file: .*apiclient_key\.pem"):
        load(folder, wechat=WECHAT)
