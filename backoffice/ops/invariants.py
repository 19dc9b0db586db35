"""One idempotency key, one effect, one answer; what was answered is there (E4, E7)."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.translation import gettext as _

from payments.models import PaymentOrder, PaymentTransaction
from refunds.models import Refund
from tcmpay.audit.macs import row_mac_holds
from tcmpay.audit.upgrade import newest_upgrade
from tcmpay.common.database_session import durability_warnings
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.limits.models import IdempotencyKey
from tcmpay.limits.services import MAC_KIND, answer_facts

BATCH = 1000
# What a kept answer of a creation tells of what was created.
CREATED: Mapping[str, type[Model]] = {"order_no": PaymentOrder, "refund_no": Refund}
EFFECTS: tuple[type[Model], ...] = (PaymentOrder, PaymentTransaction, Refund)


def check_keys(scope: Scope) -> Iterator[Violation]:
    keys = IdempotencyKey.objects.using(scope.using).exclude(completed_at=None)
    upgrade = newest_upgrade(scope.using)
    if scope.since is not None:
        keys = keys.filter(claimed_at__gte=scope.since)
    for batch in batches(in_chunks(keys, "id"), BATCH):
        effects = _effects(scope, [key.id for key in batch])
        for key in batch:
            is_former = key.mac == "" and upgrade and upgrade.may_lack_digest(key.completed_at)
            if not (is_former or row_mac_holds(MAC_KIND, key.id, answer_facts(key), key.mac)):
                yield _violation("E9", key, _("保留的答复与答复时不同（由 SQL 修改或新增）"))
            yield from _check_key(key, effects.get(key.id, []))


def _effects(scope: Scope, ids: list[UUID]) -> dict[UUID, list[tuple[type[Model], UUID]]]:
    found: dict[UUID, list[tuple[type[Model], UUID]]] = {}
    for model in EFFECTS:
        rows = model._default_manager.using(scope.using).filter(idempotency_key_id__in=ids)
        for key_id, row_id in rows.values_list("idempotency_key_id", "id"):
            found.setdefault(key_id, []).append((model, row_id))
    return found


def _check_key(key: IdempotencyKey, effects: list[tuple[type[Model], UUID]]) -> Iterator[Violation]:
    if len(effects) > 1:
        yield _violation("E4", key, _("同一幂等键产生了多个结果"))
    if key.response_status != 201:
        return
    answered: Any = (key.response_body or {}).get("data") or {}
    model = next((kind for field, kind in CREATED.items() if field in answered), None)
    told = [(model, answered.get("id"))]
    if [(kind, str(row_id)) for kind, row_id in effects] != told:
        yield _violation("E7", key, _("已答复的结果在数据库中不存在或不相符"))


def check_durability(scope: Scope) -> Iterator[Violation]:
    """Server settings under which an answered commit may be lost: a notice (E7)."""
    for warning in durability_warnings():
        yield Violation("E7", "database", "server", warning, is_notice=True)


def _violation(code: str, key: IdempotencyKey, message: str) -> Violation:
    return Violation(code, "idempotency_key", str(key.id), message)


CHECKS = (check_keys, check_durability)
