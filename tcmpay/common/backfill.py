"""For migrations that fill a column of rows that there are."""

from typing import Any

from django.db.models import QuerySet

BATCH = 5000


def update_in_batches(rows: QuerySet[Any], **values: Any) -> None:
    """``rows.update(**values)`` by primary key, so many rows in a statement.

    One statement over a large table holds locks and undo for all of it. The migration must say
    ``atomic = False``, so that each statement is its own transaction, and ``rows`` must leave out
    what is filled: broken off, it goes on where it stopped.
    """
    due = rows.order_by("pk")
    keys = list(due.values_list("pk", flat=True)[:BATCH])
    while keys:
        rows.filter(pk__gte=keys[0], pk__lte=keys[-1]).update(**values)
        keys = list(due.filter(pk__gt=keys[-1]).values_list("pk", flat=True)[:BATCH])
