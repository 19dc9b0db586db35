"""A unit of money runs again as a whole, from its start, and never past a COMMIT of its own.

Real deadlocks, lock waits and killed connections on MariaDB; the rules that need none everywhere.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.transaction import atomic, on_commit
from prometheus_client import REGISTRY

from tcmpay.common import db
from tcmpay.common.db import ATTEMPTS_MAX, CommitUnknown, money_unit
from tcmpay.limits.models import RateCounter
from tests import servers

# Real commits, which other connections see. Only this app's tables are emptied afterwards.
pytestmark = pytest.mark.django_db(transaction=True, available_apps=["tcmpay.limits"])
on_mariadb = pytest.mark.skipif(
    "connection.vendor != 'mysql'", reason="SQLite has one writer and no server to lose"
)
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(db, "BACKOFF_MAX_SECONDS", 0.05)


def add_row(name: str, hits: int = 0) -> None:
    RateCounter.objects.create(bucket=name, hits=hits, expires_at=0)


def lock_row(name: str) -> RateCounter:
    return RateCounter.objects.select_for_update().get(bucket=name)


def raise_hits(name: str) -> None:
    row = lock_row(name)
    RateCounter.objects.filter(bucket=name).update(hits=row.hits + 1)


def hits(name: str) -> int:
    return RateCounter.objects.get(bucket=name).hits


def repeated(unit: str, reason: str) -> float:
    labels = {"unit": unit, "reason": reason}
    return REGISTRY.get_sample_value("money_unit_repeated_total", labels) or 0.0


def run_in_threads(*functions) -> list:
    """Each in a thread with a connection of its own."""

    def run(function):
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(WAIT_SECONDS) for future in [pool.submit(run, f) for f in functions]]


def own_thread_id() -> int:
    return int(connection.connection.thread_id())


def kill(thread_id: int) -> None:
    """From another connection, as an administrator or a dying proxy would."""
    run_in_threads(lambda: _execute(f"KILL CONNECTION {thread_id}"))


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


# --- what the database says no to ---------------------------------------------------------------


@on_mariadb
def test_a_deadlock_repeats_the_loser_as_a_whole():
    add_row("a")
    add_row("b")
    both_hold_one = threading.Barrier(2, timeout=WAIT_SECONDS)
    meetings: list[str] = []

    @money_unit
    def in_opposite_orders(first: str, second: str) -> None:
        raise_hits(first)
        if len(meetings) < 2:
            meetings.append(first)
            both_hold_one.wait()
        raise_hits(second)

    before = repeated("in_opposite_orders", "1213")
    run_in_threads(
        lambda: in_opposite_orders("a", "b"),
        lambda: in_opposite_orders("b", "a"),
    )
    assert (hits("a"), hits("b")) == (2, 2)
    assert repeated("in_opposite_orders", "1213") == before + 1


@contextmanager
def another_holds(name: str, let_go: threading.Event) -> Iterator[None]:
    holds = threading.Event()

    def hold() -> None:
        with atomic():
            lock_row(name)
            holds.set()
            let_go.wait(WAIT_SECONDS)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(WAIT_SECONDS)
    try:
        yield
    finally:
        let_go.set()
        thread.join(WAIT_SECONDS)


def lock_wait_story() -> None:
    """1205 rolls back its statement only; the unit rolls back the rest itself."""
    add_row("wanted")
    let_go = threading.Event()
    seen: list[bool] = []

    @money_unit
    def writes_then_waits() -> None:
        _execute("SET SESSION innodb_lock_wait_timeout = 1")
        seen.append(RateCounter.objects.filter(bucket="written first").exists())
        if len(seen) == 2:
            let_go.set()
        add_row("written first")
        raise_hits("wanted")

    before = repeated("writes_then_waits", "1205")
    with another_holds("wanted", let_go):
        writes_then_waits()
    # Had the first attempt's row stayed, the second would have seen it, and failed on it.
    assert seen[:2] == [False, False]
    assert RateCounter.objects.filter(bucket="written first").count() == 1
    assert hits("wanted") == 1
    assert repeated("writes_then_waits", "1205") > before


@on_mariadb
def test_a_lock_wait_timeout_rolls_back_the_whole_unit():
    lock_wait_story()
    assert rollback_on_timeout() == "OFF"


@on_mariadb
def test_a_lock_wait_timeout_does_so_too_where_the_server_rolls_back_by_itself():
    with servers.mariadb(options=["--innodb-rollback-on-timeout=1"]) as server:
        url = urlsplit(server.url)
        there = {
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "PASSWORD": unquote(url.password or ""),
            "NAME": url.path[1:],
        }
        here = {name: connection.settings_dict[name] for name in there}
        try:
            connection.close()
            connection.settings_dict.update(there)
            with connection.schema_editor() as schema:
                schema.create_model(RateCounter)
            lock_wait_story()
            assert rollback_on_timeout() == "ON"
        finally:
            connection.close()
            connection.settings_dict.update(here)


def rollback_on_timeout() -> str:
    return db_variables()["innodb_rollback_on_timeout"]


def db_variables() -> dict[str, str]:
    from tcmpay.common.database_session import session_variables

    return session_variables()


# --- what goes away -----------------------------------------------------------------------------


@on_mariadb
def test_a_connection_killed_inside_a_unit_repeats_it_on_a_fresh_one():
    add_row("a")
    used: list[int] = []

    @money_unit
    def is_killed_once() -> None:
        raise_hits("a")
        used.append(own_thread_id())
        if len(used) == 1:
            kill(used[0])
        raise_hits("a")

    is_killed_once()
    assert hits("a") == 2
    assert len(used) == len(set(used)) == 2


@on_mariadb
def test_a_connection_that_died_between_two_units_is_not_used_again():
    """Django checks a connection's health once per request; the second unit is in the same one."""
    add_row("a")
    unit = money_unit(raise_hits)
    unit("a")
    dead = own_thread_id()
    kill(dead)
    unit("a")
    assert hits("a") == 2
    assert own_thread_id() != dead


@contextmanager
def commit_that(fails_with: Exception, *, is_done: bool) -> Iterator[None]:
    """The answer to COMMIT never comes; ``is_done``: the server had carried it out."""
    commit = connection._commit

    def lost() -> None:
        connection._commit = commit
        if is_done:
            commit()
        else:
            connection._rollback()
        raise fails_with

    connection._commit = lost
    try:
        yield
    finally:
        connection._commit = commit


LOST_ANSWERS = [
    OperationalError(2013, "Lost connection to server during query"),
    OperationalError(1047, "WSREP has not yet prepared node for application use"),
    OperationalError(1290, "running with the --read-only option so it cannot execute this"),
    InterfaceError(0, ""),
]


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("error", LOST_ANSWERS, ids=lambda error: str(error.args[0]))
def test_a_commit_that_nobody_answered_is_never_redone(error, is_done):
    runs: list[int] = []

    @money_unit
    def in_doubt() -> None:
        runs.append(1)
        add_row("a")

    with commit_that(error, is_done=is_done), pytest.raises(CommitUnknown):
        in_doubt()
    assert len(runs) == 1
    assert RateCounter.objects.filter(bucket="a").exists() == is_done
    assert REGISTRY.get_sample_value("money_unit_commit_unknown_total", {"unit": "in_doubt"})


@on_mariadb
def test_a_connection_killed_at_commit_is_in_doubt_and_the_next_unit_gets_a_fresh_one():
    add_row("a")
    commit = connection._commit

    def kill_and_commit() -> None:
        connection._commit = commit
        kill(own_thread_id())
        commit()

    unit = money_unit(raise_hits)
    connection._commit = kill_and_commit
    with pytest.raises(CommitUnknown):
        unit("a")
    assert hits("a") == 0
    unit("a")
    assert hits("a") == 1


def test_a_conflict_at_commit_repeats_the_unit():
    """As Galera reports them: the other node's write was first, nothing of ours is kept."""

    @money_unit
    def conflicts_once() -> None:
        add_row("a")

    with commit_that(OperationalError(1213, "Deadlock found"), is_done=False):
        conflicts_once()
    assert RateCounter.objects.filter(bucket="a").count() == 1


@pytest.mark.parametrize("code", [1213, 2013])
def test_a_hook_that_fails_after_the_commit_repeats_nothing(code):
    runs: list[int] = []

    @money_unit
    def rings_a_broken_bell() -> str:
        runs.append(1)
        add_row("a")

        def broken() -> None:
            raise OperationalError(code, "of the hook's own")

        on_commit(broken)
        return "done"

    assert rings_a_broken_bell() == "done"
    assert len(runs) == 1
    assert RateCounter.objects.filter(bucket="a").exists()


# --- how often ----------------------------------------------------------------------------------


def always(error: Exception):
    runs: list[float] = []

    @money_unit
    def hopeless() -> None:
        runs.append(time.monotonic())
        raise error

    return hopeless, runs


@pytest.mark.parametrize("code", [1020, 1047, 1205, 1213, 1290, 1792, 1836, 1927, 2006, 2013])
def test_it_gives_up_after_so_many_attempts(code):
    unit, runs = always(OperationalError(code, "x"))
    with pytest.raises(OperationalError):
        unit()
    assert len(runs) == ATTEMPTS_MAX


@pytest.mark.parametrize(
    "error", [OperationalError(1040, "too many"), OperationalError(1406, "too long"), KeyError("x")]
)
def test_it_repeats_for_nothing_else(error):
    unit, runs = always(error)
    with pytest.raises(type(error)):
        unit()
    assert len(runs) == 1


def test_it_gives_up_when_its_time_is_over(monkeypatch):
    monkeypatch.setattr(db, "RETRY_SECONDS_MAX", 0.0)
    unit, runs = always(OperationalError(1205, "x"))
    with pytest.raises(OperationalError):
        unit()
    assert len(runs) == 1


def test_it_waits_a_random_while_within_growing_bounds(monkeypatch):
    monkeypatch.setattr(db, "BACKOFF_MAX_SECONDS", 1.0)
    bounds: list[tuple[float, float]] = []

    def no_wait(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    monkeypatch.setattr(db.random, "uniform", no_wait)
    unit, _runs = always(OperationalError(1213, "x"))
    with pytest.raises(OperationalError):
        unit()
    assert len(bounds) == ATTEMPTS_MAX - 1
    highest = [high for _low, high in bounds]
    assert highest == sorted(highest)
    assert {low for low, _high in bounds} == {0}
    assert max(highest) <= 1.0


def test_no_caller_may_hold_a_transaction_open():
    with atomic(), pytest.raises(RuntimeError):
        money_unit(add_row)("a")
