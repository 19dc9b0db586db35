"""Sealing stored configuration anew, with the first of CONFIG_ENCRYPTION_KEYS."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from config.gateways.fields import KNOWN_KEYS
from config.gateways.places import draft_place, row_place, version_place
from config.gateways.versions import (
    audit_id,
    rows_digest,
    rows_lock,
    version_adopt,
    version_reseal,
)
from config.models import PaymentConfig, PaymentConfigDraft, PaymentConfigVersion
from tcmpay.common.db import columns_write
from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    Place,
    former_opened,
    is_sealed,
    is_unbound,
    plain,
    seal,
    unseal,
)


@dataclass
class Resealed:
    """How many rows, versions and drafts were sealed anew, how many rows for the first time, and
    the values that no configured key opens."""

    rows: int = 0
    versions: int = 0
    drafts: int = 0
    newly_sealed: int = 0
    unreadable: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        try:
            yield
        except ConfigSecretUnreadable:
            self.unreadable.append(name)


def gateway_secrets_reseal() -> Resealed:
    """Seal all stored configuration with the first key; must run in a transaction.

    Secrets that were written by SQL in plain text are sealed too.
    """
    count = Resealed()
    for method in sorted(KNOWN_KEYS):
        rows = rows_lock(method)
        running = version_adopt(method, rows)
        for key, row in sorted(rows.items()):
            _row_reseal(row, key, count)
        versions = PaymentConfigVersion.objects.filter(payment_method=method).order_by("number")
        digest = rows_digest(method, rows)
        for version in versions.iterator(chunk_size=50):
            _version_reseal(version, digest if version.id == running.id else None, count)
        for draft in PaymentConfigDraft.objects.select_for_update().filter(payment_method=method):
            _draft_reseal(draft, count)
    return count


def _row_reseal(row: PaymentConfig, key: str, count: Resealed) -> None:
    method = row.payment_method
    is_to_seal = row.is_encrypted or KNOWN_KEYS[method][key].is_secret
    if not row.config_value or not (is_to_seal or is_sealed(row.config_value)):
        return
    place = row_place(method, key)
    with count.noting(audit_id(method, key)):
        is_new = not is_sealed(row.config_value)
        sealed = seal(_opened(row.config_value, method, key, [place]), place)
        columns_write(row, config_value=sealed, is_encrypted=True)
        count.rows += 1
        count.newly_sealed += is_new


def _version_reseal(version: PaymentConfigVersion, digest: str | None, count: Resealed) -> None:
    method = version.payment_method
    values = {}
    for key, text in json.loads(version.encrypted_values).items():
        # A value that could not be opened when the version began was kept as its row had it.
        places = [version_place(version.id, method, key), row_place(method, key)]
        with count.noting(f"{audit_id(method, key)} (version {version.number})"):
            values[key] = _opened(text, method, key, places)
    version_reseal(version, values, digest)
    count.versions += 1


def _draft_reseal(draft: PaymentConfigDraft, count: Resealed) -> None:
    method = draft.payment_method
    texts = {}
    for key, text in json.loads(draft.encrypted_values).items():
        place = draft_place(draft.id, method, key)
        with count.noting(f"{audit_id(method, key)} (draft)"):
            texts[key] = seal(_opened(text, method, key, [place]), place) if text else ""
    columns_write(draft, encrypted_values=json.dumps(texts, sort_keys=True))
    count.drafts += 1


def _opened(stored: str, method: str, key: str, places: Iterable[Place]) -> str:
    """What ``stored`` holds, at the first of ``places`` where it opens.

    What was sealed before seals were bound (a backup put back by hand, a former key put back
    after the upgrade) is read where nobody is ever shown it: as a secret.
    """
    known = KNOWN_KEYS[method].get(key)
    if is_unbound(stored) and known is not None and known.is_secret:
        return former_opened(stored)
    if not is_sealed(stored):
        return plain(stored, next(iter(places)))
    problem = ConfigSecretUnreadable()
    for place in places:
        try:
            return unseal(stored, place)
        except ConfigSecretUnreadable as error:
            problem = error
    raise problem
