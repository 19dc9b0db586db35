from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.db import connection

from backoffice.ops.encryption_keys import encryption_keys_rotate
from config.conftest import ADMIN
from config.gateways.selectors import (
    KEY_OVERLAP,
    gateway_config_current,
    gateway_config_recent,
    gateway_config_version,
)
from config.gateways.services import (
    gateway_config_clear,
    gateway_config_set,
    gateway_configs_replace,
)
from config.gateways.versions import _opened
from config.models import PaymentConfig, PaymentConfigVersion
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.errors import InvalidInput
from tcmpay.common.sealing import (
    PREFIX,
    ConfigKeysMalformed,
    ConfigSecretUnreadable,
    ensure_keys_usable,
    is_sealed_with_first_key,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_opened():
    _opened.cache_clear()


def set_value(key: str, value: str, **rest) -> PaymentConfig:
    return gateway_config_set(actor=ADMIN, method="wechat", key=key, value=value, **rest)


def actions() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("id").values_list("object_id", "action"))


def test_each_change_is_a_version_and_an_attempt_keeps_its_own():
    set_value("mch_id", "1")
    first = gateway_config_current("wechat")
    set_value("mch_id", "2")
    second = gateway_config_current("wechat")
    assert first.version_id != second.version_id
    assert gateway_config_version(first.version_id) == {"mch_id": "1"}
    assert second.values == {"mch_id": "2"}
    assert PaymentConfigVersion.objects.filter(retired_at=None).count() == 1


def test_the_same_value_again_changes_nothing():
    set_value("api_key", "k")
    before = gateway_config_current("wechat").version_id, actions()
    set_value("api_key", "k")
    assert (gateway_config_current("wechat").version_id, actions()) == before


def test_an_unconfigured_gateway_has_a_version_without_values():
    current = gateway_config_current("alipay")
    assert current.values == {}
    assert gateway_config_current("alipay").version_id == current.version_id
    assert actions() == []


def test_the_audit_says_that_something_changed_but_not_what():
    set_value("mch_id", "1900000001")
    set_value("mch_id", "1900000002")
    gateway_config_clear(actor=ADMIN, method="wechat", key="mch_id")
    assert [action for _, action in actions()] == [
        "config_set",
        "config_changed",
        "config_cleared",
    ]
    event = AuditEvent.objects.order_by("id")[1]
    assert (event.object_type, event.object_id) == ("payment_config", "wechat.mch_id")
    assert event.actor_id == ADMIN.id
    assert "1900000002" not in str(event.details)
    assert len(event.details["fingerprint"]) == 8


def update_by_sql(key: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payment_configs SET config_value = %s"
            " WHERE payment_method = 'wechat' AND config_key = %s",
            [value, key],
        )


def test_a_change_by_sql_becomes_a_version_of_its_own():
    set_value("mch_id", "1")
    set_value("app_id", "wx1")
    before = gateway_config_current("wechat")
    update_by_sql("mch_id", "2")
    after = gateway_config_current("wechat")
    assert after.values == {"mch_id": "2", "app_id": "wx1"}
    assert after.version_id != before.version_id
    assert gateway_config_current("wechat").version_id == after.version_id
    assert actions()[2:] == [("wechat.mch_id", "config_changed_outside")]
    assert AuditEvent.objects.order_by("-id")[0].actor_role == SYSTEM.role


def test_a_change_by_sql_is_recorded_apart_from_the_change_that_follows():
    update_by_sql("mch_id", "2")
    set_value("app_id", "wx1")
    assert actions() == [
        ("wechat.mch_id", "config_changed_outside"),
        ("wechat.app_id", "config_set"),
    ]
    assert PaymentConfigVersion.objects.count() == 2


@pytest.mark.parametrize(
    ("moved", "expected"),
    [(KEY_OVERLAP - timedelta(seconds=1), ["2", "1"]), (KEY_OVERLAP + timedelta(seconds=1), ["2"])],
)
def test_previous_values_are_recent_for_the_overlap(noon, moved, expected):
    set_value("mch_id", "1")
    set_value("mch_id", "2")
    with clock.frozen(noon + moved):
        recent = [found.values.get("mch_id") for found in gateway_config_recent("wechat")]
    assert [value for value in recent if value] == expected


def test_replacing_empties_what_is_left_out_but_our_own_addresses():
    set_value("mch_id", "1")
    set_value("api_key", "k")
    set_value("notify_url", "https://pay.example.com/payment/callback/wechat")
    gateway_configs_replace(actor=ADMIN, configs={"wechat": {"mch_id": "2"}})
    assert gateway_config_current("wechat").values == {
        "mch_id": "2",
        "notify_url": "https://pay.example.com/payment/callback/wechat",
    }
    assert PaymentConfigVersion.objects.filter(payment_method="wechat").count() == 5


def test_replacing_is_all_or_nothing():
    with pytest.raises(InvalidInput):
        gateway_configs_replace(
            actor=ADMIN, configs={"alipay": {"app_id": "1"}, "wechat": {"nonsense": "1"}}
        )
    assert not PaymentConfig.objects.exclude(config_value="").exists()


# --- keys of the keys -------------------------------------------------------------------------
@pytest.fixture
def keys(settings):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.CONFIG_ENCRYPTION_KEYS = [old]
    set_value("api_key", "CANARY-1")
    set_value("api_key", "CANARY-2")
    set_value("app_id", "wx1")
    return old, new


def test_rotation_seals_rows_and_versions_with_the_first_key_alone(settings, keys):
    old, new = keys
    version = gateway_config_current("wechat").version_id
    settings.CONFIG_ENCRYPTION_KEYS = [new, old]
    result = encryption_keys_rotate(actor=SYSTEM)
    assert (result.rows, result.newly_sealed) == (1, 0)
    settings.CONFIG_ENCRYPTION_KEYS = [new]
    _opened.cache_clear()
    current = gateway_config_current("wechat")
    assert current.version_id == version
    assert current.values == {"api_key": "CANARY-2", "app_id": "wx1"}
    recent = [found.values.get("api_key") for found in gateway_config_recent("wechat")]
    assert recent[:3] == ["CANARY-2", "CANARY-2", "CANARY-1"]
    sealed = PaymentConfig.objects.get(payment_method="wechat", config_key="api_key")
    assert is_sealed_with_first_key(sealed.config_value)
    assert actions()[-1] == ("encryption_keys", "config_keys_rotated")


def test_rotation_seals_secrets_that_sql_left_plain(settings):
    update_by_sql("api_key", "CANARY")
    assert encryption_keys_rotate(actor=SYSTEM).newly_sealed == 1
    row = PaymentConfig.objects.get(payment_method="wechat", config_key="api_key")
    assert row.config_value.startswith(PREFIX)
    assert gateway_config_current("wechat").values["api_key"] == "CANARY"


def test_rotation_without_the_old_key_changes_nothing_and_names_the_values(settings, keys):
    _, new = keys
    before = list(PaymentConfig.objects.order_by("id").values_list("config_value", flat=True))
    settings.CONFIG_ENCRYPTION_KEYS = [new]
    with pytest.raises(ConfigSecretUnreadable, match=r"wechat\.api_key"):
        encryption_keys_rotate(actor=SYSTEM)
    after = list(PaymentConfig.objects.order_by("id").values_list("config_value", flat=True))
    assert after == before


def test_a_wrong_key_fails_closed_and_says_what_to_do(settings, keys):
    _, new = keys
    settings.CONFIG_ENCRYPTION_KEYS = [new]
    _opened.cache_clear()
    with pytest.raises(ConfigSecretUnreadable, match="CONFIG_ENCRYPTION_KEYS lacks the key"):
        gateway_config_current("wechat")


def test_migrate_and_check_stop_at_a_wrong_key(settings, keys):
    _, new = keys
    assert "config.E001" not in [found.id for found in run_checks(databases=["default"])]
    settings.CONFIG_ENCRYPTION_KEYS = [new]
    assert "config.E001" in [found.id for found in run_checks(databases=["default"])]


def test_after_a_lost_key_staff_can_enter_the_values_again(settings, keys):
    _, new = keys
    settings.CONFIG_ENCRYPTION_KEYS = [new]
    _opened.cache_clear()
    set_value("api_key", "CANARY-3")
    assert gateway_config_current("wechat").values["api_key"] == "CANARY-3"
    # Versions that nobody can open any more don't keep callbacks from being verified.
    assert gateway_config_recent("wechat")[0].values["api_key"] == "CANARY-3"


@pytest.mark.parametrize("bad", [[], ["short"], ["x" * 44], ["中" * 44]])
def test_malformed_keys_are_refused_at_the_start(settings, bad):
    settings.CONFIG_ENCRYPTION_KEYS = bad
    with pytest.raises(ConfigKeysMalformed, match="CONFIG_ENCRYPTION_KEYS"):
        ensure_keys_usable()
