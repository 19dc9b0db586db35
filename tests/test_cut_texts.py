"""A text that is cut for a column is cut where the column ends: neither refused nor lost."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from tests.rooms import ROOT, product_files

Cut = tuple[str, str, int]


def lengths() -> dict[str, set[int]]:
    """The lengths of the columns of each name."""
    found: dict[str, set[int]] = defaultdict(set)
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if length := getattr(field, "max_length", None):
                found[field.name].add(length)
    return found


def named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        yield node.targets[0].attr, node.value


def cuts(path: Path) -> Iterator[Cut]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        for name, value in named_values(node):
            if (
                isinstance(value, ast.Subscript)
                and isinstance(value.slice, ast.Slice)
                and value.slice.lower is None
                and isinstance(value.slice.upper, ast.Constant)
            ):
                yield str(path.relative_to(ROOT)), name, value.slice.upper.value


KNOWN = lengths()
# Cut for a sentence, and short enough for it.
FOR_SENTENCES = {
    ("payments/services/lasting_refusals.py", "message", 200),
    ("payments/services/settlement.py", "currency", 8),
}
CUTS = sorted(
    {
        cut
        for path in product_files()
        for cut in cuts(path)
        if cut[1] in KNOWN and not cut[0].startswith("gateways/")  # a room without tables
    }
    - FOR_SENTENCES
)


def test_there_are_some():
    assert len(CUTS) > 10


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_it_is_cut_at_the_columns_length(cut):
    _path, name, length = cut
    assert length in KNOWN[name]
