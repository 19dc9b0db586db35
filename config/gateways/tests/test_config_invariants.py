import pytest
from cryptography.fernet import Fernet

from config.conftest import ADMIN
from config.gateways.invariants import invariants
from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_config_set
from config.models import PaymentConfig, PaymentConfigVersion

pytestmark = pytest.mark.django_db


def codes() -> list[tuple[str, str]]:
    return [(found.code, found.object_id) for found in invariants()]


@pytest.fixture(autouse=True)
def _configured():
    gateway_config_set(actor=ADMIN, method="wechat", key="api_key", value="k")


def test_nothing_is_wrong_at_first():
    assert codes() == []


def test_an_unknown_key_is_found():
    PaymentConfig.objects.create(payment_method="wechat", config_key="nonsense")
    assert codes() == [("C2", "wechat.nonsense")]


def test_a_plain_secret_is_found_and_a_plain_value_is_not():
    rows = PaymentConfig.objects.filter(payment_method="wechat")
    rows.filter(config_key="app_id").update(config_value="wx1")
    assert codes() == []
    rows.filter(config_key="api_key").update(config_value="CANARY")
    assert codes() == [("C3", "wechat.api_key")]
    assert all("CANARY" not in str(found.message) for found in invariants())


def test_what_cannot_be_decrypted_is_found(settings):
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert codes() == [("C4", "wechat.api_key"), ("C4", "wechat v2 api_key")]


def test_two_versions_in_force_are_found():
    gateway_config_current("wechat")
    PaymentConfigVersion.objects.update(retired_at=None)
    assert codes() == [("C5", "wechat")]
