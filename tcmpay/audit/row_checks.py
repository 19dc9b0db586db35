"""Rows against the digests that their trail keeps (E9), for the rooms' invariants."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Model
from django.utils.translation import gettext as _

from tcmpay.audit.bare_rows import bare_moment, rows_of
from tcmpay.audit.row_digests import row_digest_holds
from tcmpay.audit.stories import Story
from tcmpay.audit.upgrade import RESTART_LEEWAY, newest_upgrade
from tcmpay.common.invariants import Scope, Violation, batches, rows_in_chunks


def digests_began(using: str) -> datetime | None:
    """Since when every new row has a digest; None: always."""
    upgrade = newest_upgrade(using)
    return None if upgrade is None else upgrade.ended_at + RESTART_LEEWAY


def row_problem(row: Model, story: Story | None, began: datetime | None) -> str:
    """What is wrong between a row and its trail; "" when nothing is."""
    if story is None:
        return _("没有审计记录")
    if not story.row:
        # Written last by a release of before the digests: compared with its trail alone.
        is_old = began is not None and story.told_at < began
        return "" if is_old else _("审计记录缺少内容摘要")
    return "" if row_digest_holds(row, story.row) else _("内容与审计记录中的摘要不符")


def lost_objects(scope: Scope, object_type: str, model: type[Model]) -> Iterator[Violation]:
    """Objects that have a trail and no row any more: deleted by SQL, since no service deletes."""
    where, values = "object_type = %s AND version = 1", [object_type]
    if scope.since is not None:
        where += " AND created_at >= %s"
        values.append(bare_moment(scope.since))
    births = rows_in_chunks(
        scope, table="audit_events", columns=("object_id",), where=where, values=values
    )
    table, key = model._meta.db_table, str(model._meta.pk.column)
    rows = model._default_manager.using(scope.using)
    for batch in batches(births):
        ids = [object_id for (object_id,) in batch]
        there = {found for (found,) in rows_of(scope, f"SELECT {key} FROM {table}", key, ids)}
        gone = [object_id for object_id in ids if object_id not in there]
        there = {str(found) for found in rows.filter(pk__in=gone).values_list("pk", flat=True)}
        for object_id in gone:
            if object_id not in there:
                yield Violation("E9", object_type, object_id, _("有审计记录，但记录本身已不存在"))
