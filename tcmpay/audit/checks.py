"""The audit trail's invariant (E2): gapless versions, unbroken hashes."""

from collections.abc import Iterator
from itertools import groupby

from django.utils.translation import gettext as _

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.seals import Chain, check_seals
from tcmpay.audit.services import event_hash
from tcmpay.common.invariants import Scope, Violation, in_chunks

TRAIL = Chain(AuditEvent, "E2")


def check_chains(scope: Scope) -> Iterator[Violation]:
    """The first broken event of every object's chain."""
    events = AuditEvent.objects.using(scope.using).all()
    if scope.since is not None:
        touched = events.filter(created_at__gte=scope.since).values("object_id").distinct()
        events = events.filter(object_id__in=touched)
    for (object_type, object_id), chain in groupby(
        in_chunks(events, "object_type", "object_id", "version"),
        key=lambda event: (event.object_type, event.object_id),
    ):
        problem = _chain_problem(chain)
        if problem:
            yield Violation("E2", object_type, object_id, f"audit_events: {problem}")


def _chain_problem(chain: Iterator[AuditEvent]) -> str:
    version, previous_hash, state = 0, "", ""
    for event in chain:
        where = {"version": event.version, "id": event.id}
        if event.version != version + 1:
            return _("审计记录 %(id)s（第 %(version)s 版）之前缺少记录") % where
        if event.previous_hash != previous_hash or event.hash != event_hash(event):
            return _("审计记录 %(id)s（第 %(version)s 版）被篡改，哈希不符") % where
        # Each change of state has exactly one record: none is left out, none told twice.
        if (event.from_state or event.to_state) and event.from_state != state:
            return _("审计记录 %(id)s（第 %(version)s 版）的原状态与上一条不衔接") % where
        version, previous_hash = event.version, event.hash
        state = event.to_state or state
    return ""


def check_sealed_days(scope: Scope) -> Iterator[Violation]:
    """What was sealed of the trail is still there (E2)."""
    yield from check_seals(TRAIL, scope)


CHECKS = (check_chains, check_sealed_days)
