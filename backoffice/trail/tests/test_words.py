"""Whatever the trail tells, staff read in words: one table has them all."""

import ast
from collections.abc import Iterator

from django.urls import reverse

from backoffice.trail.words import ACTION_NAMES, AUDITED
from tests.rooms import product_files

RECORDERS = {
    "audit_record", "order_transition", "transaction_transition", "transaction_note",
    "refund_transition", "Cause",
}  # fmt: skip
# Where these are given the action, among what stands without a name.
PLACES = {"staff_audit": 1, "config_audit": 2}


def recorded_actions() -> Iterator[str]:
    """The actions that the product's code records by name."""
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = given_action(node)
            chosen = (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,)
            for one in chosen:
                if isinstance(one, ast.Constant):
                    yield str(one.value)


def given_action(node: ast.AST) -> ast.expr | None:
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    if name in PLACES:
        return node.args[PLACES[name]]
    if name in RECORDERS:
        return next((one.value for one in node.keywords if one.arg == "action"), None)
    return None


def test_what_is_recorded_has_its_words():
    recorded = set(recorded_actions())
    assert len(recorded) > 30, "the search finds them"
    assert recorded <= ACTION_NAMES.keys()


def test_no_action_means_two_things():
    assert len(ACTION_NAMES) == sum(len(kind.actions) for kind in AUDITED.values())


def test_the_pages_that_the_table_names_are_there():
    for kind in AUDITED.values():
        assert not kind.page or reverse(f"admin:{kind.page}_changelist")
