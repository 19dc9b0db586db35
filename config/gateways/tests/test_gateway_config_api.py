import json

import pytest

from config.conftest import Api
from config.gateways.fields import KNOWN_KEYS, VALUE_BYTES_MAX
from config.gateways.selectors import gateway_config_current
from config.models import PaymentConfig, PaymentConfigVersion
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import Role

pytestmark = pytest.mark.django_db

GUIDE = [
    ("wechat", "app_id", "wx1234567890abcdef", False),
    ("wechat", "mch_id", "1234567890", False),
    ("wechat", "api_key", "your-api-key-here", True),
    ("wechat", "cert_path", "/path/to/cert/apiclient_cert.pem", False),
    ("wechat", "notify_url", "https://yourdomain.com/payment/callback?method=wechat", False),
    ("alipay", "app_id", "2021001234567890", False),
    ("alipay", "private_key", "your-rsa-private-key", True),
    ("alipay", "public_key", "alipay-public-key", True),
    ("alipay", "notify_url", "https://yourdomain.com/payment/callback?method=alipay", False),
    ("alipay", "return_url", "https://yourdomain.com/payment/success", False),
]

# What the guide prints in the place of real keys is saved, and said to be of no use.
UNUSABLE = {"your-api-key-here", "your-rsa-private-key", "alipay-public-key"}


def put(api: Api, method: str, key: object, value: object, is_encrypted: object = False):
    body = {"config_key": key, "config_value": value, "is_encrypted": is_encrypted}
    return api("put", f"admin/config/{method}", body)


def row_of(method: str, key: str) -> PaymentConfig:
    return PaymentConfig.objects.get(payment_method=method, config_key=key)


def test_the_migrations_insert_the_documented_keys_empty():
    for method, key, _, is_encrypted in GUIDE:
        row = row_of(method, key)
        assert (row.config_value, row.is_encrypted) == ("", is_encrypted)
        assert row.description


@pytest.mark.parametrize(("method", "key", "value", "is_encrypted"), GUIDE)
def test_the_guides_calls_work_as_printed(admin_api, method, key, value, is_encrypted):
    status, body = put(admin_api, method, key, value, is_encrypted)
    assert (status, body["message"]) == (200, "支付配置更新成功")
    assert bool(body["data"]) is (value in UNUSABLE)
    assert gateway_config_current(method).values[key] == value


@pytest.mark.parametrize(
    ("method", "key"),
    [(m, k.name) for m, keys in KNOWN_KEYS.items() for k in keys.values() if k.is_secret],
)
def test_a_secret_is_sealed_and_masked_whatever_the_caller_says(admin_api, method, key):
    assert put(admin_api, method, key, "CANARY-7f3a", False)[0] == 200
    row = row_of(method, key)
    assert row.config_value.startswith("enc:2:")
    assert "CANARY" not in row.config_value
    assert row.is_encrypted
    shown = {r["config_key"]: r for r in admin_api("get", f"admin/config/{method}")[1]["data"]}
    assert shown[key]["config_value"] == "********"
    assert shown[key]["is_encrypted"] is True


def test_a_plain_value_is_stored_and_shown_plain_or_sealed_and_masked_when_asked(admin_api):
    put(admin_api, "wechat", "app_id", "wx1", False)
    assert row_of("wechat", "app_id").config_value == "wx1"
    put(admin_api, "wechat", "app_id", "wx1", True)
    assert row_of("wechat", "app_id").config_value.startswith("enc:2:")
    shown = {r["config_key"]: r for r in admin_api("get", "admin/config/wechat")[1]["data"]}
    assert shown["app_id"]["config_value"] == "********"
    assert gateway_config_current("wechat").values["app_id"] == "wx1"


def test_what_is_empty_is_shown_empty(admin_api):
    status, body = admin_api("get", "admin/config/wechat")
    assert (status, body["message"]) == (200, "获取支付配置成功")
    assert {row["config_value"] for row in body["data"]} == {""}
    expected = {"config_key", "config_value", "is_encrypted", "description", "updated_at"}
    assert set(body["data"][0]) == expected


def test_a_value_that_looks_sealed_is_taken_as_text(admin_api):
    put(admin_api, "wechat", "app_id", "enc:1:abc")
    assert gateway_config_current("wechat").values["app_id"] == "enc:1:abc"


@pytest.mark.parametrize("verb", ["get", "put"])
@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ADMIN, 200),
        (Role.PATIENT, 403),
        (Role.DOCTOR, 403),
        (Role.SERVICE, 403),
        (None, 401),
    ],
)
def test_only_an_admin_configures(verb, role, status):
    body = {"config_key": "mch_id", "config_value": "1", "is_encrypted": False}
    given = body if verb == "put" else None
    assert Api(role)(verb, "admin/config/wechat", given)[0] == status
    assert row_of("wechat", "mch_id").config_value == (
        "1" if (verb, status) == ("put", 200) else ""
    )


@pytest.mark.parametrize("method", ["paypal", "WECHAT", "balance", "wechat%00", "..."])
def test_another_method_does_not_exist(admin_api, method):
    for status, body in (
        put(admin_api, method, "app_id", "x"),
        admin_api("get", f"admin/config/{method}"),
    ):
        assert (status, body["code"]) == (404, "NOT_FOUND")


BAD = [
    ("unknown", "x", False),
    ("APP_ID", "x", False),
    ("app_id ; drop", "x", False),
    ("return_url", "https://a.example", False),  # Alipay's, not WeChat's
    ("", "x", False),
    (None, "x", False),
    (5, "x", False),
    ("app_id", "", False),
    ("app_id", "   ", False),
    ("app_id", None, False),
    ("app_id", 5, False),
    ("app_id", ["x"], False),
    ("app_id", "a\x00b", False),
    ("app_id", "\ud800", False),
    ("app_id", "x" * (VALUE_BYTES_MAX + 1), False),
    ("app_id", "中" * (VALUE_BYTES_MAX // 2), False),
    ("app_id", "x", "false"),
    ("app_id", "x", 0),
    ("notify_url", "javascript:alert(1)", False),
    ("notify_url", "http://10.0.0.1/x", False),
    ("base_url", "ftp://a.example", False),
]


@pytest.mark.parametrize(("key", "value", "is_encrypted"), BAD)
def test_a_bad_value_is_refused_and_changes_nothing(admin_api, key, value, is_encrypted):
    status, body = put(admin_api, "wechat", key, value, is_encrypted)
    assert (status, body["code"]) == (400, "VALIDATION_ERROR")
    assert not PaymentConfig.objects.exclude(config_value="").exists()
    assert not PaymentConfigVersion.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_field_that_is_not_known_is_refused(admin_api):
    body = {"config_key": "app_id", "config_value": "x", "payment_method": "alipay"}
    assert admin_api("put", "admin/config/wechat", body)[0] == 400


def test_development_addresses_are_no_keys_with_debug_off(admin_api, settings):
    settings.DEBUG = True
    assert put(admin_api, "wechat", "base_url", "http://127.0.0.1:9000")[0] == 200
    assert "base_url" in gateway_config_current("wechat").values
    settings.DEBUG = False
    assert put(admin_api, "wechat", "base_url", "https://a.example")[0] == 400
    assert "base_url" not in gateway_config_current("wechat").values


def test_no_secret_is_in_logs_answers_audit_rows_or_versions(admin_api, caplog):
    caplog.set_level("DEBUG")
    canary = "CANARY-5d1e"
    for method, keys in KNOWN_KEYS.items():
        for key in keys.values():
            if key.is_secret:
                put(admin_api, method, key.name, canary)
                put(admin_api, method, key.name, canary, "not a boolean")
                put(admin_api, method, key.name + "x", canary)
    answers = [admin_api("get", f"admin/config/{method}")[1] for method in KNOWN_KEYS]
    stored = [
        list(model.objects.values_list())
        for model in (AuditEvent, PaymentConfig, PaymentConfigVersion)
    ]
    assert AuditEvent.objects.count() == 5
    assert canary not in json.dumps([answers, stored], default=str) + caplog.text


def test_one_person_changes_nothing_where_two_are_needed(admin_api, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    versions = PaymentConfigVersion.objects.count()
    status, body = put(admin_api, "wechat", "app_id", "wx1234567890abcdef")
    assert (status, body["code"]) == (409, "CONFIG_NEEDS_SECOND_PERSON")
    assert "第二人" in body["message"]
    assert row_of("wechat", "app_id").config_value == ""
    assert PaymentConfigVersion.objects.count() == versions
    assert put(admin_api, "paypal", "app_id", "x")[0] == 404
