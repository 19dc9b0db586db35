"""Web and worker processes of one machine count into one folder, without being told to."""

import os
import subprocess
import sys

import pytest

from tcmpay import process_figures
from tcmpay.process_figures import FOLDER_VARIABLE, share_figures


@pytest.fixture(autouse=True)
def _as_gunicorn(monkeypatch, tmp_path):
    monkeypatch.setattr(process_figures.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/srv/tcmpay/.venv/bin/gunicorn"])
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    yield
    # What was set is not for the processes that other tests start.
    os.environ.pop(FOLDER_VARIABLE, None)


@pytest.mark.parametrize("program", ["/bin/gunicorn", "/x/celery", "/x/celery/__main__.py"])
def test_servers_share_a_folder_that_is_theirs_alone(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program])
    share_figures()
    folder = os.environ[FOLDER_VARIABLE]
    assert os.stat(folder).st_mode & 0o077 == 0
    del os.environ[FOLDER_VARIABLE]
    share_figures()
    assert os.environ[FOLDER_VARIABLE] == folder


def test_a_command_counts_for_nobody(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["manage.py"])
    share_figures()
    assert FOLDER_VARIABLE not in os.environ


def test_a_folder_that_the_deployment_names_is_kept(monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "/run/tcmpay-metrics")
    share_figures()
    assert os.environ[FOLDER_VARIABLE] == "/run/tcmpay-metrics"


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    share_figures()
    os.chmod(os.environ.pop(FOLDER_VARIABLE), 0o777)
    share_figures()
    assert FOLDER_VARIABLE not in os.environ


def test_so_do_those_in_a_folder_that_the_deployment_names(monkeypatch, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    dead = tmp_path / f"counter_{ended.pid}.db"
    dead.touch()
    monkeypatch.setattr(sys, "argv", ["manage.py"])
    share_figures()
    assert dead.exists(), "a command beside them clears nothing away"
    monkeypatch.setattr(sys, "argv", ["gunicorn"])
    share_figures()
    assert not dead.exists()


def test_figures_of_the_dead_go_when_the_last_one_is_dead(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    share_figures()
    folder = os.environ.pop(FOLDER_VARIABLE)
    dead, living = (f"{folder}/counter_{pid}.db" for pid in (ended.pid, os.getpid()))
    for file in (dead, living):
        open(file, "wb").close()
    share_figures()
    assert os.path.exists(dead), "counters must not run backwards"
    os.unlink(living)
    del os.environ[FOLDER_VARIABLE]
    share_figures()
    assert not os.path.exists(dead)
