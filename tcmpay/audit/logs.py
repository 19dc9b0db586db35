"""Logs that are only added to: each row is bound to the one before it of the same subject.

The chain's head, with the count, lies in a table of its own: a row that is changed, added or
deleted by SQL shows, the newest one too. A log's model has ``log_number``, ``log_hash`` (not among
its told fields) and ``log_key``, which names the subject.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from tcmpay.audit.models import LogHead
from tcmpay.audit.row_digests import row_digest, row_digest_holds
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.common.transitions import ensure_one

CODE = "E9"


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


def check_log(
    scope: Scope, rows: QuerySet[Any], *order: str, moment: str, began: datetime | None
) -> Iterator[Violation]:
    """Every chain of ``rows`` is unbroken and ends at its head, and no head is without its rows.

    ``order`` (an index) brings the rows of one subject together, by ``log_number``. A row without
    a hash is in order when its ``moment`` lies before digests began.
    """
    log = rows.model._meta.db_table
    for row in in_chunks(rows.filter(log_hash=""), "id"):
        if began is None or getattr(row, moment) >= began:
            yield _violation(log, row, _("记录缺少哈希"))
    chained = in_chunks(rows.exclude(log_hash=""), *order, "log_number", "id")
    chains = groupby(chained, key=lambda row: row.log_key)
    for batch in batches((_end(chain) for _key, chain in chains), 1000):
        heads = {
            head.key: (head.rows, head.hash)
            for head in LogHead.objects.using(scope.using).filter(
                log=log, key__in=[row.log_key for row, _problem in batch]
            )
        }
        for row, problem in batch:
            if problem:
                yield _violation(log, row, problem)
            elif heads.get(row.log_key) != (row.log_number, row.log_hash):
                yield _violation(log, row, _("最后一条记录与链头不符：有记录被删除或链头被改"))


def _end(chain: Iterator[Any]) -> tuple[Any, str]:
    """The last row of a sound chain, or the first broken one with what is wrong with it."""
    previous, last = "", None
    for number, row in enumerate(chain, start=1):
        if row.log_number != number:
            return row, _("之前缺少记录")
        if not row_digest_holds(row, row.log_hash, previous=previous):
            return row, _("内容被篡改，哈希不符")
        previous, last = row.log_hash, row
    return last, ""


def check_heads(scope: Scope, model: type[Model], key_column: str) -> Iterator[Violation]:
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


def _violation(log: str, row: Any, problem: str) -> Violation:
    return Violation(CODE, log, str(row.pk), f"{row.log_key} {row.log_number or ''}: {problem}")
