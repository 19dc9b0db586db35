"""Tables of authority: who may do what, what gateways are spoken to with, what things cost.

Each keeps a mark outside of its rows: a keyed digest of every row as the product wrote it last
(``TableMark``). What is written through the models marks itself, in the same transaction; what is
written by SQL does not, and shows. A row that was changed by SQL and then through the product goes
on showing until somebody takes it over (``marks_adopt``). So does a mark that was itself changed by
SQL: it is never signed anew without a word of it.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.db import DatabaseError, models
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from tcmpay.audit.macs import (
    UNKEYED,
    Verdict,
    chain_mac,
    chain_mac_verdict,
    key_id_of,
    row_mac,
    row_mac_holds,
)
from tcmpay.audit.models import AuditEvent, ChainRoot, TableMark
from tcmpay.audit.row_digests import json_text
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.invariants import Scope, Violation

AUDIT_OBJECT = "table_mark"
MAC_KIND = "table_mark"
CODE = "E9"
BEGUN, ADOPTED = "marks_begun", "outside_change_adopted"
# Before the digest of a row that was once found changed by SQL, and that nobody has taken over.
FOUND_CHANGED = "!"
# Stands among the rows (no row has this key) since the mark itself was found changed by SQL.
BROKEN = "!"
MARK = "mark"
# How often rows and mark are read again while others write.
LOOKS_MAX = 10

M = TypeVar("M", bound="Marked")


class MarkedQuerySet(models.QuerySet[M]):
    """Writes of many rows mark each of them."""

    def update(self, **values: Any) -> int:
        if not _tells(self.model, values):
            return super().update(**values)
        with atomic(using=self.db):
            keys = _keys(self)
            found = _found_changed(self.model, keys)
            count = super().update(**values)
            _mark(self.model, keys, found)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        with atomic(using=self.db):
            keys = _keys(self)
            result = super().delete()
            _mark(self.model, keys, set())
        return result

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        with atomic(using=self.db):
            rows = super().bulk_create(objs, *args, **kwargs)
            _mark(self.model, [str(row.pk) for row in rows], set())
        return rows


class Marked(models.Model):
    """A row that its table's mark tells of; ``UNMARKED`` columns change without it."""

    UNMARKED: ClassVar[Collection[str]] = ()
    # Whether the documents allow to change rows by SQL: then it waits for somebody, no more.
    IS_SQL_ALLOWED: ClassVar[bool] = False

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        names = kwargs.get("update_fields")
        if names is not None and not _tells(type(self), names):
            super().save(*args, **kwargs)
            return
        with atomic():
            found = set() if self._state.adding else _found_changed(type(self), [str(self.pk)])
            super().save(*args, **kwargs)
            _mark(type(self), [str(self.pk)], found)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with atomic():
            key = str(self.pk)
            result = super().delete(*args, **kwargs)
            _mark(type(self), [key], set())
        return result

    def more_marked(self) -> dict[str, Any]:
        """What belongs to the row and lies in other tables."""
        return {}


def marked_models() -> list[type[Marked]]:
    """Every table that has a mark, by name."""
    found = [model for model in _subclasses(Marked) if not model._meta.abstract]  # type: ignore[type-abstract]
    return sorted(found, key=lambda model: model._meta.db_table)


def _subclasses(model: type[Marked]) -> Iterator[type[Marked]]:
    for subclass in model.__subclasses__():
        if not subclass.__module__.startswith("__fake__"):
            yield subclass
            yield from _subclasses(subclass)


def row_mark(row: Marked) -> None:
    """Mark a row of which something in another table has changed."""
    with atomic():
        _mark(type(row), [str(row.pk)], set())


def row_look(row: Marked) -> None:
    """Before something in another table changes: say of the row now whether SQL has changed it."""
    with atomic():
        key = str(row.pk)
        if _found_changed(type(row), [key]):
            _mark(type(row), [key], {key})


def marks_begin() -> None:
    """Mark what is there, in tables that never had a mark: after the first ``migrate``."""
    for model in marked_models():
        try:
            _begin(model)
        except DatabaseError:
            continue  # migrated back to before the table, or the marks, were there


def _begin(model: type[Marked]) -> None:
    table = model._meta.db_table
    with atomic():
        if TableMark.objects.filter(table_name=table).exists():
            return
        _write(model, _lock(table, is_begun=True), _keys(model._base_manager.all()), set())
        # A database that has no history yet has nothing to tell of.
        if AuditEvent.objects.exists():
            audit_record(object_type=AUDIT_OBJECT, object_id=table, action=BEGUN, actor=SYSTEM)


def marks_adopt(*, actor: Actor, reason: str, rows: Collection[str] = ()) -> list[str]:
    """Take over what was changed by SQL: all of it where the documents allow it, else ``rows``.

    Those are written "table/key", a mark itself "table/mark"; returns what was taken over, so.
    """
    adopted = []
    for model in marked_models():
        table = model._meta.db_table
        with atomic():
            mark = _lock(table)
            is_ours = _is_ours(mark)
            found = [key for key, _problem in _differences(model, mark, "default")]
            if BROKEN in mark.rows or not is_ours:
                found.append(MARK)
            if not model.IS_SQL_ALLOWED:
                found = [key for key in found if f"{table}/{key}" in rows]
            if not found:
                continue
            for key in found:
                mark.rows.pop(BROKEN if key == MARK else key, None)
            if is_ours or MARK in found:
                _sign(mark)
            _write(model, mark, [key for key in found if key != MARK], set())
            for key in found:
                audit_record(
                    object_type=AUDIT_OBJECT,
                    object_id=table,
                    action=ADOPTED,
                    actor=actor,
                    reason=reason,
                    details={"row": key},
                )
                adopted.append(f"{table}/{key}")
    return adopted


def rows_adopted(model: type[Marked], using: str) -> dict[str, datetime]:
    """When rows that SQL had changed were last taken over, by their key."""
    events = AuditEvent.objects.using(using).filter(
        object_type=AUDIT_OBJECT, object_id=model._meta.db_table, action=ADOPTED
    )
    told = events.order_by("version").values_list("details", "created_at")
    return {details["row"]: moment for details, moment in told}


def check_marks(scope: Scope) -> Iterator[Violation]:
    """Every row of a marked table is as the product wrote it, and none is gone or added (E9)."""
    for model in marked_models():
        table = model._meta.db_table
        mark = _mark_of(table, scope.using)
        if mark is None:
            if model._base_manager.using(scope.using).exists():
                yield Violation(CODE, AUDIT_OBJECT, table, _("该表的标记已被删除"))
            continue
        if not _is_ours(mark):
            yield Violation(CODE, AUDIT_OBJECT, table, _("该表的标记被篡改"))
            continue
        if BROKEN in mark.rows:
            text = _("该表的标记曾被篡改，尚无人确认")
            yield Violation(CODE, AUDIT_OBJECT, table, text)
        yield from _begun_late(table, scope)
        for key, problem in _differences(model, mark, scope.using):
            yield Violation(CODE, table, key, problem, is_unfinished=model.IS_SQL_ALLOWED)


def _begun_late(table: str, scope: Scope) -> Iterator[Violation]:
    """A mark that began on a running installation, or again: the table is new, the release was
    taken back meanwhile, or the mark was deleted."""
    first = (
        ChainRoot.objects.using(scope.using).filter(is_anchor=False).order_by("sealed_at").first()
    )
    begun = AuditEvent.objects.using(scope.using).filter(
        object_type=AUDIT_OBJECT, object_id=table, action=BEGUN
    )
    is_late = first is not None and begun.filter(created_at__gt=first.sealed_at).exists()
    if is_late or begun.count() > 1:
        text = _("该表的标记是运行中才开始的：此前的修改无从得知")
        yield Violation(CODE, AUDIT_OBJECT, table, text, is_notice=True)


def _differences(model: type[Marked], mark: TableMark, using: str) -> Iterator[tuple[str, str]]:
    told = {key: digest for key, digest in mark.rows.items() if key != BROKEN}
    for row in model._base_manager.using(using).order_by("pk"):
        key = str(row.pk)
        digest = told.pop(key, None)
        if digest is None:
            yield key, _("该行不是由系统写入的（由 SQL 新增）")
        elif digest.startswith(FOUND_CHANGED):
            yield key, _("该行曾由 SQL 修改，尚无人确认")
        elif not row_mac_holds(model._meta.db_table, key, _facts(row), digest):
            yield key, _("该行与系统最后写入的内容不同（由 SQL 修改）")
    for key in sorted(told):
        yield key, _("该行已被 SQL 删除")


# --- writing marks --------------------------------------------------------------------------


def _tells(model: type[Marked], names: Iterable[str]) -> bool:
    return not set(names) <= set(model.UNMARKED)


def _keys(rows: models.QuerySet[Any]) -> list[str]:
    return [str(key) for key in rows.order_by().values_list("pk", flat=True)]


def _found_changed(model: type[Marked], keys: Collection[str]) -> set[str]:
    """Which of the rows, about to be written, are not as they were written last.

    Without locks, which would be taken in another order than by whoever writes: as long as the
    mark counts on, somebody's write came in between, and all is read again.
    """
    table = model._meta.db_table
    found: set[str] = set()
    for _look in range(LOOKS_MAX):
        mark = _mark_of(table, "default")
        if mark is None:
            return set()
        rows = model._base_manager.filter(pk__in=keys)
        found = {
            str(row.pk) for row in rows if not _holds(model, row, mark.rows.get(str(row.pk), ""))
        }
        if not found or TableMark.objects.filter(pk=table, number=mark.number).exists():
            break
    return found


def _holds(model: type[Marked], row: Marked, digest: str) -> bool:
    return row_mac_holds(model._meta.db_table, row.pk, _facts(row), digest)


def _mark(model: type[Marked], keys: Collection[str], found_changed: Collection[str]) -> None:
    if keys:
        _write(model, _lock(model._meta.db_table), keys, found_changed)


def _lock(table: str, *, is_begun: bool = False) -> TableMark:
    """The table's mark. One that is missing was deleted, unless it begins just now."""
    is_new = False
    if not TableMark.objects.filter(pk=table).exists():
        _mark, is_new = TableMark.objects.get_or_create(pk=table)
    # Locked before it is read, as what it says may be no JSON.
    list(TableMark.objects.select_for_update().filter(pk=table).values_list("pk"))
    mark = _mark_of(table, "default")
    assert mark is not None
    if is_new:
        if not is_begun and AuditEvent.objects.exists():
            mark.rows[BROKEN] = clock.now().isoformat()
        _sign(mark)
    return mark


def _mark_of(table: str, using: str) -> TableMark | None:
    """The table's mark; where SQL left nothing that tells of rows, it tells of none."""
    marks = TableMark.objects.using(using).filter(pk=table)
    try:
        mark = marks.first()
    except ValueError:
        mark = marks.defer("rows").first()
        if mark is not None:
            mark.rows = None
    if mark is not None and not _is_told(mark.rows):
        mark.rows, mark.mac = {}, ""
    return mark


def _is_told(rows: Any) -> bool:
    return isinstance(rows, dict) and all(isinstance(digest, str) for digest in rows.values())


def _write(
    model: type[Marked], mark: TableMark, keys: Collection[str], found_changed: Collection[str]
) -> None:
    if not _is_ours(mark):
        mark.rows[BROKEN] = clock.now().isoformat()
    # Read back: what the database keeps is what is marked.
    rows = {str(row.pk): row for row in model._base_manager.filter(pk__in=keys)}
    for key in keys:
        if key not in rows:
            mark.rows.pop(key, None)
            continue
        facts = _facts(rows[key])
        if key in found_changed or mark.rows.get(key, "").startswith(FOUND_CHANGED):
            # The digest tells it too: without the sign before it, it is not the row's.
            digest = row_mac(model._meta.db_table, key, facts | {FOUND_CHANGED: True})
            mark.rows[key] = f"{FOUND_CHANGED}{digest}"
        else:
            mark.rows[key] = row_mac(model._meta.db_table, key, facts)
    mark.number += 1
    mark.marked_at = clock.now()
    _sign(mark)
    mark.save()


def _sign(mark: TableMark) -> None:
    mark.mac = chain_mac(MAC_KIND, _content(mark))


def _is_ours(mark: TableMark) -> bool:
    """Whether the mark is as the product wrote it last; a digest without a key is anybody's."""
    if key_id_of(mark.mac) == UNKEYED:
        return False
    return chain_mac_verdict(MAC_KIND, _content(mark), mark.mac) is Verdict.HOLDS


def _content(mark: TableMark) -> bytes:
    return json.dumps([mark.table_name, mark.number, mark.rows], sort_keys=True).encode()


def _facts(row: Marked) -> dict[str, Any]:
    """What the row says; a column that is empty or has its default is left out, so that one that
    is added later changes no digest."""
    facts = {}
    for field in row._meta.concrete_fields:
        if field.generated or field.name in row.UNMARKED:
            continue
        value = getattr(row, field.attname)
        default = field.default if field.has_default() and not callable(field.default) else None
        if value is not None and value != default:
            facts[field.attname] = (
                json_text(value) if isinstance(field, models.JSONField) else value
            )
    return facts | row.more_marked()
