"""The second factor of staff: an authenticator app, and recovery codes for when it is lost."""

import base64
import hashlib
import logging
import secrets
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote, urlencode

from django.db.transaction import atomic

from tcmpay.accounts.models import (
    TOTP_DIGITS,
    TOTP_STEP_SECONDS,
    RecoveryCode,
    StaffUser,
    TotpDevice,
)
from tcmpay.accounts.services.trail import staff_audit
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import columns_write
from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    SealProblem,
    is_unbound,
    seal_problem,
)

logger = logging.getLogger(__name__)

ISSUER = "tcmpay"
KEY_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
# A key that was shown but never confirmed is replaced by a new one after this time.
ENROLMENT_KEPT_FOR = timedelta(minutes=15)


class CodeRefused(Exception):
    """The code is not the one of now, was used before, or came too soon after a wrong one."""


def normal_code(text: str) -> str:
    """A code as people type it, full-width or in groups, without what carries no meaning."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(char for char in text.upper() if char.isalnum())


@atomic
def enrolment_begin(person: StaffUser) -> TotpDevice:
    """The device that ``person`` may confirm; the same one while it is fresh, for a reload."""
    StaffUser.objects.select_for_update().get(pk=person.pk)
    device = TotpDevice.objects.filter(user=person, confirmed=False).order_by("-id").first()
    if device is not None and _is_fresh(device) and _is_readable(device):
        return device
    TotpDevice.objects.filter(user=person, confirmed=False).delete()
    device = TotpDevice(user=person, name="app", confirmed=False)
    device.save()  # its id is part of what the key is sealed for
    device.key_set(secrets.token_bytes(KEY_BYTES))
    device.save(update_fields=["sealed_key"])
    return device


def _is_fresh(device: TotpDevice) -> bool:
    since = device.created_at
    return since is not None and bool(since > clock.now() - ENROLMENT_KEPT_FOR)


def _is_readable(device: TotpDevice) -> bool:
    try:
        device.key()
    except ConfigSecretUnreadable:
        return False
    return True


def enrolment_address(device: TotpDevice) -> str:
    """What the QR code holds: the address that authenticator apps understand."""
    label = quote(f"{ISSUER}:{device.user.get_username()}")
    fields = {
        "secret": enrolment_key(device),
        "issuer": ISSUER,
        "algorithm": "SHA1",
        "digits": TOTP_DIGITS,
        "period": TOTP_STEP_SECONDS,
    }
    return f"otpauth://totp/{label}?{urlencode(fields)}"


def enrolment_key(device: TotpDevice) -> str:
    """The shared key as it is typed where no camera is at hand."""
    return base64.b32encode(device.key()).decode()


def enrolment_confirm(*, person: StaffUser, code: str) -> list[str]:
    """Bind the app that shows ``code``; returns the recovery codes, which nobody sees again.

    Raises CodeRefused.
    """
    with atomic():
        StaffUser.objects.select_for_update().get(pk=person.pk)
        device = (
            TotpDevice.objects.select_for_update()
            .filter(user=person, confirmed=False)
            .order_by("-id")
            .first()
        )
        # A refused code is written down (the next try has to wait), so nothing is raised in here.
        is_good = device is not None and _verify(device, normal_code(code))
        codes: list[str] = []
        if device is not None and is_good:
            replaced = TotpDevice.objects.filter(user=person, confirmed=True).delete()[0]
            columns_write(device, confirmed=True)
            codes = _renew_codes(person)
            staff_audit(person, "staff_second_factor_bound", details={"replaced": bool(replaced)})
    if not is_good:
        raise CodeRefused
    return codes


def recovery_codes_renew(*, person: StaffUser) -> list[str]:
    """New recovery codes; the former ones are void."""
    with atomic():
        StaffUser.objects.select_for_update().get(pk=person.pk)
        codes = _renew_codes(person)
        staff_audit(person, "staff_recovery_codes_renewed")
    return codes


def _renew_codes(person: StaffUser) -> list[str]:
    RecoveryCode.objects.filter(user=person).delete()
    codes = [_new_code() for _number in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=person, code_hash=_hash(code), created_at=clock.now()) for code in codes
    )
    return codes


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _hash(code: str) -> str:
    return hashlib.sha256(normal_code(code).encode()).hexdigest()


def second_factor_check(*, person: StaffUser, code: str) -> tuple[TotpDevice, str] | None:
    """The device that vouches for ``person``, and how: ``totp`` or ``recovery``; else None.

    Each code is good once; after a wrong one the next try has to wait, twice as long each time.
    """
    code = normal_code(code)
    with atomic():
        device = (
            TotpDevice.objects.select_for_update()
            .filter(user=person, confirmed=True)
            .order_by("id")
            .first()
        )
        if device is None:
            return None
        if len(code) == TOTP_DIGITS:
            return (device, "totp") if _verify(device, code) else None
        if not device.verify_is_allowed()[0]:
            return None
        if not _use_recovery_code(person, code):
            device.throttle_increment()
            return None
        device.throttle_reset()
        return device, "recovery"


def _verify(device: TotpDevice, code: str) -> bool:
    try:
        return device.verify_token(code)
    except ConfigSecretUnreadable:
        # Recovery codes still work, and an administrator can reset.
        logger.error("second_factor_unreadable", extra={"device": device.pk})
        return False


def _use_recovery_code(person: StaffUser, code: str) -> bool:
    used = RecoveryCode.objects.filter(
        user=person, code_hash=_hash(code), used_at__isnull=True
    ).update(used_at=clock.now())
    if used:
        staff_audit(
            person, "staff_recovery_code_used", details={"left": recovery_codes_left(person)}
        )
    return bool(used)


def recovery_codes_left(person: StaffUser) -> int:
    return RecoveryCode.objects.filter(user=person, used_at__isnull=True).count()


def device_of(person: StaffUser) -> TotpDevice | None:
    """The confirmed authenticator of ``person``."""
    return TotpDevice.objects.filter(user=person, confirmed=True).order_by("id").first()


def second_factor_reset(*, person: StaffUser, actor: Actor, reason: str) -> None:
    """Take the lost authenticator and its codes away, and end every session of the account."""
    with atomic():
        locked = StaffUser.objects.select_for_update().get(pk=person.pk)
        TotpDevice.objects.filter(user=locked).delete()
        RecoveryCode.objects.filter(user=locked).delete()
        columns_write(locked, session_epoch=locked.session_epoch + 1)
        staff_audit(locked, "staff_second_factor_reset", actor=actor, reason=reason)


def totp_keys_reseal() -> tuple[int, list[str]]:
    """Seal every key with the first of CONFIG_ENCRYPTION_KEYS; must run in a transaction.

    Returns how many were sealed, and the rows that no configured key opens.
    """
    unreadable: list[str] = []
    count = 0
    for device in TotpDevice.objects.select_for_update().order_by("id"):
        try:
            device.key_set(_key_in_any_form(device))
        except ConfigSecretUnreadable:
            unreadable.append(_device_name(device))
            continue
        device.save(update_fields=["sealed_key"])
        count += 1
    return count, unreadable


def totp_keys_unreadable() -> list[str]:
    """The authenticators whose key no configured key opens, not even in the form of before, which
    ``migrate`` seals anew."""
    found = []
    for device in TotpDevice.objects.order_by("id"):
        try:
            _key_in_any_form(device)
        except ConfigSecretUnreadable:
            found.append(_device_name(device))
    return found


def totp_keys_misplaced(*, using: str = "default") -> Iterator[tuple[str, SealProblem]]:
    """The authenticators whose key does not open in its row, each with why."""
    for device in TotpDevice.objects.using(using).order_by("id").iterator(chunk_size=200):
        if problem := seal_problem(device.sealed_key, device.key_place):
            yield _device_name(device), problem


def _key_in_any_form(device: TotpDevice) -> bytes:
    return device.former_key() if is_unbound(device.sealed_key) else device.key()


def _device_name(device: TotpDevice) -> str:
    return f"staff_totp_devices {device.pk}"
