"""A gateway's configuration as versions: what an attempt began with can be read for good.

This module alone writes ``payment_config_versions``. A version holds every value sealed, whatever
the rows do, and is never changed but for being sealed with a newer key.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from config.gateways.fields import KNOWN_KEYS, keys_of
from config.gateways.places import row_place, version_place
from config.models import PaymentConfig, PaymentConfigVersion
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.db import money_unit
from tcmpay.common.sealing import ConfigSecretUnreadable, plain, seal, unseal

AUDIT_OBJECT = "payment_config"
VERSIONS_CACHED = 128

Stored = Mapping[str, str]


class ConfigInForce(NamedTuple):
    version_id: UUID
    values: Mapping[str, str]


def audit_id(method: str, key: str) -> str:
    return f"{method}.{key}"


def config_audit(
    actor: Actor, method: str, action: str, *, key: str = "", reason: str = "", **details: Any
) -> None:
    """Tell of a gateway's configuration, or with ``key`` of one value; in the caller's unit."""
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=audit_id(method, key) if key else method,
        action=action,
        actor=actor,
        reason=reason,
        details={"method": method, **({"key": key} if key else {}), **details},
    )


def rows_lock(method: str) -> dict[str, PaymentConfig]:
    """The rows of ``method``'s known keys, locked: whoever holds them may append a version."""
    rows = PaymentConfig.objects.select_for_update().filter(payment_method=method).order_by("id")
    return {row.config_key: row for row in rows if row.config_key in KNOWN_KEYS[method]}


def version_in_force(method: str) -> PaymentConfigVersion:
    """The version that matches the rows; appended first when somebody changed them by SQL."""
    version = version_running(method)
    rows = PaymentConfig.objects.filter(payment_method=method)
    if version is not None and version.digest == _digest(_stored(method, rows)):
        return version
    adopt = _adopt if connection.in_atomic_block else money_unit(_adopt)
    return adopt(method)


def _adopt(method: str) -> PaymentConfigVersion:
    return version_adopt(method, rows_lock(method))


def version_adopt(method: str, rows: Mapping[str, PaymentConfig]) -> PaymentConfigVersion:
    """The version of the locked ``rows``, which somebody may have changed without a service."""
    version = version_running(method)
    stored = _stored(method, rows.values())
    if version is not None and version.digest == _digest(stored):
        return version
    before: Stored = json.loads(version.encrypted_values) if version else {}
    adopted = version_append(method, rows, actor=SYSTEM)
    for key in sorted(stored.keys() | before.keys()):
        if not _is_same(version, key, stored.get(key, ""), before.get(key, "")):
            number = adopted.number
            config_audit(SYSTEM, method, "config_changed_outside", key=key, version=number)
    return adopted


def version_append(
    method: str,
    rows: Mapping[str, PaymentConfig],
    *,
    actor: Actor,
    reason: str = "",
    restored_from: int | None = None,
) -> PaymentConfigVersion:
    """Retire the running version and begin the one of the locked ``rows``."""
    now = clock.now()
    last = (
        PaymentConfigVersion.objects.filter(payment_method=method)
        .order_by("-number")
        .values_list("number", flat=True)
        .first()
    )
    PaymentConfigVersion.objects.filter(payment_method=method, retired_at=None).update(
        retired_at=now
    )
    stored = _stored(method, rows.values())
    version = PaymentConfigVersion(
        payment_method=method,
        number=(last or 0) + 1,
        digest=_digest(stored),
        activated_at=now,
        created_by=actor.id,
        reason=reason[:500],
        restored_from=restored_from,
    )
    version.encrypted_values = json.dumps(
        {key: _sealed_again(version, key, text) for key, text in stored.items()}, sort_keys=True
    )
    version.save(force_insert=True)
    return version


def _sealed_again(version: PaymentConfigVersion, key: str, stored: str) -> str:
    """A row's text as the version holds it: sealed for this version.

    What can't be opened in its row is kept as it is, and opens here no more than there: it must
    not keep the other values from being changed.
    """
    try:
        value = plain(stored, row_place(version.payment_method, key))
    except ConfigSecretUnreadable:
        return stored
    return seal(value, version_place(version.id, version.payment_method, key))


def version_reseal(
    version: PaymentConfigVersion, values: Mapping[str, str], digest: str | None
) -> None:
    """Seal the version's own ``values`` anew with the first key; with ``digest``, the rows' new
    one."""
    version.encrypted_values = json.dumps(
        {
            key: seal(value, version_place(version.id, version.payment_method, key))
            for key, value in values.items()
        },
        sort_keys=True,
    )
    version.digest = digest or version.digest
    version.save(update_fields=["encrypted_values", "digest"])


def version_values(version_id: UUID) -> dict[str, str]:
    """The values of one version, those for development only with DEBUG on.

    Raises ConfigSecretUnreadable.
    """
    method, opened = _opened(version_id)
    known = keys_of(method)
    return {key: value for key, value in opened.items() if key in known}


@lru_cache(maxsize=VERSIONS_CACHED)
def _opened(version_id: UUID) -> tuple[str, dict[str, str]]:
    # Cached for good: what a version says never changes, only the key that seals it.
    version = PaymentConfigVersion.objects.get(id=version_id)
    return version.payment_method, _open(version)


def _open(version: PaymentConfigVersion) -> dict[str, str]:
    method, sealed = version.payment_method, json.loads(version.encrypted_values)
    opened: dict[str, str] = {}
    unreadable: list[str] = []
    for key, text in sealed.items():
        try:
            opened[key] = unseal(text, version_place(version.id, method, key))
        except ConfigSecretUnreadable:
            unreadable.append(audit_id(method, key))
    if unreadable:
        raise ConfigSecretUnreadable(*unreadable)
    return opened


def version_running(method: str) -> PaymentConfigVersion | None:
    return (
        PaymentConfigVersion.objects.filter(payment_method=method, retired_at=None)
        .order_by("-number")
        .first()
    )


def _stored(method: str, rows: Iterable[PaymentConfig]) -> dict[str, str]:
    return {
        row.config_key: row.config_value
        for row in rows
        if row.config_value and row.config_key in KNOWN_KEYS[method]
    }


def rows_digest(method: str, rows: Mapping[str, PaymentConfig]) -> str:
    return _digest(_stored(method, rows.values()))


def _digest(stored: Stored) -> str:
    """Over the texts as they are stored, so that it tells nothing about what they hide."""
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()


def _is_same(
    version: PaymentConfigVersion | None, key: str, stored: str, sealed_before: str
) -> bool:
    """Whether a row's text says what the version before said."""
    if version is None or not (stored and sealed_before):
        return stored == sealed_before
    method = version.payment_method
    try:
        before = unseal(sealed_before, version_place(version.id, method, key))
        return plain(stored, row_place(method, key)) == before
    except ConfigSecretUnreadable:
        return False
