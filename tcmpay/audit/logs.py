"""Logs that are only added to: each row is bound to the one before it of the same subject.

The chain's head, with the count, lies in a table of its own: a row that is changed, added or
deleted by SQL shows, the newest one too. A log's model has ``log_number``, ``log_hash`` (not among
its told fields) and ``log_key``, which names the subject.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _

from tcmpay.audit.bare_rows import BareTable, bare_moment
from tcmpay.audit.models import LogHead
from tcmpay.audit.row_digests import row_digest, row_digest_holds
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks, rows_in_chunks
from tcmpay.common.transitions import ensure_one

CODE = "E9"
HEAD = ("key", "rows", "hash")


def log_append(row: Any) -> None:
    """Insert ``row`` as the newest of its subject; inside the caller's unit, after its locks."""
    head = _lock_head(row._meta.db_table, row.log_key)
    row.log_number = head.rows + 1
    row.log_hash = row_digest(row, previous=head.hash)
    row.save(force_insert=True)
    updated = LogHead.objects.filter(id=head.id, rows=head.rows).update(
        rows=row.log_number, hash=row.log_hash
    )
    ensure_one(updated, f"{head.log} {head.key}")


def _lock_head(log: str, key: str) -> LogHead:
    heads = LogHead.objects.select_for_update().filter(log=log, key=key)
    head = heads.first()
    if head is None:
        head, is_new = LogHead.objects.get_or_create(log=log, key=key)
        head = head if is_new else heads.get()
    return head


@dataclass(slots=True)
class _End:
    """Where one subject's chain ends, or breaks: the row, what is wrong with it, and whether
    nothing had to be looked at closely."""

    pk: object
    log_key: str
    log_number: int | None
    log_hash: str
    problem: str = ""
    is_plain: bool = False


def check_log(
    scope: Scope, model: type[Model], key: str, *, moment: str, began: datetime | None
) -> Iterator[Violation]:
    """Every chain of a log is unbroken and ends at its head, and no head is without its rows.

    ``key``: the column (the first of an index with ``log_number``) that names a row's subject. A
    row without a hash is in order when its ``moment`` lies before digests began.
    """
    log = model._meta.db_table
    rows = model._default_manager.using(scope.using)
    unchained = rows.filter(log_hash="")
    if scope.since is not None:
        touched = rows.filter(**{f"{moment}__gte": scope.since}).values(key).distinct()
        unchained = unchained.filter(**{f"{key}__in": touched})
    for row in in_chunks(unchained, "id"):
        if began is None or getattr(row, moment) >= began:
            yield _violation(log, _end_at(row, _("记录缺少哈希")))
    heads, met = LogHead.objects.using(scope.using).filter(log=log), 0
    for batch in batches(_ends(scope, model, key, moment), 1000):
        found = heads.filter(key__in=[end.log_key for end in batch])
        stated = {name: (rows, hash_) for name, rows, hash_ in found.values_list(*HEAD)}
        for end in batch:
            if end.problem:
                yield _violation(log, end)
            elif stated.get(end.log_key) != (end.log_number, end.log_hash):
                text = _("最后一条记录与链头不符：有记录被删除或链头被改")
                yield _violation(log, replace(end, problem=text))
            else:
                met += end.is_plain
    if scope.since is not None or heads.count() != met:
        yield from _check_heads(scope, model, key)


def _ends(scope: Scope, model: type[Model], key: str, moment: str) -> Iterator[_End]:
    """The end of every chain, by its bare rows; only what is odd there is looked at closely."""
    table, log = BareTable(model, scope.using), model._meta.db_table
    where, values = "log_hash <> ''", []
    if scope.since is not None:
        where += f" AND {key} IN (SELECT {key} FROM {log} WHERE {moment} >= %s)"
        values.append(bare_moment(scope.since))
    found = rows_in_chunks(
        scope,
        table=log,
        columns=(key, "log_number", "id", *table.columns),
        keys=3,
        where=where,
        values=values,
    )
    for subject, chain in groupby(found, key=itemgetter(0)):
        end = _plain_end(subject, (table.make(row[3:]) for row in chain), table)
        if end is not None:
            yield end
            continue
        rows = model._default_manager.using(scope.using).filter(**{key: subject})
        whole = in_chunks(rows.exclude(log_hash=""), key, "log_number", "id")
        for _key, same in groupby(whole, key=lambda row: row.log_key):
            yield _end(same)


def _plain_end(subject: str, chain: Iterator[Any], table: BareTable) -> _End | None:
    """The end of a sound chain; None when anything at all is odd."""
    previous, number, row = "", 0, None
    for number, row in enumerate(chain, start=1):
        if row.log_number != number or not table.holds(row, row.log_hash, previous=previous):
            return None
        previous = row.log_hash
    return None if row is None else _End(row.id, subject, number, previous, is_plain=True)


def _end(chain: Iterator[Any]) -> _End:
    """The last row of a sound chain, or the first broken one with what is wrong with it."""
    previous, last = "", None
    for number, row in enumerate(chain, start=1):
        if row.log_number != number:
            return _end_at(row, _("之前缺少记录"))
        if not row_digest_holds(row, row.log_hash, previous=previous):
            return _end_at(row, _("内容被篡改，哈希不符"))
        previous, last = row.log_hash, row
    return _end_at(last, "")


def _end_at(row: Any, problem: str) -> _End:
    return _End(row.pk, row.log_key, row.log_number, row.log_hash, problem)


def _check_heads(scope: Scope, model: type[Model], key_column: str) -> Iterator[Violation]:
    """No head is left without any row."""
    log = model._meta.db_table
    heads = LogHead.objects.using(scope.using).filter(log=log)
    rows = model._default_manager.using(scope.using).exclude(log_hash="")
    for batch in batches(in_chunks(heads, "key"), 1000):
        found = rows.filter(**{f"{key_column}__in": [head.key for head in batch]})
        there = {str(key) for key in found.values_list(key_column, flat=True).distinct()}
        for head in batch:
            if head.key not in there:
                yield Violation(CODE, log, head.key, _("记录已全部被删除，只剩链头"))


def _violation(log: str, end: _End) -> Violation:
    return Violation(CODE, log, str(end.pk), f"{end.log_key} {end.log_number or ''}: {end.problem}")
