"""Following hash chains of the audit trail: one object's, or all that a range of days touched."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby

from django.db.models import Q
from django.utils.translation import gettext as _

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.services import event_verdict
from tcmpay.common import clock
from tcmpay.common.invariants import in_chunks

# One look follows so much at most; the next one goes on where it ended.
EVENTS_MAX = 50_000
OBJECTS_MAX = 5_000
OBJECTS_AT_ONCE = 200
BROKEN_MAX = 50

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first event of a chain that does not follow from those before it."""

    object_type: str
    object_id: str
    event_id: object
    version: int
    created_at: datetime
    problem: str


@dataclass(slots=True)
class ChainReport:
    """What was followed and where it broke; ``resume_after`` when more objects are left."""

    chains: int = 0
    events: int = 0
    broken: list[ChainBreak] = field(default_factory=list)
    resume_after: Key | None = None

    @property
    def is_sound(self) -> bool:
        return not self.broken


def chain_break(chain: Iterator[AuditEvent], periods: KeyPeriods) -> ChainBreak | None:
    """The first broken event of one object's chain, given from its first version on."""
    version, previous_hash, state = 0, "", ""
    for event in chain:
        problem = _event_problem(event, version, previous_hash, state, periods)
        if problem:
            return ChainBreak(
                event.object_type,
                event.object_id,
                event.id,
                event.version,
                event.created_at,
                problem,
            )
        version, previous_hash = event.version, event.hash
        state = event.to_state or state
    return None


def _event_problem(
    event: AuditEvent, version: int, previous_hash: str, state: str, periods: KeyPeriods
) -> str:
    where: dict[str, object] = {"version": event.version, "id": event.id}
    if event.version != version + 1:
        return _("审计记录 %(id)s（第 %(version)s 版）之前缺少记录") % where
    if event.previous_hash != previous_hash:
        return _("审计记录 %(id)s（第 %(version)s 版）被篡改，哈希不符") % where
    if problem := periods.problem(event_verdict(event), event.hash, event.created_at):
        where["problem"] = problem
        return _("审计记录 %(id)s（第 %(version)s 版）：%(problem)s") % where
    # Each change of state has exactly one record: none is left out, none told twice.
    if (event.from_state or event.to_state) and event.from_state != state:
        return _("审计记录 %(id)s（第 %(version)s 版）的原状态与上一条不衔接") % where
    return ""


def object_verify(object_type: str, object_id: str, *, using: str = "default") -> ChainReport:
    """Follow the whole chain of one object."""
    report = ChainReport()
    _follow(report, object_type, [object_id], using)
    return report


def days_verify(
    first: date, last: date, *, after: Key | None = None, using: str = "default"
) -> ChainReport:
    """Follow the whole chain of every object with an event on these business days.

    Bounded: past OBJECTS_MAX objects or EVENTS_MAX events the report says where to resume.
    """
    report = ChainReport()
    keys = _touched(first, last, after, using)
    for object_type, group in groupby(keys[:OBJECTS_MAX], key=lambda key: key[0]):
        ids = [object_id for _type, object_id in group]
        for start in range(0, len(ids), OBJECTS_AT_ONCE):
            batch = ids[start : start + OBJECTS_AT_ONCE]
            _follow(report, object_type, batch, using)
            if report.events >= EVENTS_MAX or len(report.broken) >= BROKEN_MAX:
                reached = (object_type, batch[-1])
                report.resume_after = reached if reached != keys[-1] else None
                return report
    if len(keys) > OBJECTS_MAX:
        report.resume_after = keys[OBJECTS_MAX - 1]
    return report


def _touched(first: date, last: date, after: Key | None, using: str) -> list[Key]:
    events = AuditEvent.objects.using(using).filter(
        created_at__gte=clock.day_start(first),
        created_at__lt=clock.day_start(last + timedelta(days=1)),
    )
    if after is not None:
        kind, key = after
        events = events.filter(Q(object_type__gt=kind) | Q(object_type=kind, object_id__gt=key))
    pairs = events.order_by("object_type", "object_id").values_list("object_type", "object_id")
    return list(pairs.distinct()[: OBJECTS_MAX + 1])


def _follow(report: ChainReport, object_type: str, object_ids: list[str], using: str) -> None:
    events = AuditEvent.objects.using(using).filter(
        object_type=object_type, object_id__in=object_ids
    )
    rows = _counted(report, in_chunks(events, "object_type", "object_id", "version"))
    periods = KeyPeriods(AuditEvent._meta.db_table, using=using)
    for _key, chain in groupby(rows, key=lambda event: event.object_id):
        report.chains += 1
        broken = chain_break(chain, periods)
        if broken is not None:
            report.broken.append(broken)


def _counted(report: ChainReport, events: Iterator[AuditEvent]) -> Iterator[AuditEvent]:
    for event in events:
        report.events += 1
        yield event
