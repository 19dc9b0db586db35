"""A quick look at the trail by its bare rows: which objects' chains are not plainly right, and
what the others tell."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connections

from tcmpay.audit.bare_rows import (
    DECODE,
    ENCODE_SORTED,
    bare_moment,
    moment_column,
    moment_of,
    moment_text,
    rows_among,
    rows_of,
)
from tcmpay.audit.macs import Verdict, mac_reader
from tcmpay.audit.row_digests import ROW
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.services import MAC_KIND
from tcmpay.common.invariants import Scope, rows_in_chunks

TABLE = "audit_events"
# In the order in which ``tcmpay.audit.services`` hashes them.
COLUMNS = (
    *("previous_hash", "id", "object_type", "object_id", "version", "action", "from_state"),
    *("to_state", "COALESCE(actor_id, '')", "actor_role", "actor_name", "reason", "details"),
    *("request_id", "created_at", "hash"),
)
KEY = ("object_type", "object_id", "version")


@dataclass(slots=True)
class BareStory:
    """How an object's trail began and by whom (""), the state it ends in, the newest digest of
    its row, and all that was done."""

    birth: Mapping[str, Any]
    born_by: str
    state: str
    row: str
    actions: list[str]


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
        columns=(*KEY, *_columns(scope)),
        keys=len(KEY),
        where=" AND ".join(conditions),
        values=values,
    )
    follower = _Follower(scope)
    for key, chain in groupby(rows, key=itemgetter(0, 1)):
        if follower.story(row[len(KEY) :] for row in chain) is None:
            yield key


class TrailReader:
    """Follows the chains of one type of objects, and hands out what the sound ones tell."""

    def __init__(self, scope: Scope, object_type: str) -> None:
        self._scope, self._type = scope, object_type
        self._select = f"SELECT {', '.join(_columns(scope))} FROM {TABLE}"
        self._follower = _Follower(scope)
        self._events = 0

    def stories(self, ids: Sequence[str]) -> dict[str, BareStory]:
        """By the ids as they are stored, in whose order they come; without objects whose chains
        are not plainly right."""
        wanted = set(ids)
        found, events = self._followed(rows_of, ids)
        if not found.keys() <= wanted:
            # Events of others lie among these: those that are gone, or whose ids are the same for
            # the database. Then all are looked at closely.
            found, events = self._followed(rows_among, ids)
            if not found.keys() <= wanted:
                found = {}
        self._events += events
        return {key: story for key, story in found.items() if story is not None}

    def _followed(
        self, read: Callable[..., Iterable[Any]], ids: Sequence[str]
    ) -> tuple[dict[str, BareStory | None], int]:
        where = f"object_type = '{self._type}'"
        rows = list(read(self._scope, self._select, "object_id", ids, where, "object_id, version"))
        follow = self._follower.story
        return {key: follow(chain) for key, chain in groupby(rows, itemgetter(3))}, len(rows)

    def has_read_all(self) -> bool:
        """Whether every event of the type was among those that were followed."""
        with connections[self._scope.using].cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE object_type = %s", [self._type])
            return bool(cursor.fetchone()[0] == self._events)


def _columns(scope: Scope) -> list[str]:
    moment = moment_column(scope.using, "created_at")
    return [moment if name == "created_at" else name for name in COLUMNS]


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
            from_state, to_state, stored = row[6], row[7], row[15]
            if row[4] != version or row[0] != previous_hash:
                return None
            if (from_state or to_state) and from_state != state:
                return None
            content = [*row[:15]]
            content[12] = details = DECODE(row[12])
            content[14] = moment_text(row[14])
            if not self._holds(ENCODE_SORTED(content), stored):
                return None
            if not self._periods.is_plain(stored) and self._is_untimely(stored, row[14]):
                return None
            previous_hash, state = stored, to_state or state
            digest = details.get(ROW, "")
            if story is None:
                story = BareStory(details, row[8], state, digest, [row[5]])
            else:
                story.state, story.row = state, digest or story.row
                story.actions.append(row[5])
        return story

    def _is_untimely(self, stored: str, moment: str) -> bool:
        return bool(self._periods.problem(Verdict.HOLDS, stored, moment_of(moment)))
