"""A quick look at the trail by its bare rows: which objects' chains are not plainly right, and
what the others tell."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connections

from tcmpay.audit.bare_rows import (
    ENCODE_SORTED,
    IDS_AT_ONCE,
    bare_moment,
    json_of,
    moment_column,
    moment_of,
    moment_text,
    rows_among,
)
from tcmpay.audit.macs import Verdict, mac_reader
from tcmpay.audit.row_digests import ROW
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.services import MAC_KIND
from tcmpay.common.invariants import Scope, batches, rows_in_chunks

TABLE = "audit_events"
COLUMNS = (
    *("object_type", "object_id", "version", "id", "action", "from_state", "to_state"),
    *("actor_id", "actor_role", "actor_name", "reason", "details", "request_id"),
    *("previous_hash", "hash", "created_at"),
)


@dataclass(slots=True)
class BareStory:
    """How an object's trail began, the state it ends in, the newest digest of its row."""

    birth: Mapping[str, Any]
    state: str
    row: str


def odd_chains(
    scope: Scope, *, only: str = "", besides: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """The objects whose chains have to be followed by ``chain_break``.

    ``only`` of this type; ``besides``: types that are not looked at.
    """
    conditions: list[str] = []
    values: list[Any] = []
    if scope.since is not None:
        conditions.append(
            "object_id IN (SELECT object_id FROM audit_events WHERE created_at >= %s)"
        )
        values.append(bare_moment(scope.since))
    if only:
        conditions.append("object_type = %s")
        values.append(only)
    if besides:
        conditions.append(f"object_type NOT IN ({', '.join(['%s'] * len(besides))})")
        values += besides
    rows = rows_in_chunks(
        scope,
        table=TABLE,
        columns=_columns(scope),
        keys=3,
        where=" AND ".join(conditions),
        values=values,
    )
    follower = _Follower(scope)
    for key, chain in groupby(rows, key=itemgetter(0, 1)):
        if follower.story(chain) is None:
            yield key


class TrailReader:
    """Follows the chains of one type of objects, and hands out what the sound ones tell."""

    def __init__(self, scope: Scope, object_type: str) -> None:
        self._using, self._type = scope.using, object_type
        self._select = (
            f"SELECT {', '.join(_columns(scope))} FROM {TABLE}"
            " WHERE object_type = %s AND object_id IN ({}) ORDER BY object_id, version"
        )
        self._follower = _Follower(scope)
        self._events = 0

    def stories(self, ids: Sequence[str]) -> dict[str, BareStory]:
        """By the ids as they are stored; without objects whose chains are not plainly right."""
        told: dict[str, BareStory] = {}
        for batch in batches(ids, IDS_AT_ONCE):
            rows = list(rows_among(self._using, self._select, batch, self._type))
            self._events += len(rows)
            found = {
                key: self._follower.story(chain) for key, chain in groupby(rows, itemgetter(1))
            }
            # A collation may take other ids for these: then all of them are looked at closely.
            if found.keys() <= set(batch):
                told |= {key: story for key, story in found.items() if story is not None}
        return told

    def has_read_all(self) -> bool:
        """Whether every event of the type was among those that were followed."""
        with connections[self._using].cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE object_type = %s", [self._type])
            return bool(cursor.fetchone()[0] == self._events)


def _columns(scope: Scope) -> tuple[str, ...]:
    return *COLUMNS[:-1], moment_column(scope.using, COLUMNS[-1])


class _Follower:
    def __init__(self, scope: Scope) -> None:
        self._periods = KeyPeriods(TABLE, using=scope.using)
        self._holds = mac_reader(MAC_KIND)

    def story(self, chain: Iterator[tuple[Any, ...]]) -> BareStory | None:
        """What a chain tells; None when anything at all is odd in it."""
        try:
            return self._story(chain)
        except (ValueError, TypeError, AttributeError):
            return None

    def _story(self, chain: Iterator[tuple[Any, ...]]) -> BareStory | None:
        story: BareStory | None = None
        previous_hash, state = "", ""
        for version, row in enumerate(chain, start=1):
            from_state, to_state, stored = row[5], row[6], row[14]
            if row[2] != version or row[13] != previous_hash:
                return None
            if (from_state or to_state) and from_state != state:
                return None
            details = json_of(row[11])
            if not self._holds(_content(row, details), stored) or self._is_untimely(row):
                return None
            previous_hash, state = stored, to_state or state
            digest = details.get(ROW, "")
            if story is None:
                story = BareStory(details, state, digest)
            else:
                story.state, story.row = state, digest or story.row
        return story

    def _is_untimely(self, row: tuple[Any, ...]) -> bool:
        if self._periods.is_plain(row[14]):
            return False
        return bool(self._periods.problem(Verdict.HOLDS, row[14], moment_of(row[15])))


def _content(row: tuple[Any, ...], details: Any) -> bytes:
    """What ``tcmpay.audit.services`` hashes of an event."""
    content = [
        *(row[13], row[3], row[0], row[1], row[2], row[4], row[5], row[6]),
        *(row[7] or "", row[8], row[9], row[10], details, row[12]),
        moment_text(row[15]),
    ]
    return ENCODE_SORTED(content)
