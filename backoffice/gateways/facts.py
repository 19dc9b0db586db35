"""What the pages of gateway configuration show: read only, and never a secret."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from backoffice.site.display import BAD, GOOD, WAITING
from config.gateways.drafts import Candidate
from config.gateways.examine import examine_current, expiries_current
from config.gateways.fields import KNOWN_KEYS, keys_of
from config.gateways.selectors import is_write_only
from config.gateways.versions import audit_id, version_running, version_values
from config.models import GatewayMethod, PaymentConfig, PaymentConfigVersion
from gateways.findings import EXPIRY_WARNING_DAYS, Finding
from gateways.key_texts import Expiry
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Role
from tcmpay.common.sealing import ConfigSecretUnreadable

VERSIONS_SHOWN_MAX = 20


def write_only_keys(method: str) -> frozenset[str]:
    """Keys whose values are never shown: secrets, and whatever was asked to be kept encrypted."""
    hidden = {key.name for key in keys_of(method).values() if key.is_secret}
    rows = PaymentConfig.objects.filter(payment_method=method)
    return frozenset(hidden | {row.config_key for row in rows if is_write_only(row)})


def last_changes(method: str) -> dict[str, str]:
    """Key → when its value in force was last written, and by whom."""
    told: dict[str, str] = {}
    events = {
        key: AuditEvent.objects.filter(
            object_type="payment_config", object_id=audit_id(method, key)
        )
        .order_by("-version")
        .first()
        for key in keys_of(method)
    }
    names = people_names(event.actor_id for event in events.values() if event)
    rows = {row.config_key: row for row in PaymentConfig.objects.filter(payment_method=method)}
    for key, event in events.items():
        row = rows.get(key)
        if row is None or not row.config_value:
            continue
        moment = event.created_at if event else row.updated_at
        facts = {
            "time": f"{moment.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}",
            "person": _person(event, names),
        }
        told[key] = _("末次更新 %(time)s，%(person)s") % facts
    return told


def _person(event: AuditEvent | None, names: dict[object, str]) -> str:
    if event is None or event.actor_role == Role.SYSTEM:
        return _("系统")
    return event.actor_name or person_text(event.actor_id, names=names)


@dataclass(frozen=True)
class ExpiryLine:
    """One certificate's countdown."""

    label: Any
    serial: str
    day: str
    days_left: int
    tone: str


def expiry_lines(expiries: Iterable[Expiry], method: str) -> list[ExpiryLine]:
    return [
        ExpiryLine(
            label=KNOWN_KEYS[method][expiry.key].description,
            serial=expiry.serial,
            day=f"{expiry.ends_at.astimezone(clock.SHANGHAI):%Y-%m-%d}",
            days_left=expiry.days_left,
            tone=_expiry_tone(expiry.days_left),
        )
        for expiry in expiries
    ]


def _expiry_tone(days_left: int) -> str:
    if days_left < 0:
        return BAD
    return WAITING if days_left < EXPIRY_WARNING_DAYS else GOOD


@dataclass(frozen=True)
class GatewayCard:
    """A gateway at a glance."""

    method: str
    name: str
    version: PaymentConfigVersion | None
    errors: list[Finding]
    warnings: list[Finding]
    expiries: list[ExpiryLine]
    has_draft: bool
    is_empty: bool

    @property
    def tone(self) -> str:
        if self.errors:
            return BAD
        return WAITING if self.warnings else GOOD


def gateway_card(method: str, has_draft: bool) -> GatewayCard:
    findings = examine_current(method)
    rows = PaymentConfig.objects.filter(payment_method=method).exclude(config_value="")
    return GatewayCard(
        method=method,
        name=str(GatewayMethod(method).label),
        version=version_running(method),
        errors=[finding for finding in findings if finding.level == "error"],
        warnings=[finding for finding in findings if finding.level == "warning"],
        expiries=expiry_lines(expiries_current(method), method),
        has_draft=has_draft,
        is_empty=not rows.exists(),
    )


@dataclass(frozen=True)
class VersionLine:
    """One version in the history: who, when, why, and which values it changed."""

    number: int
    activated_at: datetime
    retired_at: datetime | None
    person: str
    reason: str
    restored_from: int | None
    changed: str
    is_revoked: bool
    is_revocation_asked: bool


def version_lines(method: str) -> list[VersionLine]:
    """The newest versions first."""
    versions = list(
        PaymentConfigVersion.objects.filter(payment_method=method).order_by("-number")[
            : VERSIONS_SHOWN_MAX + 1
        ]
    )
    names = people_names(version.created_by for version in versions)
    lines = []
    for index, version in enumerate(versions[:VERSIONS_SHOWN_MAX]):
        before = versions[index + 1] if index + 1 < len(versions) else None
        lines.append(
            VersionLine(
                number=version.number,
                activated_at=version.activated_at,
                retired_at=version.retired_at,
                person=person_text(version.created_by, names=names),
                reason=version.reason,
                restored_from=version.restored_from,
                changed=_changed_labels(method, version, before),
                is_revoked=version.revoked_at is not None,
                is_revocation_asked=version.is_waiting,
            )
        )
    return lines


def _changed_labels(
    method: str, version: PaymentConfigVersion, before: PaymentConfigVersion | None
) -> str:
    try:
        values = version_values(version.id)
        earlier = version_values(before.id) if before else {}
    except ConfigSecretUnreadable:
        return _("无法解密")
    return labels(method, changed_keys(earlier, values))


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [key for key in sorted({*before, *after}) if before.get(key, "") != after.get(key, "")]


def labels(method: str, keys: Iterable[str]) -> str:
    return "、".join(
        str(KNOWN_KEYS[method][key].description) for key in keys if key in KNOWN_KEYS[method]
    )


@dataclass(frozen=True)
class Difference:
    """A value as it is and as it would be; of secrets only that they differ."""

    label: Any
    before: str
    after: str


def differences(
    method: str, before: Mapping[str, str], after: Mapping[str, str], hidden: frozenset[str]
) -> list[Difference]:
    def text(values: Mapping[str, str], key: str) -> str:
        value = values.get(key, "")
        if not value:
            return _("未设置")
        if key in hidden:
            return _("已设置（不显示）")
        return value if len(value) <= 80 and "\n" not in value else _("已设置")

    return [
        Difference(KNOWN_KEYS[method][key].description, text(before, key), text(after, key))
        for key in changed_keys(before, after)
        if key in KNOWN_KEYS[method]
    ]


def stored_findings(candidate: Candidate) -> list[Finding]:
    """What the last test of this draft said."""
    draft = candidate.draft
    if draft is None:
        return []
    return [Finding(*parts) for parts in draft.test_findings]
