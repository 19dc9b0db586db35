"""Withdrawing the callback keys of an earlier configuration before their overlap ends.

A key that was entered by mistake, or by somebody who should not have, verifies callbacks for days
after it was taken back. Withdrawn, it is believed no more from the next callback on, in every
process; so are other earlier versions that held the same key. What is in force is changed first.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from config.gateways.errors import KeysInForce, KeysRevokedAlready, RevocationIsOwn, VersionNotFound
from config.gateways.versions import config_audit, rows_lock, version_adopt, version_values
from config.models import PaymentConfigVersion
from gateways.registry import callback_key_marks
from tcmpay.common.actor import Actor, Role
from tcmpay.common.db import columns_write
from tcmpay.common.sealing import ConfigSecretUnreadable
from tcmpay.common.second_person import is_one_of


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is, or would be, withdrawn: the versions, newest first, and the keys by their marks.

    ``marks`` is empty where only WeChat's APIv3 key ends: then the versions alone tell which
    callbacks were believed by it.
    """

    versions: tuple[PaymentConfigVersion, ...]
    marks: frozenset[str]

    @property
    def version_ids(self) -> list[UUID]:
        return [version.id for version in self.versions]

    @property
    def numbers(self) -> list[int]:
        return [version.number for version in self.versions]


def revocation_of(method: str, version: PaymentConfigVersion) -> Revocation:
    """What withdrawing ``version``'s callback keys ends. Keys that are in force go on.

    Raises KeysInForce: the version is the running one, or all its keys are the running ones.
    """
    if version.retired_at is None:
        raise KeysInForce()
    own = _marks(version)
    ended = own - _marks_in_force(method)
    if own and not ended:
        raise KeysInForce()
    return _alike(method, version, ended)


def revocation_done(version: PaymentConfigVersion) -> Revocation:
    """What was withdrawn with ``version``, for telling again what was booked on its word."""
    own = _marks(version)
    return _alike(version.payment_method, version, own - _marks_in_force(version.payment_method))


def _alike(method: str, version: PaymentConfigVersion, ended: frozenset[str]) -> Revocation:
    retired = PaymentConfigVersion.objects.filter(payment_method=method, retired_at__isnull=False)
    alike = [
        other
        for other in retired.order_by("-number")
        if other.id == version.id or _marks(other) & ended
    ]
    return Revocation(tuple(alike), frozenset(mark for mark in ended if " " not in mark))


def _marks_in_force(method: str) -> frozenset[str]:
    running = PaymentConfigVersion.objects.filter(payment_method=method, retired_at=None)
    return frozenset().union(*map(_marks, running))


def _marks(version: PaymentConfigVersion) -> frozenset[str]:
    try:
        return callback_key_marks(version.payment_method, version_values(version.id))
    except ConfigSecretUnreadable:
        return frozenset()  # what can't be read verifies nothing


def revocation_find(method: str, version_id: str) -> PaymentConfigVersion:
    """By id or by number. Raises VersionNotFound."""
    versions = PaymentConfigVersion.objects.filter(payment_method=method)
    is_number = version_id.isascii() and version_id.isdigit() and len(version_id) < 9
    found = (
        versions.filter(number=int(version_id)) if is_number else versions.filter(id=version_id)
    ).first()
    if found is None:
        raise VersionNotFound()
    return found


def is_withdrawn(version_id: UUID, key_mark: str) -> bool:
    """Whether the key that verified a message of ``version_id`` was withdrawn.

    Inside the caller's unit, which a withdrawal that comes now waits for. What is in force is not
    locked: it can't be withdrawn.
    """
    versions = PaymentConfigVersion.objects.filter(id=version_id)
    if not versions.filter(retired_at__isnull=False).exists():
        return False
    version = versions.select_for_update().get()
    if version.revoked_at is None:
        return False
    marks = revocation_done(version).marks
    return not marks or key_mark in marks


def revoke(*, actor: Actor, method: str, version_id: UUID, reason: str) -> Revocation | None:
    """Withdraw a version's callback keys; inside the caller's unit.

    Where configuration needs two people the first call only asks (None), and somebody else's does
    it. The system itself (a command on the server) needs no second person.
    Raises VersionNotFound, KeysInForce, KeysRevokedAlready, RevocationIsOwn.
    """
    version_adopt(method, rows_lock(method))
    version = PaymentConfigVersion.objects.select_for_update().filter(id=version_id).first()
    if version is None or version.payment_method != method:
        raise VersionNotFound()
    if version.revoked_at is not None:
        raise KeysRevokedAlready()
    revocation = revocation_of(method, version)
    if settings.CONFIG_ACTIVATION_SECOND_PERSON and actor.role != Role.SYSTEM:
        if not version.is_waiting:
            columns_write(version, **version.asking(actor, reason))
            _audit(actor, version, "config_keys_revocation_asked", reason)
            return None
        version.ensure_may_answer(actor, decided=KeysRevokedAlready, own=RevocationIsOwn)
    _do(actor, revocation, version, reason)
    return revocation


def _do(actor: Actor, revocation: Revocation, confirmed: PaymentConfigVersion, reason: str) -> None:
    """End the keys of all alike versions by the one that is ``confirmed``: who asked, and why."""
    asked = (confirmed.asked_by, confirmed.asked_at)
    if is_one_of(actor, confirmed.asked_by):
        asked = (None, None)  # one person was enough, and is who did it
    answer = confirmed.answering(actor, confirmed.revocation_reason or reason)
    for version in revocation.versions:
        if version.revoked_at is not None:
            continue
        columns_write(version, **dict(zip(version.ASKED, asked, strict=False)), **answer)
        _audit(actor, version, "config_keys_revoked", reason, keys=sorted(revocation.marks))


def _audit(
    actor: Actor, version: PaymentConfigVersion, action: str, reason: str, **details: Any
) -> None:
    method = version.payment_method
    config_audit(actor, method, action, reason=reason, version=version.number, **details)
