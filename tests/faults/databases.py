"""MariaDB killed, frozen, slow, full, cut off; deadlocks and lock waits."""

import contextlib
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import MySQLdb

from tests.faults.control import get_status
from tests.faults.play import Act, Scenario, expect
from tests.faults.proxy import is_commit

COMMITS_SWALLOWED = 12
DEADLOCK, LOCK_WAIT = 1213, 1205


def kill_mariadb(act: Act) -> None:
    act.stage.database.kill()
    time.sleep(act.lasts(3, short=0.5))
    begun = time.monotonic()
    act.stage.database.start()
    act.note(f"mariadbd recovered in {time.monotonic() - begun:.1f} s")


def freeze_mariadb(act: Act) -> None:
    act.stage.database.pause()
    time.sleep(act.lasts(20, short=6))
    act.stage.database.resume()


def slow_line(act: Act) -> None:
    act.stage.database_line.delay_seconds = 0.03
    time.sleep(act.lasts(15, short=5))


def slow_queries(act: Act) -> None:
    """A table lock of somebody's report makes every statement on orders wait."""
    with act.stage.connected() as connection, connection.cursor() as cursor:
        for _time in range(3):
            cursor.execute("LOCK TABLES payment_orders READ")
            time.sleep(act.lasts(4, short=1))
            cursor.execute("UNLOCK TABLES")
            time.sleep(0.5)


def cut_line(act: Act) -> None:
    cut = 0
    for _time in range(10):
        cut += act.stage.database_line.cut()
        time.sleep(act.chance.uniform(0.2, 0.8))
    act.stage.database_line.is_refusing = True
    act.stage.database_line.cut()
    time.sleep(act.lasts(5, short=1.5))
    expect(get_status(act.stage.web_port, "/health/live") == 200, "not live without a database")
    expect(
        get_status(act.stage.web_port, "/health/ready") == 503,
        "without a database not 503 but ready",
    )
    act.note(f"{cut} connections cut")


def half_open_line(act: Act) -> None:
    """Nothing comes, nothing breaks: only a time limit of ours ends the waiting."""
    act.stage.database_line.is_hole = True
    time.sleep(act.lasts(45, short=12))


def lose_commit_answers(act: Act) -> None:
    line = act.stage.database_line
    line.swallow_answers(is_commit, times=COMMITS_SWALLOWED)
    act.stage.wait_for(
        lambda: line.swallowed % COMMITS_SWALLOWED == 0 and line.swallowed > 0,
        "COMMITs are cut",
        seconds=300,
    )
    act.note(f"{COMMITS_SWALLOWED} COMMITs were done and never answered")


def exhaust_connections(act: Act) -> None:
    """All of the server's connections are taken by somebody else."""
    stage = act.stage
    held = []
    with stage.connected() as admin:
        before = _variable(admin, "max_connections")
        admin.query("SET GLOBAL max_connections = 30")
        try:
            stage.database_line.cut()
            with contextlib.suppress(MySQLdb.Error):
                for _connection in range(40):
                    held.append(_plain_connection(act))
            time.sleep(act.lasts(8, short=3))
            statuses = {get_status(stage.web_port, "/health/ready") for _look in range(3)}
            expect(500 not in statuses and 0 not in statuses, f"statuses {statuses}")
        finally:
            for connection in held:
                connection.close()
            admin.query(f"SET GLOBAL max_connections = {before}")
    act.note(f"{len(held)} connections held by others")


def deadlock_storm(act: Act) -> None:
    """Two strangers lock balances and orders in the wrong order, again and again."""
    counted = _disturb(act, _lock_crosswise, seconds=act.lasts(12, short=4))
    act.note(f"strangers ended in {counted} deadlocks or lock waits")


def lock_waits(act: Act) -> None:
    """A stranger holds rows longer than a lock wait lasts: 1205 rolls nothing back by itself."""
    counted = _disturb(act, _hold_rows, seconds=act.lasts(25, short=12), threads=1)
    act.note(f"{counted} times rows were held for 11 s")


def _disturb(act: Act, deed: Callable[[Act], int], *, seconds: float, threads: int = 2) -> int:
    ends = time.monotonic() + seconds
    counted: list[int] = []

    def go_on() -> None:
        while time.monotonic() < ends:
            counted.append(deed(act))

    running = [threading.Thread(target=go_on) for _thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counted)


def _lock_crosswise(act: Act) -> int:
    connection = _plain_connection(act)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 3")
            cursor.execute("START TRANSACTION")
            tables = ["user_balances", "payment_orders"]
            act.chance.shuffle(tables)
            for table in tables:
                newest = "updated_at" if table == "user_balances" else "created_at"
                cursor.execute(f"SELECT id FROM {table} ORDER BY {newest} DESC LIMIT 4 FOR UPDATE")
                time.sleep(act.chance.uniform(0.01, 0.1))
            connection.rollback()
    except MySQLdb.Error as error:
        return int(error.args[0] in (DEADLOCK, LOCK_WAIT))
    finally:
        connection.close()
    return 0


def _hold_rows(act: Act) -> int:
    connection = _plain_connection(act)
    try:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute(
                "SELECT id FROM user_balances ORDER BY updated_at DESC LIMIT 3 FOR UPDATE"
            )
            time.sleep(11)
            connection.rollback()
    except MySQLdb.Error:
        return 0
    finally:
        connection.close()
    return 1


def _plain_connection(act: Act) -> MySQLdb.Connection:
    parts = urlsplit(act.stage.database.url)
    return MySQLdb.connect(
        host="127.0.0.1",
        port=act.stage.database.port,
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path[1:],
    )


def _variable(connection: MySQLdb.Connection, name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{name}")
        return int(cursor.fetchone()[0])


SCENARIOS = (
    Scenario(
        "database-kill", "kill -9 of mariadbd under load, restart", kill_mariadb, is_quick=True
    ),
    Scenario("database-freeze", "SIGSTOP of mariadbd for 20 s", freeze_mariadb),
    Scenario("database-slow-line", "30 ms on every packet", slow_line),
    Scenario("database-slow-queries", "statements wait for seconds", slow_queries),
    Scenario("database-cut", "connections reset, then refused", cut_line),
    Scenario("database-half-open", "the line goes silent for 45 s", half_open_line),
    Scenario(
        "database-commit-unanswered",
        "cut after COMMIT, before its answer",
        lose_commit_answers,
        is_quick=True,
        plan={"weights": (90, 5, 5)},
    ),
    Scenario("database-connections", "max_connections used up by others", exhaust_connections),
    Scenario("database-deadlocks", "deadlock storm", deadlock_storm),
    Scenario("database-lock-waits", "rows locked for 11 s", lock_waits),
)
