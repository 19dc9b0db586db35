"""The audit trail's invariant (E2): gapless versions, unbroken hashes."""

from collections.abc import Iterator
from itertools import groupby

from tcmpay.audit.day_seals import check_sealed
from tcmpay.audit.marks import check_marks
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.roots import check_roots_told
from tcmpay.audit.seals import Chain, KeyPeriods
from tcmpay.audit.trail_rows import odd_chains
from tcmpay.audit.verification import chain_break
from tcmpay.common.invariants import Scope, Violation, in_chunks

TRAIL = Chain(AuditEvent, "E2")


def check_chains(scope: Scope) -> Iterator[Violation]:
    """The first broken event of every object's chain."""
    periods = KeyPeriods(TRAIL.name, using=scope.using)
    for object_type, object_id in odd_chains(scope, periods):
        events = AuditEvent.objects.using(scope.using).filter(
            object_type=object_type, object_id=object_id
        )
        # A collation may take more than one object's events for these.
        for key, chain in groupby(
            in_chunks(events, "object_type", "object_id", "version"),
            key=lambda event: (event.object_type, event.object_id),
        ):
            if key == (object_type, object_id) and (broken := chain_break(chain, periods)):
                yield Violation("E2", object_type, object_id, f"audit_events: {broken.problem}")


def check_sealed_trail(scope: Scope) -> Iterator[Violation]:
    """What was sealed of the trail is still there (E2, E10)."""
    yield from check_sealed(TRAIL, scope)


CHECKS = (check_chains, check_sealed_trail, check_roots_told, check_marks)
