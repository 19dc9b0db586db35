import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.races.figures import Figures, lines_of
from tests.races.harness import ROOT, Harness, harness, seed_asked

FIGURES = "race_figures"
LONG_RUNS = 100
RECORDS = ROOT / "test-artifacts" / "races.jsonl"


@pytest.fixture(scope="session")
def races(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Worker processes on a scratch database; never pytest-django's, never a transaction."""
    with harness(tmp_path_factory.mktemp("races")) as ready:
        yield ready


@pytest.fixture
def noted(record_property: Callable[[str, object], None]) -> Callable[[Figures], None]:
    """Keeps a scenario's figures for the summary at the end of the run; those of a long run also
    in a file, at once.
    """

    def note(figures: Figures) -> None:
        text = json.dumps(figures.as_record(), ensure_ascii=False)
        record_property(FIGURES, text)
        if figures.runs >= LONG_RUNS:
            RECORDS.parent.mkdir(exist_ok=True)
            with RECORDS.open("a", encoding="utf-8") as records:
                records.write(f"{text}\n")

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    records = [
        json.loads(value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == FIGURES
    ]
    if not records:
        return
    lines = lines_of(records)
    is_long = max(record["runs"] for record in records) >= LONG_RUNS
    terminalreporter.write_sep("=", f"races on {records[0]['database']}, seed {seed_asked()}")
    for line in lines if is_long else lines[-1:]:
        terminalreporter.write_line(line)
