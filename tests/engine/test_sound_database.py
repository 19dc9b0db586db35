"""A process that moves money looks at its database first, and refuses an unsound one clearly."""

import os
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from django.core.checks import run_checks
from django.db import connection

from tcmpay.common.database_session import (
    _mysql_problems,
    durability_warnings,
    session_problems,
    session_variables,
)
from tests import servers

SOUND = {
    "transaction_isolation": "READ-COMMITTED",
    "sql_mode": "STRICT_TRANS_TABLES,NO_ZERO_DATE",
    "time_zone": "+00:00",
    "default_storage_engine": "InnoDB",
}
UNSOUND = {
    "isolation": ({"transaction_isolation": "REPEATABLE-READ"}, "READ COMMITTED"),
    "sql_mode": ({"sql_mode": "NO_ZERO_DATE"}, "strict"),
    "no sql_mode": ({"sql_mode": ""}, "strict"),
    "time_zone": ({"time_zone": "SYSTEM"}, "time_zone"),
    "engine": ({"default_storage_engine": "MyISAM"}, "InnoDB"),
}
on_mariadb = pytest.mark.skipif("connection.vendor != 'mysql'", reason="needs MariaDB's sessions")


def test_a_sound_session_has_no_problems():
    assert _mysql_problems(SOUND) == []
    older = {"tx_isolation": "READ-COMMITTED", **SOUND}
    del older["transaction_isolation"]
    assert _mysql_problems(older) == []


@pytest.mark.parametrize("name", UNSOUND)
def test_each_unsound_setting_is_named(name):
    change, word = UNSOUND[name]
    (problem,) = _mysql_problems(SOUND | change)
    assert word in problem


@pytest.mark.django_db
def test_our_own_settings_make_a_sound_session():
    assert session_problems() == []
    assert durability_warnings() == []
    ids = {message.id for message in run_checks(databases=["default"])}
    assert not {found for found in ids if found.startswith("guard.")}


def test_a_galera_node_that_reads_old_rows_is_warned_of(monkeypatch):
    found = {"innodb_flush_log_at_trx_commit": "1", "wsrep_on": "ON", "wsrep_sync_wait": "0"}
    monkeypatch.setattr("tcmpay.common.database_session.session_variables", lambda database: found)
    server = SimpleNamespace(vendor="mysql")
    assert "wsrep_sync_wait" in " ".join(durability_warnings(server))
    found["wsrep_sync_wait"] = "15"
    assert durability_warnings(server) == []
    found.update(wsrep_on="OFF", wsrep_sync_wait="0")
    assert durability_warnings(server) == []


@on_mariadb
@pytest.mark.django_db
def test_the_system_check_reads_the_session_back():
    with connection.cursor() as cursor:
        before = session_variables()["sql_mode"]
        cursor.execute("SET SESSION sql_mode = ''")
        try:
            messages = [m for m in run_checks(databases=["default"]) if m.id == "guard.E001"]
        finally:
            cursor.execute("SET SESSION sql_mode = %s", [before])
    assert len(messages) == 1
    assert "strict" in messages[0].msg


PROCESSES = {
    "web": ["gunicorn", "tcmpay.wsgi:application", "--workers", "1", "--no-control-socket"],
    "worker": ["celery", "--app", "tcmpay.celery:app", "worker", "--pool", "solo"],
}


@on_mariadb
@pytest.mark.parametrize("name", PROCESSES)
def test_web_and_worker_refuse_to_start(name):
    """As a DATABASE_URL with options of its own would have it."""
    lax = quote("SET sql_mode=''")
    url = f"{os.environ['DATABASE_URL']}?init_command={lax}&isolation_level=repeatable%20read"
    command = [sys.executable, "-m", *PROCESSES[name]]
    if name == "web":
        command += ["--bind", f"127.0.0.1:{servers.free_port()}"]
    ended = subprocess.run(
        command,
        env={**os.environ, "DATABASE_URL": url, "CELERY_BROKER_URL": "memory://"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode != 0
    told = ended.stdout + ended.stderr
    assert "READ COMMITTED" in told
    assert "sql_mode is not strict" in told
