"""Changing prices and gateway configuration. Nothing else writes these tables."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import IntegrityError
from django.db.transaction import on_commit
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.addresses import AddressRefused
from config.crypto import ConfigSecretUnreadable, Place, is_sealed, plain, row_place, seal
from config.errors import PriceChangeNeedsSecondPerson, PricesChangedMeanwhile
from config.keys import KNOWN_KEYS, VALUE_BYTES_MAX, ConfigKey, keys_of
from config.models import PaymentConfig, PaymentConfigVersion, PriceConfig
from config.price_guard import guarded_plan
from config.price_plan import UNSET, Maybe, PriceChange, PricePlan
from config.selectors import PRICES_CACHE_KEY, periods_digest
from config.versions import (
    AUDIT_OBJECT,
    audit_id,
    rows_lock,
    version_adopt,
    version_append,
)
from gateways.key_blocks import KeyUnreadable, visible
from gateways.key_texts import normalised
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.api.presenters import present
from tcmpay.common.db import money_unit
from tcmpay.common.errors import InvalidInput
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

PRICE_AUDIT_OBJECT = "price"
# Ours to say, not the gateway's: a configuration file from elsewhere leaves them alone.
KEPT_ON_REPLACE = frozenset({"notify_url", "return_url"})


# --- gateway configuration --------------------------------------------------------------------
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


def gateway_config_replace(*, actor: Actor, method: str, values: Mapping[str, str]) -> None:
    """Make ``values`` the whole configuration of one gateway; see gateway_configs_replace."""
    gateway_configs_replace(actor=actor, configs={method: values})


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
    details: dict[str, Any] = {
        "method": row.payment_method,
        "key": row.config_key,
        "version": version.number,
        "is_encrypted": row.is_encrypted,
    }
    if row.config_value and not row.is_encrypted:
        # Enough to tell two values apart, too little to be one: people paste keys into the
        # wrong field.
        details["fingerprint"] = hashlib.sha256(row.config_value.encode()).hexdigest()[:8]
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=audit_id(row.payment_method, row.config_key),
        action=f"config_{change}",
        actor=actor,
        reason=reason,
        details=details,
    )


# --- prices -----------------------------------------------------------------------------------
def price_set(
    *,
    actor: Actor,
    service_type: str,
    price: Money,
    service_name: str | None = None,
    discount_price: Money | Maybe | None = UNSET,
    is_active: bool | None = None,
    effective_date: date | None = None,
    expiry_date: date | Maybe | None = UNSET,
    description: str | None = None,
    order_type: str | None = None,
    guard_percent: int = 0,
) -> PriceConfig:
    """Change the running price of a service, or begin a new period.

    Without ``effective_date``, or with that of a period that has not ended, that period is
    changed and keeps whatever was not given. A later ``effective_date`` begins a new period: the
    one before ends the day before, and the new one has its own discount and expiry (none unless
    given; the day before the next period where there is one). A service that is not known yet
    needs a ``service_name``; ``order_type`` says which orders it prices, "other" unless it is
    named after one, and never changes. None clears a discount or an expiry date.

    Raises:
        InvalidInput: periods would overlap or be changed after their end, the discount is above
            the price, the expiry before the beginning, or a name is missing.
        PriceChangeNeedsSecondPerson: it moves what is charged by more than ``guard_percent``
            (0: any change goes through); nothing is written.
    """
    change = PriceChange(
        service_type=service_type,
        price=price,
        service_name=service_name,
        discount_price=discount_price,
        is_active=is_active,
        effective_date=effective_date,
        expiry_date=expiry_date,
        description=description,
        order_type=order_type,
    )
    return price_change_apply(actor=actor, change=change, guard_percent=guard_percent)


def price_change_apply(
    *,
    actor: Actor,
    change: PriceChange,
    guard_percent: int = 0,
    reason: str = "",
    restored_from: UUID | None = None,
    seen: str = "",
) -> PriceConfig:
    """As price_set, with a reason; ``seen`` is the digest of the periods that were previewed.

    Raises also PricesChangedMeanwhile: the periods are others than those that were seen.
    """
    because = Because(reason=reason, restored_from=restored_from)

    def unit() -> PriceConfig:
        return _price_set(
            actor=actor, change=change, guard_percent=guard_percent, because=because, seen=seen
        )

    try:
        return unit()
    except IntegrityError:
        # Somebody began the same period in between, and there was no row to wait for.
        return unit()


@dataclass(frozen=True, slots=True)
class Because:
    """Why a price is changed, for the audit trail."""

    reason: str = ""
    restored_from: UUID | None = None
    requested_by: UUID | None = None

    @property
    def facts(self) -> dict[str, str]:
        given = {"restored_from": self.restored_from, "requested_by": self.requested_by}
        return {name: str(value) for name, value in given.items() if value is not None}


@money_unit
def _price_set(
    *, actor: Actor, change: PriceChange, guard_percent: int, because: Because, seen: str
) -> PriceConfig:
    periods = price_periods_lock(change.service_type)
    if seen and seen != periods_digest(periods):
        raise PricesChangedMeanwhile()
    plan = guarded_plan(periods, change)
    if guard_percent and plan.slip and plan.slip.percent > guard_percent:
        raise PriceChangeNeedsSecondPerson(percent=plan.slip.percent)
    return price_plan_write(actor, plan, because)


def price_periods_lock(service_type: str) -> list[PriceConfig]:
    """All periods of a service, locked, with those of all others: a service that has none yet
    has no row that could be locked."""
    everything = PriceConfig.objects.select_for_update().order_by("id")
    return [row for row in everything if row.service_type == service_type]


def price_plan_write(actor: Actor, plan: PricePlan, because: Because) -> PriceConfig:
    """Carry out a plan made on locked periods, inside the caller's transaction."""
    row = plan.row
    if plan.ended is not None:
        _price_end(actor, plan.ended, plan.ended_before, because)
    if plan.is_new:
        row.save(force_insert=True)
        names = [
            "order_type",
            "price",
            "discount_price",
            "is_active",
            "effective_date",
            "expiry_date",
        ]
        _audit_price(actor, row, "price_created", {"after": _facts(row, names)}, because)
    elif plan.before:
        row.updated_at = clock.now()
        row.save(update_fields=[*plan.before, "updated_at"])
        before = {name: present(value) for name, value in plan.before.items()}
        facts = {"before": before, "after": _facts(row, list(plan.before))}
        _audit_price(actor, row, "price_changed", facts, because)
    on_commit(price_cache_forget)
    return row


def _price_end(actor: Actor, row: PriceConfig, before: date | None, because: Because) -> None:
    row.updated_at = clock.now()
    row.save(update_fields=["expiry_date", "updated_at"])
    facts = {
        "before": {"expiry_date": present(before)},
        "after": {"expiry_date": present(row.expiry_date)},
    }
    _audit_price(actor, row, "price_ended", facts, because)


def _facts(row: PriceConfig, names: list[str]) -> dict[str, Any]:
    return {name: present(getattr(row, name)) for name in names}


def _audit_price(
    actor: Actor, row: PriceConfig, action: str, facts: dict[str, Any], because: Because
) -> None:
    audit_record(
        object_type=PRICE_AUDIT_OBJECT,
        object_id=row.id,
        action=action,
        actor=actor,
        reason=because.reason,
        details={"service_type": row.service_type, **facts, **because.facts},
    )


def price_cache_forget() -> None:
    """Let the next answer be read from the database; a broken cache ends by its timeout."""
    try:
        cache.delete(PRICES_CACHE_KEY)
    except Exception:
        logger.warning("price_cache_unavailable", exc_info=True)
