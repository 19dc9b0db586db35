"""Drafts of a gateway's configuration: saved, tested, activated; and earlier versions brought back.

What is in force changes in one transaction, as one version. A draft holds only what is to be
different, so that it lies on top of whatever is in force when it is activated. Whoever holds the
locks of a gateway's rows may write its draft.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from config.gateways.errors import (
    DraftChanged,
    DraftEmpty,
    DraftInTheWay,
    DraftIsOwn,
    DraftNotTested,
    VersionIsRevoked,
    VersionNotFound,
)
from config.gateways.examine import Depth, examine_values, probe_values
from config.gateways.fields import KNOWN_KEYS
from config.gateways.places import draft_place
from config.gateways.selectors import gateway_config_current
from config.gateways.services import config_rows_write, ensure_config_valid
from config.gateways.versions import config_audit, rows_lock, version_adopt, version_values
from config.models import PaymentConfig, PaymentConfigDraft, PaymentConfigVersion
from gateways.findings import Finding
from gateways.key_blocks import KeyUnreadable
from gateways.key_texts import normalised
from gateways.trial import EchoListener
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.sealing import ConfigSecretUnreadable, Place, seal, unseal

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What would be in force if the draft were activated now; ``mark`` names exactly this."""

    method: str
    in_force: Values = field(repr=False)
    changes: Values = field(repr=False)
    mark: str
    draft: PaymentConfigDraft | None

    @property
    def values(self) -> dict[str, str]:
        merged = {**self.in_force, **self.changes}
        return {key: value for key, value in merged.items() if value}

    @property
    def is_tested(self) -> bool:
        """Whether a test of exactly this has passed."""
        draft = self.draft
        return draft is not None and draft.is_test_passed and draft.tested_as == self.mark

    @property
    def is_test_outdated(self) -> bool:
        draft = self.draft
        return draft is not None and bool(draft.tested_as) and draft.tested_as != self.mark


def candidate_of(method: str) -> Candidate:
    """Raises MethodNotFound, ConfigSecretUnreadable (of what is in force)."""
    current = gateway_config_current(method)
    draft = PaymentConfigDraft.objects.filter(payment_method=method).first()
    return Candidate(
        method=method,
        in_force=current.values,
        changes={} if draft is None else draft_changes(draft),
        mark=f"{current.version_id} {draft.id if draft else ''} {draft.revision if draft else 0}",
        draft=draft,
    )


def draft_changes(draft: PaymentConfigDraft) -> dict[str, str]:
    """What the draft would change; values that no key opens any more are left out."""
    changes: dict[str, str] = {}
    for key, text in json.loads(draft.encrypted_values).items():
        try:
            changes[key] = unseal(text, _place(draft, key)) if text else ""
        except ConfigSecretUnreadable:
            continue
    return changes


def _place(draft: PaymentConfigDraft, key: str) -> Place:
    return draft_place(draft.id, draft.payment_method, key)


@money_unit
def draft_save(*, actor: Actor, method: str, values: Values, revision: int) -> bool:
    """Add ``values`` (empty: to be cleared) to the draft; whether there is a draft now.

    ``revision`` is that of the draft that the person saw, 0 for none.
    Raises MethodNotFound, InvalidInput, DraftChanged.
    """
    ensure_config_valid(method, {key: value for key, value in values.items() if value})
    rows = rows_lock(method)
    in_force = version_values(version_adopt(method, rows).id)
    draft = _draft(method)
    if revision != (draft.revision if draft else 0):
        raise DraftChanged()
    changes = {**(draft_changes(draft) if draft else {}), **values}
    kept = _different(method, changes, in_force)
    if not kept:
        if draft is not None:
            _drop(actor, draft, "")
        return False
    _write(actor, draft or PaymentConfigDraft(payment_method=method, revision=0), kept)
    return True


def _different(method: str, changes: Values, in_force: Values) -> dict[str, str]:
    return {
        key: value
        for key, value in changes.items()
        if not _is_same(method, key, value, in_force.get(key, ""))
    }


def _is_same(method: str, key: str, value: str, in_force: str) -> bool:
    """Whether nothing would be different: the same key in another form of PEM is the same key."""
    if value == in_force or not value or not in_force:
        return value == in_force
    try:
        return value == normalised(KNOWN_KEYS[method][key].kind, in_force)
    except KeyUnreadable:
        return False


def _write(
    actor: Actor, draft: PaymentConfigDraft, changes: Values, *, reason: str = "", **details: Any
) -> None:
    now = clock.now()
    is_new = draft._state.adding
    draft.encrypted_values = json.dumps(
        {key: seal(value, _place(draft, key)) if value else "" for key, value in changes.items()},
        sort_keys=True,
    )
    draft.revision += 1
    draft.updated_at, draft.updated_by = now, actor.id
    if str(actor.id) not in draft.editors:
        draft.editors = [*draft.editors, str(actor.id)]
    if is_new:
        draft.created_at = now
    draft.save(force_insert=is_new)
    config_audit(
        actor,
        draft.payment_method,
        "config_draft_saved",
        reason=reason,
        keys=sorted(changes),
        **details,
    )


@money_unit
def draft_discard(*, actor: Actor, method: str, revision: int, reason: str = "") -> None:
    """Throw the draft away. Raises DraftEmpty, DraftChanged."""
    rows_lock(method)
    draft = _draft(method)
    if draft is None:
        raise DraftEmpty()
    if draft.revision != revision:
        raise DraftChanged()
    _drop(actor, draft, reason)


def _drop(actor: Actor, draft: PaymentConfigDraft, reason: str) -> None:
    draft.delete()
    config_audit(actor, draft.payment_method, "config_draft_discarded", reason=reason)


def draft_test(
    *, actor: Actor, method: str, depth: Depth = Depth.QUERY, listener: EchoListener | None = None
) -> list[Finding]:
    """Examine what the draft would put in force, and ask the gateway, as far as ``depth`` goes.

    Nothing is asked while there are errors. Without a draft it is what is in force that is tested.
    """
    candidate = candidate_of(method)
    findings = examine_values(method, candidate.values)
    if not _has_error(findings):
        # No transaction is open here: the gateway may take its time.
        findings = [*probe_values(method, candidate.values, depth, listener), *findings]
    if candidate.draft is not None:
        _record_test(actor=actor, candidate=candidate, findings=findings, depth=depth)
    return findings


@money_unit
def _record_test(
    *, actor: Actor, candidate: Candidate, findings: list[Finding], depth: Depth
) -> None:
    """Keep the result; of a draft that has changed meanwhile it says nothing."""
    rows_lock(candidate.method)
    draft = _draft(candidate.method)
    if draft is None or candidate_of(candidate.method).mark != candidate.mark:
        return
    columns_write(
        draft,
        tested_as=candidate.mark,
        tested_at=clock.now(),
        tested_by=actor.id,
        is_test_passed=not _has_error(findings),
        test_findings=[
            [one.level, one.key, *map(str, (one.message, one.fix, one.unproved))]
            for one in findings
        ],
    )
    action = "config_draft_test_passed" if draft.is_test_passed else "config_draft_test_failed"
    config_audit(actor, candidate.method, action, depth=str(depth))


@money_unit
def draft_activate(
    *, actor: Actor, method: str, revision: int, reason: str
) -> PaymentConfigVersion | None:
    """Put the tested draft in force, from the next attempt on, as one version.

    None when another change has made it superfluous.
    Raises DraftEmpty, DraftChanged, DraftNotTested, DraftIsOwn.
    """
    rows = rows_lock(method)
    version_adopt(method, rows)
    draft = _draft(method)
    if draft is None:
        raise DraftEmpty()
    if draft.revision != revision:
        raise DraftChanged()
    if settings.CONFIG_ACTIVATION_SECOND_PERSON:
        draft.ensure_may_answer(actor, decided=DraftEmpty, own=DraftIsOwn)
    candidate = candidate_of(method)
    if not candidate.is_tested or _has_error(examine_values(method, candidate.values)):
        raise DraftNotTested()
    version = config_rows_write(method, rows, candidate.changes, actor=actor, reason=reason)
    draft.delete()
    number = version.number if version else 0
    config_audit(actor, method, "config_activated", reason=reason, version=number)
    return version


@money_unit
def config_roll_back(
    *, actor: Actor, method: str, number: int, reason: str
) -> PaymentConfigVersion | None:
    """Make an earlier version's values the whole configuration again, as a new version.

    None when they are in force already. It is one person's deed: see roll_back_draft where two
    are needed. Raises VersionNotFound, ConfigSecretUnreadable.
    """
    rows = rows_lock(method)
    version_adopt(method, rows)
    wanted = _values_of_version(method, rows, number)
    version = config_rows_write(
        method, rows, wanted, actor=actor, reason=reason, restored_from=number
    )
    if version is not None:
        config_audit(
            actor, method, "config_rolled_back", reason=reason, version=version.number, to=number
        )
    return version


@money_unit
def roll_back_draft(*, actor: Actor, method: str, number: int, reason: str) -> bool:
    """Make a draft that brings an earlier version back, for a second person to activate; whether
    there was anything to bring back.

    Raises VersionNotFound, ConfigSecretUnreadable, and DraftInTheWay rather than overwrite what
    somebody else has prepared.
    """
    rows = rows_lock(method)
    in_force = version_values(version_adopt(method, rows).id)
    wanted = _different(method, _values_of_version(method, rows, number), in_force)
    if not wanted:
        return False
    if _draft(method) is not None:
        raise DraftInTheWay()
    draft = PaymentConfigDraft(payment_method=method, revision=0)
    _write(actor, draft, wanted, reason=reason, to=number)
    return True


def _values_of_version(
    method: str, rows: Mapping[str, PaymentConfig], number: int
) -> dict[str, str]:
    """All of an earlier version; empty for what is to be cleared, and only where there is a row:
    nothing has to be cleared elsewhere. Raises VersionNotFound, VersionIsRevoked (withdrawn keys
    must not come back by a click), ConfigSecretUnreadable."""
    version = version_of(method, number)
    if version.revoked_at is not None:
        raise VersionIsRevoked()
    wanted = dict.fromkeys(rows, "") | version_values(version.id)
    return {
        key: value
        for key, value in wanted.items()
        if key in KNOWN_KEYS[method] and (value or key in rows)
    }


def version_of(method: str, number: int) -> PaymentConfigVersion:
    """Raises VersionNotFound."""
    found = PaymentConfigVersion.objects.filter(payment_method=method, number=number).first()
    if found is None:
        raise VersionNotFound()
    return found


def _draft(method: str) -> PaymentConfigDraft | None:
    return PaymentConfigDraft.objects.select_for_update().filter(payment_method=method).first()


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.level == "error" for finding in findings)
