"""docs/hosts.md says what `make test-hosts` does, statement by statement."""

import re
from pathlib import Path

import pytest

from tests.hosts import book

PAGE = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(?:sql|ini)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILLED = {"host": "10.0.0.41", "port": 3306, "user": "replication", "password": "…"}


@pytest.mark.parametrize("name", ["GUARD", "ALONE", "LISTEN", "STOP_LISTENING", "PROMOTE", "EMPTY"])
def test_each_step_is_printed_as_it_is_done(name):
    steps = "\n".join(f"{one};" for one in getattr(book, name))
    assert any(steps in block for block in BLOCKS)


def test_what_is_filled_in_is_printed_too():
    assert any(f"{book.FOLLOW.format(**FILLED)};" in block for block in BLOCKS)
    assert any(f"{book.APPLY_ALL.format(position='…')};" in block for block in BLOCKS)


def test_the_configuration_is_printed_as_the_servers_run_with_it():
    for option in book.SERVER_OPTIONS:
        name, equals, value = option.removeprefix("--").partition("=")
        line = name.replace("-", "_") + (f" = {value}" if equals else "")
        assert any(line in block.splitlines() for block in BLOCKS), line
