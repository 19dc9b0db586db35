"""The audit trail's invariant (E2): gapless versions, unbroken hashes."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

from django.db.models import Model

from tcmpay.audit.bare_rows import IDS_AT_ONCE, rows_among
from tcmpay.audit.day_seals import check_sealed
from tcmpay.audit.marks import check_marks
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.roots import check_roots_told
from tcmpay.audit.row_checks import lost_objects
from tcmpay.audit.seals import Chain, KeyPeriods
from tcmpay.audit.trail_rows import BareStory, TrailReader, odd_chains
from tcmpay.audit.verification import chain_break
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks

TRAIL = Chain(AuditEvent, "E2")


def check_chains(scope: Scope, followed: Collection[str] = ()) -> Iterator[Violation]:
    """The first broken event of every object's chain.

    ``followed``: the types whose own checks follow their chains (``FollowedTrail``). With a day to
    begin at those look at some of the objects only, and here all types are.
    """
    besides = followed if scope.since is None else ()
    for object_type, object_id in odd_chains(scope, besides=besides):
        yield from _broken_chains(scope, object_type, [object_id])


class FollowedTrail:
    """The trail of one type of objects, for the check that reads every one of them.

    It reads the events once, for their chains and for what they tell.
    """

    def __init__(self, scope: Scope, object_type: str) -> None:
        self._scope, self._type = scope, object_type
        self._reader = TrailReader(scope, object_type)

    def stories(self, ids: Sequence[str]) -> dict[str, BareStory]:
        return self._reader.stories(ids)

    def check(self, odd: Sequence[str]) -> Iterator[Violation]:
        """The broken chains among objects whose stories were missing or odd."""
        if self._scope.since is None:
            yield from _broken_chains(self._scope, self._type, odd)

    def check_rest(self, model: type[Model]) -> Iterator[Violation]:
        """Objects that have no row of ``model`` any more (E9), and their broken chains: ``check``
        told of the others. There are none where every event was among those of rows."""
        if self._scope.since is None and self._reader.has_read_all():
            return
        yield from lost_objects(self._scope, self._type, model)
        if self._scope.since is not None:
            return
        table, key = model._meta.db_table, str(model._meta.pk.column)
        for odd in batches(odd_chains(self._scope, only=self._type), IDS_AT_ONCE):
            ids = [object_id for _type, object_id in odd]
            rows = rows_among(self._scope, f"SELECT {key} FROM {table}", key, ids)
            there = {found for (found,) in rows}
            for object_id in ids:
                if object_id not in there:
                    yield from _broken_chains(self._scope, self._type, [object_id])


def _broken_chains(scope: Scope, object_type: str, ids: Sequence[str]) -> Iterator[Violation]:
    # A collation may take more objects' events for these: each is followed by itself.
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=object_type, object_id__in=ids
    )
    periods = KeyPeriods(TRAIL.name, using=scope.using)
    for key, chain in groupby(
        in_chunks(events, "object_type", "object_id", "version"),
        key=lambda event: (event.object_type, event.object_id),
    ):
        if broken := chain_break(chain, periods):
            yield Violation("E2", *key, f"audit_events: {broken.problem}")


def check_sealed_trail(scope: Scope) -> Iterator[Violation]:
    """What was sealed of the trail is still there (E2, E10)."""
    yield from check_sealed(TRAIL, scope)


CHECKS = (check_sealed_trail, check_roots_told, check_marks)
