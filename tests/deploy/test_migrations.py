"""Migrations only add: the former release goes on serving on the tables of the new one.

While hosts go over one after the other, and when an operator goes back by code alone, former code
reads and writes what newer migrations made. It names every column that it knows and no other, so a
new column has to fill itself, and nothing that it knows may go away, be renamed or take less.
What can't be done so is done in two releases: add and fill; a release later, remove.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

# The newest migration of each app that the rule does not reach: from here on it is kept.
KEPT_AFTER = {
    "accounts": "0013_sign_ins_bound",
    "audit": "0009_roots_left",
    "backoffice": "0003_process_signs",
    "balances": "0008_entries_no_longer_once",
    "config": "0023_key_revocation_by_two",
    "guard": "0005_beat_lease",
    "payments": "0043_exception_kind_not_out",
    "reconciliation": "0012_upload_source_known",
    "refunds": "0028_who_paused_a_bulk",
    "webhooks": "0008_subscribed_after",
}
# "app.migration: what is told" → why the former release serves all the same.
REASONS: dict[str, str] = {}


@cache
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def ours() -> set[str]:
    root = Path(settings.BASE_DIR)
    return {
        config.label
        for config in apps.get_app_configs()
        if Path(config.path).is_relative_to(root) and ".venv" not in Path(config.path).parts
    } & {app for app, _name in loader().disk_migrations}


def number(name: str) -> int:
    return int(name.partition("_")[0])


def newer() -> list[tuple[str, str]]:
    """In the order in which they are applied."""
    wanted = [
        key
        for key in loader().disk_migrations
        if key[0] in ours() and number(key[1]) > number(KEPT_AFTER.get(key[0], "0000"))
    ]
    graph = loader().graph
    plan: list[tuple[str, str]] = []
    for key in sorted(wanted):
        plan += [one for one in graph.forwards_plan(key) if one in wanted and one not in plan]
    return plan


def fills_itself(field: Any) -> bool:
    return bool(
        field.null
        or field.many_to_many
        or field.has_db_default()
        or isinstance(field, models.GeneratedField)
    )


def takes_less(before: Any, after: Any) -> str:
    """What ``after`` refuses of what ``before`` took; "" when nothing."""
    if before.null and not after.null:
        return "is null no more"
    if type(before) is not type(after):
        return "is of another kind"
    if (before.max_length or 0) > (after.max_length or 0) > 0:
        return "is shorter"
    if after.unique and not before.unique:
        return "is unique now"
    if before.has_db_default() and not fills_itself(after):
        return "fills itself no more"
    return ""


def narrowing(operation: Any, state: ProjectState, app: str, new: set[Any]) -> Iterator[str]:
    """What ``operation`` takes away from code that knows ``state``; ``new`` is nobody's yet:
    models (app, model) and columns (app, model, column) that the former release does not know."""
    model = getattr(operation, "model_name_lower", getattr(operation, "name_lower", ""))
    if (app, model) in new:
        return
    known = state.models.get((app, model))
    if isinstance(operation, migrations.AddField):
        if not fills_itself(operation.field):
            yield f"{model}.{operation.name} has neither null nor db_default"
    elif isinstance(operation, migrations.AlterField) and known is not None:
        if (app, model, operation.name) in new:
            return
        if less := takes_less(known.fields[operation.name], operation.field):
            yield f"{model}.{operation.name} {less}"
    elif isinstance(operation, migrations.RemoveField | migrations.RenameField):
        name = getattr(operation, "name", "") or getattr(operation, "old_name", "")
        if (app, model, name) not in new:
            yield f"{model}.{name} goes away"
    elif isinstance(
        operation, migrations.DeleteModel | migrations.RenameModel | migrations.AlterModelTable
    ):
        yield f"{model or operation.old_name_lower} goes away"
    elif isinstance(operation, migrations.AddConstraint):
        if not is_about_new_alone(operation.constraint, known, app, model, new):
            yield f"{model} is bound by {operation.constraint.name}"
    elif isinstance(operation, migrations.RunSQL):
        yield "SQL of its own"


def is_about_new_alone(
    constraint: Any, known: ModelState | None, app: str, model: str, new: set[Any]
) -> bool:
    """Whether former code, which leaves new columns as they fill themselves, can't meet it; or it
    stands for one of the same name that was removed just before, and takes more."""
    if (app, model, constraint.name) in new:
        return True
    words = set(str(constraint.deconstruct()).replace("'", " ").replace("__", " ").split())
    named = {name for name in (known.fields if known else {}) if name in words}
    return bool(named) and all((app, model, name) in new for name in named)


def changes() -> dict[str, list[str]]:
    """By migration: what it takes away."""
    new: set[Any] = set()
    found: dict[str, list[str]] = {}
    for key in newer():
        app, name = key
        migration = loader().disk_migrations[key]
        state = loader().project_state(migration.dependencies or None)
        for operation in operations_of(migration):
            told = list(narrowing(operation, state, app, new))
            if told:
                found.setdefault(f"{app}.{name}", []).extend(told)
            remember(operation, app, new)
            operation.state_forwards(app, state)
    return found


def operations_of(migration: Any) -> Iterator[Any]:
    for operation in migration.operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from operation.database_operations
        else:
            yield operation


def remember(operation: Any, app: str, new: set[Any]) -> None:
    if isinstance(operation, migrations.CreateModel):
        new.add((app, operation.name_lower))
    elif isinstance(operation, migrations.AddField | migrations.RemoveConstraint):
        new.add((app, operation.model_name_lower, operation.name))


def test_a_migration_takes_nothing_away_from_the_former_release():
    found = {
        f"{migration}: {told}" for migration, all_told in changes().items() for told in all_told
    }
    assert found - set(REASONS) == set()
    assert set(REASONS) - found == set(), "a reason for what is no longer there"


def test_the_record_names_migrations_that_there_are():
    there = loader().disk_migrations
    assert all((app, name) in there for app, name in KEPT_AFTER.items())
    assert set(KEPT_AFTER) <= ours()


def told_about(*operations: Any) -> list[str]:
    """What the rule says about operations on the table of orders."""
    state = loader().project_state(("payments", KEPT_AFTER["payments"]))
    new: set[Any] = set()
    found: list[str] = []
    for operation in operations:
        found += narrowing(operation, state, "payments", new)
        remember(operation, "payments", new)
        operation.state_forwards("payments", state)
    return found


ORDER = "paymentorder"
TEXT = models.CharField(max_length=8, default="")
REFUSED = [
    migrations.AddField(ORDER, "extra", TEXT),
    migrations.RemoveField(ORDER, "description"),
    migrations.RenameField(ORDER, "description", "words"),
    migrations.AlterField(ORDER, "description", models.CharField(max_length=3)),
    migrations.AddConstraint(
        ORDER, models.CheckConstraint(condition=~models.Q(description="x"), name="no_x")
    ),
    migrations.RunSQL("SELECT 1"),
]
ALLOWED = [
    migrations.AddField(ORDER, "extra", models.CharField(max_length=8, db_default="")),
    migrations.AddField(ORDER, "extra", models.CharField(max_length=8, null=True)),
    migrations.AlterField(ORDER, "description", models.CharField(max_length=900, db_default="")),
    migrations.AddIndex(ORDER, models.Index(fields=["description"], name="by_words")),
    migrations.RunPython(migrations.RunPython.noop),
]


@pytest.mark.parametrize("operation", REFUSED, ids=lambda one: type(one).__name__)
def test_what_takes_away_is_told(operation):
    assert len(told_about(operation)) == 1


@pytest.mark.parametrize("number", range(len(ALLOWED)))
def test_what_adds_is_not(number):
    assert told_about(ALLOWED[number]) == []


def test_a_column_of_this_release_may_still_change():
    assert not told_about(
        migrations.AddField(ORDER, "extra", models.CharField(max_length=8, null=True)),
        migrations.AddConstraint(
            ORDER, models.CheckConstraint(condition=~models.Q(extra="x"), name="no_extra_x")
        ),
        migrations.RemoveField(ORDER, "extra"),
    )
