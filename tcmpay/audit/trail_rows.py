"""A quick look at the whole trail: which objects' chains are not plainly right."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tcmpay.audit.bare_rows import (
    ENCODE_SORTED,
    bare_moment,
    json_of,
    moment_column,
    moment_of,
    moment_text,
)
from tcmpay.audit.macs import Verdict, mac_reader
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.services import MAC_KIND
from tcmpay.common.invariants import Scope, rows_in_chunks

COLUMNS = (
    *("object_type", "object_id", "version", "id", "action", "from_state", "to_state"),
    *("actor_id", "actor_role", "actor_name", "reason", "details", "request_id"),
    *("previous_hash", "hash", "created_at"),
)


def odd_chains(scope: Scope, periods: KeyPeriods) -> Iterator[tuple[str, str]]:
    """The objects whose chains have to be followed by ``chain_break``."""
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        touched = "SELECT object_id FROM audit_events WHERE created_at >= %s"
        where, values = f"object_id IN ({touched})", (bare_moment(scope.using, scope.since),)
    rows = rows_in_chunks(
        scope,
        table="audit_events",
        columns=(*COLUMNS[:-1], moment_column(scope.using, COLUMNS[-1])),
        keys=3,
        where=where,
        values=values,
    )
    holds = mac_reader(MAC_KIND)
    for key, chain in groupby(rows, key=lambda row: row[:2]):
        try:
            is_plain = _is_plain(chain, holds, periods)
        except (ValueError, TypeError):
            is_plain = False
        if not is_plain:
            yield key


def _is_plain(chain: Iterator[tuple[Any, ...]], holds: Any, periods: KeyPeriods) -> bool:
    previous_hash, state = "", ""
    for version, row in enumerate(chain, start=1):
        from_state, to_state, stored = row[5], row[6], row[14]
        if row[2] != version or row[13] != previous_hash:
            return False
        if (from_state or to_state) and from_state != state:
            return False
        if not holds(_content(row), stored):
            return False
        if not periods.is_plain(stored) and periods.problem(
            Verdict.HOLDS, stored, moment_of(row[15])
        ):
            return False
        previous_hash, state = stored, to_state or state
    return True


def _content(row: tuple[Any, ...]) -> bytes:
    """What ``tcmpay.audit.services`` hashes of an event."""
    content = [
        *(row[13], row[3], row[0], row[1], row[2], row[4], row[5], row[6]),
        *(row[7] or "", row[8], row[9], row[10], json_of(row[11]), row[12]),
        moment_text(row[15]),
    ]
    return ENCODE_SORTED(content)
