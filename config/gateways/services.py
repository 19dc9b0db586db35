"""Writing the rows of gateway configuration. Nothing else writes their table."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.gateways.fields import KNOWN_KEYS, VALUE_BYTES_MAX, ConfigKey, keys_of
from config.gateways.places import row_place
from config.gateways.versions import (
    config_audit,
    rows_lock,
    version_adopt,
    version_append,
)
from config.models import PaymentConfig, PaymentConfigVersion
from gateways.key_blocks import KeyUnreadable, visible
from gateways.key_texts import normalised
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.addresses import AddressRefused
from tcmpay.common.db import money_unit
from tcmpay.common.errors import InvalidInput
from tcmpay.common.sealing import ConfigSecretUnreadable, Place, is_sealed, plain, seal

# Ours to say, not the gateway's: a configuration file from elsewhere leaves them alone.
KEPT_ON_REPLACE = frozenset({"notify_url", "return_url"})


def gateway_config_set(
    *, actor: Actor, method: str, key: str, value: str, is_encrypted: bool | None = None
) -> PaymentConfig:
    """Set one value; it is in force from the next attempt on, as a version of its own.

    Secrets are sealed whatever ``is_encrypted`` says; None leaves it as it is. A key in any form
    is kept as the back office would keep it; what can't be read is kept as it was given.

    Raises:
        MethodNotFound: no such gateway.
        InvalidInput: an unknown key, an empty value, or one that the key refuses.
    """
    ensure_config_valid(method, {key: value})
    value = _as_stored(KNOWN_KEYS[method][key], value)
    return _config_set(actor=actor, method=method, key=key, value=value, is_encrypted=is_encrypted)


def _as_stored(key: ConfigKey, value: str) -> str:
    try:
        kept = normalised(key.kind, value)
    except KeyUnreadable:
        return value
    return kept if len(kept.encode()) <= VALUE_BYTES_MAX else value


def gateway_config_clear(*, actor: Actor, method: str, key: str) -> PaymentConfig:
    """Empty one value. Raises MethodNotFound and InvalidInput (an unknown key)."""
    _known_key(method, key)
    return _config_set(actor=actor, method=method, key=key, value="", is_encrypted=None)


def gateway_configs_replace(*, actor: Actor, configs: Mapping[str, Mapping[str, str]]) -> None:
    """Make ``configs`` (method → values) the whole configuration of these gateways, or nothing.

    Keys that are left out are emptied, but for our own addresses. Raises MethodNotFound and
    InvalidInput before anything is written.
    """
    for method, values in configs.items():
        ensure_config_valid(method, values)
    _configs_replace(actor=actor, configs=configs)


def ensure_config_valid(method: str, values: Mapping[str, str]) -> None:
    """Raises MethodNotFound and InvalidInput."""
    for name, value in values.items():
        key = _known_key(method, name)
        if problem := _value_problem(key, value):
            raise InvalidInput({"config_value": [f"{name}: {problem}"]})


@money_unit
def _config_set(
    *, actor: Actor, method: str, key: str, value: str, is_encrypted: bool | None
) -> PaymentConfig:
    rows = rows_lock(method)
    version_adopt(method, rows)
    row = rows.setdefault(key, _new_row(method, key))
    change = _row_write(row, value, is_encrypted=is_encrypted)
    _version_begin(method, rows, {key: change} if change else {}, actor=actor)
    return row


@money_unit
def _configs_replace(*, actor: Actor, configs: Mapping[str, Mapping[str, str]]) -> None:
    for method, values in sorted(configs.items()):
        rows = rows_lock(method)
        version_adopt(method, rows)
        for key in values:
            rows.setdefault(key, _new_row(method, key))
        changes = {}
        for key, row in sorted(rows.items()):
            if key not in values and key in KEPT_ON_REPLACE:
                continue
            if change := _row_write(row, values.get(key, ""), is_encrypted=None):
                changes[key] = change
        _version_begin(method, rows, changes, actor=actor)


def config_rows_write(
    method: str,
    rows: dict[str, PaymentConfig],
    values: Mapping[str, str],
    *,
    actor: Actor,
    reason: str,
    restored_from: int | None = None,
) -> PaymentConfigVersion | None:
    """Write ``values`` (empty: cleared) to the locked and adopted ``rows``, as one new version.

    None when all of it was so already.
    """
    changes = {}
    for key, value in sorted(values.items()):
        row = rows.setdefault(key, _new_row(method, key))
        if change := _row_write(row, value, is_encrypted=None):
            changes[key] = change
    return _version_begin(
        method, rows, changes, actor=actor, reason=reason, restored_from=restored_from
    )


def _version_begin(
    method: str,
    rows: Mapping[str, PaymentConfig],
    changes: Mapping[str, str],
    *,
    actor: Actor,
    reason: str = "",
    restored_from: int | None = None,
) -> PaymentConfigVersion | None:
    if not changes:
        return None
    version = version_append(method, rows, actor=actor, reason=reason, restored_from=restored_from)
    for key, change in changes.items():
        _audit_config(actor, rows[key], change, version, reason)
    return version


def _known_key(method: str, name: str) -> ConfigKey:
    key = keys_of(method).get(name)
    if key is None:
        known = ", ".join(keys_of(method))
        raise InvalidInput({"config_key": [_("不支持的配置项，可用：%(keys)s") % {"keys": known}]})
    return key


def _value_problem(key: ConfigKey, value: str) -> str | Promise | None:
    if not visible(value):
        return _("配置值不能为空")
    if len(value.encode(errors="replace")) > VALUE_BYTES_MAX:
        return _("配置值过长")
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        return _("配置值含有不允许的字符")
    if key.ensure_valid is not None:
        try:
            key.ensure_valid(value)
        except AddressRefused as error:
            return error.text
    return None


def _new_row(method: str, key: str) -> PaymentConfig:
    known = KNOWN_KEYS[method][key]
    return PaymentConfig(
        payment_method=method, config_key=key, is_encrypted=known.is_secret, description=""
    )


def _row_write(row: PaymentConfig, value: str, *, is_encrypted: bool | None) -> str | None:
    """Write the value; returns what that was ("set", "changed", "cleared"), None for nothing."""
    known = KNOWN_KEYS[row.payment_method][row.config_key]
    wanted = row.is_encrypted if is_encrypted is None else is_encrypted
    # What looks sealed is sealed too, or it would be taken for a secret of ours when it is read.
    is_to_seal = known.is_secret or wanted or is_sealed(value)
    had_value = bool(row.config_value)
    if _is_as_wanted(row, value, is_to_seal=is_to_seal):
        return None
    row.is_encrypted = is_to_seal
    row.config_value = seal(value, _place(row)) if value and is_to_seal else value
    row.updated_at = clock.now()
    if row._state.adding:
        row.created_at = row.updated_at
        row.save(force_insert=True)
    else:
        row.save(update_fields=["is_encrypted", "config_value", "updated_at"])
    if not value:
        return "cleared"
    return "changed" if had_value else "set"


def _place(row: PaymentConfig) -> Place:
    return row_place(row.payment_method, row.config_key)


def _is_as_wanted(row: PaymentConfig, value: str, *, is_to_seal: bool) -> bool:
    if row.is_encrypted != is_to_seal and value:
        return False
    if is_to_seal and row.config_value and not is_sealed(row.config_value):
        return False
    try:
        return plain(row.config_value, _place(row)) == value
    except ConfigSecretUnreadable:
        return False


def _audit_config(
    actor: Actor, row: PaymentConfig, change: str, version: PaymentConfigVersion, reason: str = ""
) -> None:
    details: dict[str, Any] = {"version": version.number, "is_encrypted": row.is_encrypted}
    if row.config_value and not row.is_encrypted:
        # Enough to tell two values apart, too little to be one: people paste keys into the
        # wrong field.
        details["fingerprint"] = hashlib.sha256(row.config_value.encode()).hexdigest()[:8]
    config_audit(
        actor,
        row.payment_method,
        f"config_{change}",
        key=row.config_key,
        reason=reason,
        **details,
    )
