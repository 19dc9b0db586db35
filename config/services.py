"""Changing prices and gateway configuration. Nothing else writes these tables."""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any, Final, Literal

from django.core.cache import cache
from django.db import IntegrityError
from django.db.transaction import on_commit
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.addresses import AddressRefused
from config.crypto import ConfigSecretUnreadable, is_sealed, plain, seal
from config.keys import KNOWN_KEYS, VALUE_BYTES_MAX, ConfigKey, keys_of
from config.models import PaymentConfig, PaymentConfigVersion, PriceConfig
from config.price_periods import PricePeriodRefused, period_for, running_period
from config.selectors import PRICES_CACHE_KEY
from config.versions import (
    AUDIT_OBJECT,
    audit_id,
    rows_digest,
    rows_lock,
    version_adopt,
    version_append,
    version_reseal,
)
from tcmpay.accounts.services.second_factor import totp_keys_reseal
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.api.presenters import present
from tcmpay.common.db import money_unit
from tcmpay.common.errors import InvalidInput
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

PRICE_AUDIT_OBJECT = "price"
SERVICE_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
# Ours to say, not the gateway's: a configuration file from elsewhere leaves them alone.
KEPT_ON_REPLACE = frozenset({"notify_url", "return_url"})


class Unset(Enum):
    """The value of an argument that was not given, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Maybe = Literal[Unset.UNSET]


# --- gateway configuration --------------------------------------------------------------------
def gateway_config_set(
    *, actor: Actor, method: str, key: str, value: str, is_encrypted: bool | None = None
) -> PaymentConfig:
    """Set one value; it is in force from the next attempt on, as a version of its own.

    Secrets are sealed whatever ``is_encrypted`` says; None leaves it as it is.

    Raises:
        MethodNotFound: no such gateway.
        InvalidInput: an unknown key, an empty value, or one that the key refuses.
    """
    ensure_config_valid(method, {key: value})
    return _config_set(actor=actor, method=method, key=key, value=value, is_encrypted=is_encrypted)


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
    if change is not None:
        version = version_append(method, rows, actor=actor)
        _audit_config(actor, row, change, version)
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
        if changes:
            version = version_append(method, rows, actor=actor)
            for key, change in changes.items():
                _audit_config(actor, rows[key], change, version)


def _known_key(method: str, name: str) -> ConfigKey:
    key = keys_of(method).get(name)
    if key is None:
        known = ", ".join(keys_of(method))
        raise InvalidInput({"config_key": [_("不支持的配置项，可用：%(keys)s") % {"keys": known}]})
    return key


def _value_problem(key: ConfigKey, value: str) -> str | Promise | None:
    if not value.strip():
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
    row.config_value = seal(value) if value and is_to_seal else value
    row.updated_at = clock.now()
    if row._state.adding:
        row.created_at = row.updated_at
        row.save(force_insert=True)
    else:
        row.save(update_fields=["is_encrypted", "config_value", "updated_at"])
    if not value:
        return "cleared"
    return "changed" if had_value else "set"


def _is_as_wanted(row: PaymentConfig, value: str, *, is_to_seal: bool) -> bool:
    if row.is_encrypted != is_to_seal and value:
        return False
    if is_to_seal and row.config_value and not is_sealed(row.config_value):
        return False
    try:
        return plain(row.config_value) == value
    except ConfigSecretUnreadable:
        return False


def _audit_config(
    actor: Actor, row: PaymentConfig, change: str, version: PaymentConfigVersion
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
        details=details,
    )


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many rows, versions and staff authenticators were sealed anew, and how many rows for
    the first time."""

    rows: int
    versions: int
    newly_sealed: int
    authenticators: int


@money_unit
def config_keys_rotate(*, actor: Actor) -> Rotation:
    """Seal everything with the first key, so that the others can be taken away; or nothing.

    Secrets that were written by SQL in plain text are sealed too.
    Raises ConfigSecretUnreadable naming everything that no configured key opens.
    """
    rows_count = versions_count = newly_sealed = 0
    unreadable: list[str] = []
    for method in sorted(KNOWN_KEYS):
        rows = rows_lock(method)
        running = version_adopt(method, rows)
        for key, row in sorted(rows.items()):
            is_to_seal = row.is_encrypted or KNOWN_KEYS[method][key].is_secret
            if not row.config_value or not (is_to_seal or is_sealed(row.config_value)):
                continue
            newly_sealed += not is_sealed(row.config_value)
            try:
                row.config_value = seal(plain(row.config_value))
            except ConfigSecretUnreadable:
                unreadable.append(audit_id(method, key))
                continue
            row.is_encrypted = True
            row.save(update_fields=["config_value", "is_encrypted"])
            rows_count += 1
        digest = rows_digest(method, rows)
        versions = PaymentConfigVersion.objects.filter(payment_method=method).order_by("number")
        for version in versions.iterator(chunk_size=50):
            try:
                version_reseal(version, digest if version.id == running.id else None)
            except ConfigSecretUnreadable as error:
                unreadable += [f"{key} (version {version.number})" for key in error.keys]
            versions_count += 1
    authenticators, lost = totp_keys_reseal()
    unreadable += lost
    if unreadable:
        raise ConfigSecretUnreadable(*unreadable)
    result = Rotation(
        rows=rows_count,
        versions=versions_count,
        newly_sealed=newly_sealed,
        authenticators=authenticators,
    )
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id="encryption_keys",
        action="config_keys_rotated",
        actor=actor,
        details=asdict(result),
    )
    return result


# --- prices -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PriceChange:
    """What is to be true of a price; UNSET leaves a running period's value as it is."""

    service_type: str
    price: Money
    service_name: str | None
    discount_price: Money | Maybe | None
    is_active: bool | None
    effective_date: date | None
    expiry_date: date | Maybe | None
    description: str | None


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
) -> PriceConfig:
    """Change the running price of a service, or begin a new period.

    Without ``effective_date``, or with that of a period that has not ended, that period is
    changed and keeps whatever was not given. A later ``effective_date`` begins a new period: the
    one before ends the day before, and the new one has its own discount and expiry (none unless
    given; the day before the next period where there is one). A service that is not known yet
    needs a ``service_name``. None clears a discount or an expiry date.

    Raises:
        InvalidInput: periods would overlap or be changed after their end, the discount is above
            the price, the expiry before the beginning, or a name is missing.
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
    )
    try:
        return _price_set(actor=actor, change=change)
    except IntegrityError:
        # Somebody began the same period in between, and there was no row to wait for.
        return _price_set(actor=actor, change=change)


@money_unit
def _price_set(*, actor: Actor, change: PriceChange) -> PriceConfig:
    # All rows: the periods of a service that has none yet can't be locked.
    everything = PriceConfig.objects.select_for_update().order_by("id")
    periods = [row for row in everything if row.service_type == change.service_type]
    today = clock.today()
    begin = change.effective_date
    target = running_period(periods, today) if begin is None else None
    for period in periods:
        if begin is not None and period.effective_date == begin:
            target = period
    if target is not None:
        row = _price_change(actor, target, change, periods=periods, today=today)
    else:
        row = _price_begin(actor, change, begin or today, periods=periods, today=today)
    on_commit(price_cache_forget)
    return row


def _price_change(
    actor: Actor, row: PriceConfig, change: PriceChange, *, periods: list[PriceConfig], today: date
) -> PriceConfig:
    if row.expiry_date is not None and row.expiry_date < today:
        raise InvalidInput({"effective_date": [_("该价格已结束，不能再修改")]})
    given: dict[str, Any] = {
        "price": change.price,
        "service_name": change.service_name,
        "is_active": change.is_active,
        "description": change.description,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if change.discount_price is not UNSET:
        wanted["discount_price"] = change.discount_price
    if change.expiry_date is not UNSET and change.expiry_date != row.expiry_date:
        others = [other for other in periods if other is not row]
        wanted["expiry_date"] = _period(others, row.effective_date, change.expiry_date, today)[1]
    before = {name: getattr(row, name) for name in wanted}
    changed = [name for name in wanted if wanted[name] != before[name]]
    for name in changed:
        setattr(row, name, wanted[name])
    _ensure_discount(row)
    if changed:
        row.updated_at = clock.now()
        row.save(update_fields=[*changed, "updated_at"])
        _audit_price(
            actor,
            row,
            "price_changed",
            {"before": {n: present(before[n]) for n in changed}, "after": _facts(row, changed)},
        )
    return row


def _price_begin(
    actor: Actor,
    change: PriceChange,
    begin: date,
    *,
    periods: list[PriceConfig],
    today: date,
) -> PriceConfig:
    if not periods and not SERVICE_TYPE.fullmatch(change.service_type):
        raise InvalidInput({"service_type": [_("服务类型应为小写字母、数字和下划线，最多 64 个")]})
    earlier = [period for period in periods if period.effective_date < begin]
    model = max(earlier or periods, key=lambda period: period.effective_date, default=None)
    name = change.service_name or (model.service_name if model else None)
    if name is None:
        raise InvalidInput({"service_name": [_("新的服务类型必须填写服务名称")]})
    wanted_end = None if change.expiry_date is UNSET else change.expiry_date
    before, end = _period(
        periods, begin, wanted_end, today, is_end_given=change.expiry_date is not UNSET
    )
    row = PriceConfig(
        service_type=change.service_type,
        service_name=name,
        price=change.price,
        discount_price=None if change.discount_price is UNSET else change.discount_price,
        is_active=True if change.is_active is None else change.is_active,
        effective_date=begin,
        expiry_date=end,
        description=_first_given(change.description, model.description if model else "", ""),
        created_at=clock.now(),
    )
    row.updated_at = row.created_at
    _ensure_discount(row)
    if before is not None:
        _price_end(actor, before, begin - timedelta(days=1))
    row.save(force_insert=True)
    names = ["price", "discount_price", "is_active", "effective_date", "expiry_date"]
    _audit_price(actor, row, "price_created", {"after": _facts(row, names)})
    return row


def _price_end(actor: Actor, row: PriceConfig, last_day: date) -> None:
    before = present(row.expiry_date)
    row.expiry_date = last_day
    row.updated_at = clock.now()
    row.save(update_fields=["expiry_date", "updated_at"])
    _audit_price(
        actor,
        row,
        "price_ended",
        {"before": {"expiry_date": before}, "after": {"expiry_date": present(last_day)}},
    )


def _period(
    others: list[PriceConfig],
    begin: date,
    end: date | None,
    today: date,
    *,
    is_end_given: bool = True,
) -> tuple[PriceConfig | None, date | None]:
    try:
        return period_for(others, begin=begin, end=end, today=today, is_end_given=is_end_given)
    except PricePeriodRefused as error:
        raise InvalidInput({error.field: [error.text]}) from error


def _ensure_discount(row: PriceConfig) -> None:
    if row.discount_price is not None and row.discount_price > row.price:
        raise InvalidInput({"discount_price": [_("优惠价不能高于价格")]})


def _first_given(*texts: str | None) -> str:
    return next(text for text in texts if text is not None)


def _facts(row: PriceConfig, names: list[str]) -> dict[str, Any]:
    return {name: present(getattr(row, name)) for name in names}


def _audit_price(actor: Actor, row: PriceConfig, action: str, facts: dict[str, Any]) -> None:
    audit_record(
        object_type=PRICE_AUDIT_OBJECT,
        object_id=row.id,
        action=action,
        actor=actor,
        details={"service_type": row.service_type, **facts},
    )


def price_cache_forget() -> None:
    """Let the next answer be read from the database; a broken cache ends by its timeout."""
    try:
        cache.delete(PRICES_CACHE_KEY)
    except Exception:
        logger.warning("price_cache_unavailable", exc_info=True)
