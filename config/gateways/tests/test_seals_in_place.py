"""A sealed value that somebody moves by SQL shows nothing to anybody, and is noticed."""

import json
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import call_command

from backoffice.ops.encryption_keys import encryption_keys_rotate
from config.conftest import ADMIN
from config.gateways.drafts import candidate_of, draft_save
from config.gateways.fields import KNOWN_KEYS
from config.gateways.invariants import seals_in_place
from config.gateways.places import row_place
from config.gateways.selectors import gateway_config_current, gateway_config_version
from config.gateways.services import gateway_config_set
from config.gateways.versions import _opened
from config.models import PaymentConfig, PaymentConfigDraft, PaymentConfigVersion
from tcmpay.accounts.models import StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import enrolment_begin
from tcmpay.common.actor import SYSTEM
from tcmpay.common.sealing import ConfigSecretUnreadable, former_seal, is_unbound, seal

pytestmark = pytest.mark.django_db

SECRET = "CANARY-" + "k" * 25
SETTINGS = [
    (method, key.name)
    for method, keys in KNOWN_KEYS.items()
    for key in keys.values()
    if not key.is_secret
]
bind = import_module("config.migrations.0019_values_sealed_for_their_place")
bind_devices = import_module("tcmpay.accounts.migrations.0010_keys_sealed_for_their_row")


@pytest.fixture(autouse=True)
def _nothing_opened():
    _opened.cache_clear()


def put(method: str, key: str, value: str, **rest) -> PaymentConfig:
    return gateway_config_set(actor=ADMIN, method=method, key=key, value=value, **rest)


def update(method: str, key: str, **changes) -> None:
    PaymentConfig.objects.update_or_create(payment_method=method, config_key=key, defaults=changes)


def noticed() -> set[str]:
    return {violation.object_id for violation in seals_in_place()}


@pytest.mark.parametrize(("method", "key"), SETTINGS)
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_secret_copied_into_a_setting_opens_nowhere(method, key, is_encrypted):
    sealed = put("wechat", "api_v3_key", SECRET).config_value
    update(method, key, config_value=sealed, is_encrypted=is_encrypted)
    with pytest.raises(ConfigSecretUnreadable, match=rf"{method}\.{key}"):
        gateway_config_current(method)
    assert f"{method}.{key}" in noticed()


@pytest.mark.parametrize(("method", "key"), SETTINGS)
def test_nor_one_of_before_seals_were_bound(method, key):
    update(method, key, config_value=former_seal(SECRET))
    with pytest.raises(ConfigSecretUnreadable):
        gateway_config_current(method)
    assert f"{method}.{key}" in noticed()


def test_a_secret_moved_inside_a_version_opens_not():
    put("alipay", "return_url", "https://clinic.test/back")
    put("alipay", "private_key", SECRET)
    version = PaymentConfigVersion.objects.get(payment_method="alipay", retired_at=None)
    texts = json.loads(version.encrypted_values)
    texts["return_url"] = texts["private_key"]
    PaymentConfigVersion.objects.filter(id=version.id).update(encrypted_values=json.dumps(texts))
    with pytest.raises(ConfigSecretUnreadable, match=r"alipay\.return_url"):
        gateway_config_version(version.id)
    assert noticed() == {f"alipay v{version.number} return_url"}


def test_a_versions_values_open_in_no_other_version():
    put("wechat", "api_v3_key", SECRET)
    first = PaymentConfigVersion.objects.get(payment_method="wechat", retired_at=None)
    put("wechat", "api_v3_key", SECRET.lower())
    PaymentConfigVersion.objects.filter(payment_method="wechat", retired_at=None).update(
        encrypted_values=first.encrypted_values
    )
    with pytest.raises(ConfigSecretUnreadable):
        gateway_config_current("wechat")


def test_a_secret_moved_into_a_draft_is_not_shown():
    draft_save(actor=ADMIN, method="alipay", values={"private_key": SECRET}, revision=0)
    draft = PaymentConfigDraft.objects.get()
    texts = json.loads(draft.encrypted_values)
    PaymentConfigDraft.objects.update(
        encrypted_values=json.dumps({"return_url": texts["private_key"]})
    )
    assert candidate_of("alipay").values == {}
    assert noticed() == {"alipay return_url"}


def test_an_authenticators_key_opens_in_no_other_row():
    person = StaffUser.objects.create_user("one", password="x", is_staff=True)
    device = enrolment_begin(person)
    copied = TotpDevice.objects.create(user=person, name="app", sealed_key=device.sealed_key)
    with pytest.raises(ConfigSecretUnreadable):
        copied.key()
    assert noticed() == {f"staff_totp_devices {copied.pk}"}


def test_what_lies_in_its_place_is_not_reported():
    put("wechat", "api_v3_key", SECRET)
    put("wechat", "app_id", "wx1", is_encrypted=True)
    draft_save(actor=ADMIN, method="wechat", values={"mch_id": "1900000001"}, revision=0)
    enrolment_begin(StaffUser.objects.create_user("one", password="x", is_staff=True))
    assert noticed() == set()


# --- from the release before ------------------------------------------------------------------


def former_state() -> TotpDevice:
    """Rows, versions, a draft and an authenticator as the release before sealed them."""
    put("wechat", "api_v3_key", SECRET)
    put("wechat", "app_id", "wx1", is_encrypted=True)
    draft_save(actor=ADMIN, method="wechat", values={"mch_id": "1900000001"}, revision=0)
    device = enrolment_begin(StaffUser.objects.create_user("one", password="x", is_staff=True))
    bind.unbind(apps, None)
    bind_devices.unbind(apps, None)
    device.refresh_from_db()
    assert is_unbound(device.sealed_key)
    return device


def test_an_installation_of_before_works_on_after_migrating():
    device = former_state()
    key = device.former_key()
    before = PaymentConfigVersion.objects.get(payment_method="wechat", retired_at=None)
    assert set(map(is_unbound, json.loads(before.encrypted_values).values())) == {True}
    bind.bind(apps, None)
    bind_devices.bind(apps, None)
    current = gateway_config_current("wechat")
    # The running version is the same one: nothing looks changed outside.
    assert current.version_id == before.id
    assert current.values == {"api_v3_key": SECRET, "app_id": "wx1"}
    assert candidate_of("wechat").changes == {"mch_id": "1900000001"}
    device.refresh_from_db()
    assert device.key() == key
    assert noticed() == set()


def test_migrating_opens_no_secret_that_was_moved_into_a_setting():
    former_state()
    sealed = PaymentConfig.objects.get(payment_method="wechat", config_key="api_v3_key")
    device = TotpDevice.objects.get()
    update("alipay", "return_url", config_value=sealed.config_value)
    update("alipay", "seller_id", config_value=device.sealed_key)
    bind.bind(apps, None)
    bind_devices.bind(apps, None)
    with pytest.raises(ConfigSecretUnreadable, match=r"alipay\.return_url, alipay\.seller_id"):
        gateway_config_current("alipay")
    assert {"alipay.return_url", "alipay.seller_id"} <= noticed()


def test_what_no_key_opens_does_not_keep_an_installation_from_migrating(settings):
    former_state()
    update("wechat", "api_key", config_value="enc:1:gAAAAABlost")
    bind.bind(apps, None)
    assert noticed() >= {"wechat.api_key"}
    put("wechat", "api_key", "k")
    assert gateway_config_current("wechat").values["api_v3_key"] == SECRET


def test_rotating_seals_former_secrets_but_no_former_settings():
    put("wechat", "mch_id", "1900000001")
    update("wechat", "api_v3_key", config_value=former_seal(SECRET), is_encrypted=True)
    call_command("rotate_config_keys")
    assert gateway_config_current("wechat").values["api_v3_key"] == SECRET
    update("wechat", "app_id", config_value=former_seal(SECRET))
    with pytest.raises(ConfigSecretUnreadable, match=r"wechat\.app_id"):
        encryption_keys_rotate(actor=SYSTEM)


def test_rotating_mends_a_version_that_began_while_a_key_was_missing():
    put("wechat", "api_v3_key", SECRET)
    row = PaymentConfig.objects.get(payment_method="wechat", config_key="api_v3_key")
    version = PaymentConfigVersion.objects.get(payment_method="wechat", retired_at=None)
    kept = json.dumps({"api_v3_key": row.config_value})
    PaymentConfigVersion.objects.filter(id=version.id).update(encrypted_values=kept)
    encryption_keys_rotate(actor=SYSTEM)
    assert gateway_config_current("wechat").values == {"api_v3_key": SECRET}


def test_rotating_keeps_what_is_in_a_draft():
    draft_save(actor=ADMIN, method="wechat", values={"api_v3_key": SECRET}, revision=0)
    before = PaymentConfigDraft.objects.get().encrypted_values
    assert encryption_keys_rotate(actor=SYSTEM).drafts == 1
    assert PaymentConfigDraft.objects.get().encrypted_values != before
    assert candidate_of("wechat").changes == {"api_v3_key": SECRET}


def test_a_row_sealed_for_itself_may_be_put_back_by_sql():
    sealed = seal(SECRET, row_place("wechat", "api_v3_key"))
    update("wechat", "api_v3_key", config_value=sealed, is_encrypted=True)
    assert gateway_config_current("wechat").values == {"api_v3_key": SECRET}
