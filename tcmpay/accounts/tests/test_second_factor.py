"""The authenticator and the recovery codes: once each, sealed at rest, never for somebody else."""

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django_otp.oath import TOTP

from backoffice.ops.encryption_keys import encryption_keys_rotate
from tcmpay.accounts.models import RecoveryCode, StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import (
    CodeRefused,
    enrolment_address,
    enrolment_begin,
    enrolment_confirm,
    second_factor_check,
    second_factor_reset,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.sealing import ConfigSecretUnreadable, is_sealed

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> StaffUser:
    return StaffUser.objects.create_user("reviewer", password="tests-only-Passw0rd", is_staff=True)


@pytest.fixture
def device(person) -> TotpDevice:
    return enrolment_begin(person)


@pytest.fixture
def codes(person, device) -> list[str]:
    return enrolment_confirm(person=person, code=code_of(device, steps=-1))


def code_of(device: TotpDevice, *, steps: int = 0) -> str:
    totp = TOTP(device.key())
    totp.time = clock.now().timestamp() + 30 * steps
    return f"{totp.token():06d}"


def forgive() -> None:
    TotpDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)


def test_a_code_is_good_once(person, device, codes):
    code = code_of(device)
    assert second_factor_check(person=person, code=code)
    assert second_factor_check(person=person, code=code) is None


def test_the_code_that_bound_the_app_does_not_sign_in(person, device):
    code = code_of(device)
    enrolment_confirm(person=person, code=code)
    assert second_factor_check(person=person, code=code) is None


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(person, device, codes, steps, is_good):
    TotpDevice.objects.update(last_step=-1, drift=0)
    found = second_factor_check(person=person, code=code_of(device, steps=steps))
    assert bool(found) is is_good


def test_after_a_wrong_code_even_the_right_one_has_to_wait(person, device, codes):
    assert second_factor_check(person=person, code="000000") is None
    assert second_factor_check(person=person, code=code_of(device)) is None
    assert second_factor_check(person=person, code=codes[0]) is None
    forgive()
    assert second_factor_check(person=person, code=code_of(device))


def test_a_wrong_code_binds_nothing_and_is_written_down(person, device):
    with pytest.raises(CodeRefused):
        enrolment_confirm(person=person, code="000000")
    device.refresh_from_db()
    assert (device.confirmed, device.throttling_failure_count) == (False, 1)
    assert not RecoveryCode.objects.exists()


def test_an_app_that_was_never_confirmed_signs_nobody_in(person, device):
    assert second_factor_check(person=person, code=code_of(device)) is None


def test_a_recovery_code_is_good_once_and_only_for_its_owner(person, codes):
    other = StaffUser.objects.create_user("other", is_staff=True)
    theirs = enrolment_begin(other)
    enrolment_confirm(person=other, code=code_of(theirs, steps=-1))
    assert second_factor_check(person=other, code=codes[0]) is None
    typed = codes[0].lower().replace("-", " ")
    found = second_factor_check(person=person, code=typed)
    assert found is not None
    assert found[1] == "recovery"
    assert second_factor_check(person=person, code=codes[0]) is None


def test_full_width_digits_are_digits(person, device, codes):
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code_of(device))
    assert second_factor_check(person=person, code=f" {wide[:3]} {wide[3:]} ")


def test_neither_key_nor_codes_are_in_the_database(person, device, codes):
    key = device.key()
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_key FROM staff_totp_devices")
        sealed = cursor.fetchone()[0]
        cursor.execute("SELECT code_hash FROM staff_recovery_codes")
        stored = " ".join(row[0] for row in cursor.fetchall())
    assert is_sealed(sealed)
    assert key.hex() not in sealed
    assert not any(code.replace("-", "").lower() in stored for code in codes)
    kept = str(list(AuditEvent.objects.values()))
    assert key.hex() not in kept
    assert not any(code in kept for code in codes)


def test_a_key_copied_to_another_account_opens_nothing(person, device, codes):
    other = StaffUser.objects.create_user("other", is_staff=True)
    TotpDevice.objects.create(user=other, name="app", sealed_key=device.sealed_key)
    with pytest.raises(ConfigSecretUnreadable):
        TotpDevice.objects.get(user=other).key()
    assert second_factor_check(person=other, code=code_of(device)) is None


def test_a_key_copied_to_another_row_of_the_same_account_opens_nothing(person, device):
    copied = TotpDevice.objects.create(user=person, name="app", sealed_key=device.sealed_key)
    with pytest.raises(ConfigSecretUnreadable):
        copied.key()


def test_a_reset_takes_everything_and_ends_the_sessions(person, codes):
    second_factor_reset(person=person, actor=SYSTEM, reason="手机丢失")
    assert not TotpDevice.objects.exists()
    assert not RecoveryCode.objects.exists()
    assert StaffUser.objects.get(pk=person.pk).session_epoch == person.session_epoch + 1
    event = AuditEvent.objects.get(action="staff_second_factor_reset")
    assert event.reason == "手机丢失"


def test_the_qr_code_holds_what_apps_understand(device):
    address = enrolment_address(device)
    assert address.startswith("otpauth://totp/tcmpay%3Areviewer?secret=")
    assert "&issuer=tcmpay&" in address


@pytest.mark.django_db(transaction=True)
def test_rotating_the_keys_seals_authenticators_again(person, device, settings):
    key, before = device.key(), device.sealed_key
    newest = Fernet.generate_key().decode()
    settings.CONFIG_ENCRYPTION_KEYS = [newest, *settings.CONFIG_ENCRYPTION_KEYS]
    assert encryption_keys_rotate(actor=SYSTEM).authenticators == 1
    settings.CONFIG_ENCRYPTION_KEYS = [newest]
    device.refresh_from_db()
    assert device.sealed_key != before
    assert device.key() == key


@pytest.mark.django_db(transaction=True)
def test_a_key_that_nothing_opens_stops_the_rotation_and_the_start(person, device, settings):
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="staff_totp_devices"):
        call_command("rotate_config_keys")
    with pytest.raises(SystemCheckError, match="staff_totp_devices"):
        call_command("check", databases=["default"])
