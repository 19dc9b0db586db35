"""The quick faults: one stage of real processes, a few seconds of load for each fault.

The whole table is ``make test-faults``.
"""

import os
from pathlib import Path

import pytest

from tests.faults import hooks
from tests.faults.play import play_together
from tests.faults.proxy import is_commit
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import stage

QUICK = [scenario for scenario in SCENARIOS if scenario.is_quick]
SEED = int(os.environ.get("TEST_SEED") or 0)

pytestmark = pytest.mark.fault


def test_nothing_is_lost_or_doubled(tmp_path: Path):
    # One test for all of them: starting the product takes longer than any of these faults.
    if not os.environ.get("DATABASE_URL", "").startswith(("mysql", "mariadb")):
        pytest.skip("runs with the tests on MariaDB, and on one of its own")
    with stage(tmp_path) as running:
        result = play_together(running, QUICK, SEED)
    assert not result.problems, f"seed {SEED}: {result.problems}"
    assert (result.lost, result.doubled) == (0, 0)
    assert result.acknowledged > 0


def test_every_scenario_has_a_name_of_its_own():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert len(QUICK) >= 3


def test_a_failpoint_fires_once_for_one_process(tmp_path):
    hooks.arm(tmp_path, "commit.after", "0")
    assert (tmp_path / "commit.after").exists()
    hooks.reach(tmp_path / "commit.after")
    assert hooks.disarm(tmp_path, "commit.after")


def test_the_proxy_knows_a_commit_when_it_sees_one():
    assert is_commit(b"\x07\x00\x00\x00\x03COMMIT")
    assert is_commit(b"\x07\x00\x00\x00\x03commit")
    assert not is_commit(b"\x09\x00\x00\x00\x03SELECT 1")
