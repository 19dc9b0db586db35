"""The list of mutants fits the code: a guard that moved takes its mutant along."""

import pytest

from tests.mutants.__main__ import ROOT, applies
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_old_text_stands_once_in_its_file(mutant: Mutant) -> None:
    assert applies(mutant)
    assert mutant.old != mutant.new
    assert all((ROOT / path).exists() for path in mutant.tests[:1])


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
