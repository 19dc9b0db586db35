import json
from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from config.conftest import ADMIN
from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_config_set
from config.models import PaymentConfig

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command(*arguments, stdout=output, stderr=StringIO())
    except SystemExit as ended:
        return int(str(ended.code)), output.getvalue()
    return 0, output.getvalue()


def report(*arguments: str) -> tuple[int, dict[str, set[str]]]:
    code, text = run("check_payment_config", "--json", *arguments)
    found = json.loads(text)
    return code, {
        method: {f["key"] for f in findings if f["level"] == "error"}
        for method, findings in found.items()
    }


@pytest.fixture
def folder(tmp_path: Path, settings, private_pem: str, platform_pem: str) -> Path:
    settings.DEBUG = True  # the addresses of stand-in gateways are for development
    (tmp_path / "merchant.pem").write_text(private_pem)
    (tmp_path / "platform.pem").write_text(platform_pem)
    write(tmp_path, **{})
    return tmp_path


def write(folder: Path, **changes: object) -> None:
    whole: dict[str, dict[str, object]] = {
        "wechat": {
            "mchid": "1900000001",
            "appid": "wx1234567890abcdef",
            "apiv3_key": "0123456789abcdef0123456789ABCDEF",
            "merchant_serial_no": "5A3B",
            "merchant_private_key_file": "merchant.pem",
            "public_key_id": "PUB_KEY_ID_1",
            "platform_public_key_file": str(folder / "platform.pem"),
            "platform_serial_no": "77",
            "platform_cert_file": "platform_cert.pem",
            "base_url": "http://127.0.0.1:9100",
            "sign_mode": "pubkey",
        },
        "alipay": {
            "app_id": "2021001234567890",
            "seller_id": "2088000000000000",
            "sign_type": "RSA2",
            "charset": "utf-8",
            "app_private_key_file": "merchant.pem",
            "alipay_public_key_file": "platform.pem",
            "gateway_url": "http://127.0.0.1:9100/gateway.do",
        },
    }
    for path, value in changes.items():
        section, _, name = path.partition("__")
        whole[section][name] = value
    (folder / "config.json").write_text(json.dumps(whole))


def load(folder: Path, *arguments: str) -> tuple[int, str]:
    return run("load_gateway_config", str(folder / "config.json"), *arguments)


def test_an_unconfigured_demo_is_told_what_is_missing():
    code, missing = report()
    assert code == 1
    assert missing["alipay"] == {"app_id", "private_key", "public_key", "notify_url"}
    assert {"app_id", "mch_id", "api_v3_key", "private_key"} <= missing["wechat"]
    code, text = run("check_payment_config")
    assert code == 1
    assert "未填写" in text


def test_a_loaded_file_is_the_active_configuration_and_healthy(folder):
    assert load(folder)[0] == 0
    wechat = gateway_config_current("wechat").values
    assert wechat["api_v3_key"] == "0123456789abcdef0123456789ABCDEF"
    assert wechat["public_key"].startswith("-----BEGIN PUBLIC KEY-----")
    assert wechat["notify_url"].endswith("/payment/callback/wechat")
    assert "platform_cert" not in wechat
    assert gateway_config_current("alipay").values["gateway_url"].endswith("/gateway.do")
    assert report() == (0, {"wechat": set(), "alipay": set()})


def test_a_scene_may_have_an_app_of_its_own(folder):
    write(folder, wechat__appid_mini_program="wxabcdef1234567890")
    assert load(folder)[0] == 0
    values = gateway_config_current("wechat").values
    assert values["app_id_mini_program"] == "wxabcdef1234567890"
    assert "app_id_jsapi" not in values
    write(folder, wechat__appid_app="wx1")
    with pytest.raises(CommandError, match="没有任何改动"):
        load(folder)


def test_loading_keeps_our_own_addresses_unless_told(folder):
    url = "https://pay.example.com/payment/callback?method=wechat"
    gateway_config_set(actor=ADMIN, method="wechat", key="notify_url", value=url)
    load(folder)
    assert gateway_config_current("wechat").values["notify_url"] == url
    load(folder, "--notify-base", "https://other.example.com/")
    new = gateway_config_current("wechat").values["notify_url"]
    assert new == "https://other.example.com/payment/callback/wechat"


@pytest.mark.parametrize(
    "change",
    [
        {"wechat__mchid": ""},
        {"wechat__merchant_serial_no": "123456789012345678901234567890123456789012345678"},
        {"wechat__appid": "wx1"},
        {"wechat__public_key_id": "pub_key_id_1"},
        {"alipay__app_id": "2021"},
        {"wechat__apiv3_key": "short"},
        {"wechat__merchant_private_key_file": "missing.pem"},
        {"wechat__merchant_private_key_file": "platform.pem"},
        {"wechat__sign_mode": "md5"},
        {"wechat__sign_mode": "cert"},  # there is no platform_cert.pem
        {"wechat__base_url": "ftp://x"},
        {"wechat__mchid": 1900000001},
        {"alipay__app_id": ""},
        {"alipay__sign_type": "RSA"},
        {"alipay__charset": "gbk"},
        {"alipay__alipay_public_key_file": "merchant.pem"},
        {"alipay__gateway_url": "http://u:p@127.0.0.1/x"},
    ],
)
def test_a_bad_file_is_refused_before_anything_is_written(folder, change):
    write(folder, **change)
    with pytest.raises(CommandError, match="没有任何改动"):
        load(folder)
    assert not PaymentConfig.objects.exclude(config_value="").exists()


def test_stand_in_addresses_are_refused_with_debug_off(folder, settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="没有任何改动"):
        load(folder)
    assert not PaymentConfig.objects.exclude(config_value="").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"wechat": {}}', '{"wechat": {}, "alipay": 5}'])
def test_a_file_of_another_shape_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CommandError):
        load(folder)
    with pytest.raises(CommandError):
        run("load_gateway_config", str(folder / "nothing.json"))


@pytest.mark.parametrize(
    ("key", "value", "is_wrong"),
    [
        ("api_v3_key", "x" * 31, True),
        ("api_v3_key", "x" * 32, False),
        ("private_key", "your-rsa-private-key", True),
        ("public_key", "junk", True),
        ("platform_cert", "junk", True),
    ],
)
def test_the_check_finds_malformed_values(folder, key, value, is_wrong):
    load(folder)
    gateway_config_set(actor=ADMIN, method="wechat", key=key, value=value)
    code, found = report("--method", "wechat")
    assert (code, found["wechat"]) == ((1, {key}) if is_wrong else (0, set()))


def test_a_documented_api_key_of_32_bytes_serves_as_the_apiv3_key(folder):
    load(folder)
    PaymentConfig.objects.filter(config_key="api_v3_key").update(config_value="")
    gateway_config_set(actor=ADMIN, method="wechat", key="api_key", value="k" * 32)
    assert report("--method", "wechat")[0] == 0


def test_an_unreadable_certificate_matters_only_without_a_serial_number(folder):
    load(folder)
    path = str(folder / "missing.pem")
    gateway_config_set(actor=ADMIN, method="wechat", key="cert_path", value=path)
    assert report("--method", "wechat")[0] == 0
    PaymentConfig.objects.filter(config_key="cert_serial_no").update(config_value="")
    assert report("--method", "wechat") == (1, {"wechat": {"cert_path"}})


def test_the_check_names_what_cannot_be_decrypted(folder, settings):
    gateway_config_set(actor=ADMIN, method="alipay", key="private_key", value="CANARY")
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    from config.gateways.versions import _opened

    _opened.cache_clear()
    code, found = report("--method", "alipay")
    assert (code, found["alipay"]) == (1, {"private_key"})


def test_the_check_and_the_loader_show_no_secret(folder):
    outputs = [load(folder)[1], run("check_payment_config")[1]]
    assert "0123456789abcdef" not in "".join(outputs)
    assert "BEGIN" not in "".join(outputs)


def test_keys_are_rotated_by_the_command(settings):
    gateway_config_set(actor=ADMIN, method="wechat", key="api_key", value="k")
    old = settings.CONFIG_ENCRYPTION_KEYS
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *old]
    code, text = run("rotate_config_keys", "--json")
    assert (code, json.loads(text)["rows"]) == (0, 1)
    settings.CONFIG_ENCRYPTION_KEYS = old
    with pytest.raises(CommandError, match=r"wechat\.api_key"):
        run("rotate_config_keys")
