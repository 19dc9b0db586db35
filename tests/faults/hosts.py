"""Hosts: clocks that are wrong, disks that are full, keys that change or are missing, backups."""

import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import MySQLdb
from cryptography.fernet import Fernet

from tests.faults.control import get_status
from tests.faults.play import Act, Scenario, Skipped, expect
from tests.faults.stage import Stage, stage_on
from tests.servers import MariaDB, find_program, mariadb, running

FAKETIME_PLACES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)
DATABASE_DISK, LOG_DISK = "420m", "96k"
FILLER = "filler"
REFUSALS_WANTED = 20


# --- clocks ---------------------------------------------------------------------------------------


def faketime(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong by ``offset``. Raises Skipped."""
    library = next((place for place in FAKETIME_PLACES if os.path.exists(place)), None)
    if library is None:
        raise Skipped("libfaketime is not installed: apt-get install libfaketime")
    return {
        "LD_PRELOAD": library,
        "FAKETIME": offset,
        "PYTHONPATH": str(Path(__file__).parent / "wrongclock"),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def web_clock_ahead(act: Act) -> None:
    """The web hosts' clock is wrong; database, worker and clients are right."""
    environment = faketime("+3h")
    act.stage.web.kill()
    act.stage.web.start(**environment)
    took = act.load.wait_for_more(40)
    act.note(f"40 acknowledgements in {took:.1f} s")
    act.stage.web.kill()
    act.stage.web.start()


def web_clock_behind(act: Act) -> None:
    """Tokens come from the future there, so clients are refused, and nothing else happens."""
    environment = faketime("-3h")
    act.stage.web.kill()
    act.stage.web.start(**environment)
    started_at = time.time()
    act.stage.wait_for(
        lambda: _refused_tokens(act, started_at) >= 10, "clients are refused", seconds=300
    )
    told = [line for line in act.load.lines() if line["at"] > started_at and line["what"] == "yes"]
    expect(not told, f"a host that lives three hours ago said yes: {told[:2]}")
    act.stage.web.kill()
    act.stage.web.start()


def _refused_tokens(act: Act, since: float) -> int:
    lines = (line for line in act.load.lines() if line["at"] > since)
    return sum(line.get("code") == "UNAUTHENTICATED" for line in lines)


def wrong_worker_clock(act: Act, offset: str) -> None:
    """Sweeps on a wrong clock expire nothing that is not due, and lose nothing."""
    environment = faketime(offset)
    for program in (act.stage.worker, act.stage.beat):
        program.kill()
        program.start(**environment)
    time.sleep(act.lasts(12, short=6))
    expired = act.stage.query("SELECT COUNT(*) FROM payment_orders WHERE status = 'expired'")[0][0]
    expect(not expired, f"{expired} orders of now were expired by a wrong clock")
    for program in (act.stage.worker, act.stage.beat):
        program.kill()
        program.start()


def callbacks_a_day_late(act: Act) -> None:
    """Alipay's messages may be a day old; WeChat's count for five minutes, so it is asked."""
    environment = faketime("-23h")
    stage = act.stage
    stage.control.ask("settings", hold_notices=True)
    stage.wait_for(lambda: _held(act, "wechat") >= 3, "callbacks are held back", seconds=300)
    stage.stand_in.kill()
    began = _verdicts(act)
    stage.stand_in.start(**environment)
    stage.control.ask("release")
    stage.wait_for(
        lambda: {"wechat untrusted", "alipay applied"} <= (_verdicts(act) - began).keys(),
        "WeChat's callbacks are refused and Alipay's applied",
        seconds=300,
    )
    late = _verdicts(act) - began
    expect(not late["wechat applied"], f"a callback of WeChat was believed a day late: {late}")
    act.note(f"{dict(late)}")
    stage.stand_in.kill()
    stage.stand_in.start()


def _held(act: Act, channel: str) -> int:
    rows = act.stage.ask_stand_in(
        f"SELECT COUNT(*) FROM notice WHERE state = 'held' AND channel = '{channel}'"
    )
    return int(rows[0][0])


def _verdicts(act: Act) -> Counter[str]:
    rows = act.stage.query(
        "SELECT CONCAT(payment_method, ' ', verdict), COUNT(*) FROM payment_callbacks GROUP BY 1"
    )
    return Counter(dict(rows))


# --- disks ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own. Raises Skipped without the right to mount one."""
    if os.geteuid():
        raise Skipped("a small disk can be mounted by root only")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise Skipped(f"mount is not allowed here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / FILLER).open("ab", buffering=0) as filler:
        for chunk in (b"x" * 65_536, b"x" * 512):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(chunk)


def full_log_disk(act: Act) -> None:
    web, log = act.stage.web, act.stage.web.log
    with small_disk(act.stage.folder / "full-log", LOG_DISK) as disk:
        fill(disk)
        web.kill()
        web.log = disk / "web.log"
        try:
            web.start(LOG_LEVEL="DEBUG")
            took = act.load.wait_for_more(40)
            expect(web.log.stat().st_size == 0, "the log's disk was not full")
            act.note(f"40 acknowledgements in {took:.1f} s with nowhere to log")
        finally:
            web.kill()
            web.log = log
    web.start()


@contextlib.contextmanager
def stage_on_small_disk(folder: Path) -> Iterator[Stage]:
    with small_disk(folder / "disk", DATABASE_DISK) as disk:
        home = disk / "home"
        home.mkdir()
        options = ["--innodb-buffer-pool-size=24M", "--innodb-log-file-size=8M"]
        with (
            running(MariaDB(home, database="faults", options=options)) as database,
            stage_on(folder, database) as stage,
        ):
            yield stage


def full_database_disk(act: Act) -> None:
    """503 while nothing can be written; after making room and a restart all is as before."""
    stage = act.stage
    disk = stage.folder / "disk"
    fill(disk)
    filled_at, before = time.time(), act.load.count()

    def told(what: str) -> list[str]:
        lines = (line for line in act.load.lines() if line["at"] > filled_at)
        return [line["op"] for line in lines if line["what"] == what]

    # Free pages inside the tables' files are used up first.
    stage.wait_for(
        lambda: len(told("unavailable")) >= REFUSALS_WANTED,
        f"{REFUSALS_WANTED} requests were answered 503",
        seconds=300,
    )
    expect(not told("error500"), f"answers 500 on a full disk: {told('error500')[:3]}")
    statuses = {get_status(stage.web_port, "/health/live")}
    expect(statuses == {200}, f"not live on a full disk: {statuses}")
    act.note(f"{act.load.count() - before} acknowledgements and then 503 while the disk was full")
    (disk / FILLER).unlink()
    stage.database.restart()


# --- keys -----------------------------------------------------------------------------------------


def rotate_keys(act: Act) -> None:
    """New encryption keys by the documented steps, and new gateway configurations, under load."""
    stage = act.stage
    former = stage.environment["CONFIG_ENCRYPTION_KEYS"]
    new = Fernet.generate_key().decode()
    for keys, is_rotated in (
        (f"{new},{former}", True), (new, False), (f"{former},{new}", True), (former, False),
    ):  # fmt: skip
        environment = {"CONFIG_ENCRYPTION_KEYS": keys}
        for program in (stage.web, stage.worker):
            program.stop()
            program.start(**environment)
        if is_rotated:
            stage.manage("rotate_config_keys", environment=environment)
        act.load.wait_for_more(10)
    for _time in range(3):
        stage.configure_gateways()
        act.load.wait_for_more(10)


def missing_key(act: Act) -> None:
    code, text = act.stage.try_manage(
        "check",
        environment={"DEBUG": "off", "ALLOWED_HOSTS": "pay.tcm.test", "CONFIG_ENCRYPTION_KEYS": ""},
    )
    expect(code and "CONFIG_ENCRYPTION_KEYS" in text, f"started without a key ({code}): {text}")
    act.note(text.strip().splitlines()[-1][:160])


def wrong_key(act: Act) -> None:
    """Gateway payments and callbacks are refused, nothing is believed; balances are paid."""
    stage = act.stage
    environment = {"CONFIG_ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    for command in (("check", "--database", "default"), ("migrate", "-v0")):
        code, text = stage.try_manage(*command, environment=environment)
        expect(code and "CONFIG_ENCRYPTION_KEYS" in text, f"{command} ended {code}: {text[-300:]}")
    act.note(text.strip().splitlines()[-1][:160])
    for program in (stage.web, stage.worker):
        program.kill()
        program.start(**environment)
    at_start = time.time()
    act.load.wait_for_more(25)
    wrong = [
        line
        for line in act.load.lines()
        if line["at"] > at_start and (line["what"], line["op"]) == ("taken", "wechat")
    ]
    expect(not wrong, "a payment at WeChat was started without readable keys")
    for program in (stage.web, stage.worker):
        program.kill()
        program.start()


# --- backup ---------------------------------------------------------------------------------------


def backup(act: Act) -> None:
    """mariadb-dump under load, restored elsewhere: all that was told before is in it."""
    stage = act.stage
    ids = [
        line["id"] for line in act.load.lines() if (line["what"], line["op"]) == ("yes", "order")
    ]
    dump = stage.folder / "dump.sql"
    _client(stage.database, find_program("mariadb-dump", "mysqldump"),
            "--single-transaction", "--routines", output=dump)  # fmt: skip
    act.load.wait_for_more(5)
    with mariadb(database="faults") as elsewhere:
        _client(elsewhere, find_program("mariadb", "mysql"), source=dump)
        environment = {"DATABASE_URL": elsewhere.url}
        stage.manage("migrate", "-v0", environment=environment)
        code, text = stage.try_manage("audit_money", environment=environment)
        expect(not code, f"the restored books don't add up: {text}")
        found = _ids_in(elsewhere, ids)
    expect(
        found == len(set(ids)), f"{len(set(ids)) - found} acknowledged orders are not in the backup"
    )
    act.note(f"{dump.stat().st_size // 1024} KiB, {found} orders restored, audit clean")


def _client(
    server: MariaDB, program: str, *arguments: str, source: Path | None = None,
    output: Path | None = None,
) -> None:  # fmt: skip
    with contextlib.ExitStack() as files:
        stdin = files.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        stdout = files.enter_context(output.open("wb")) if output else subprocess.DEVNULL
        subprocess.run(
            [program, "--no-defaults", "--protocol=tcp", "--host=127.0.0.1",
             f"--port={server.port}", f"--user={server.user}", *arguments, server.database],
            env={**os.environ, "MYSQL_PWD": server.password},
            stdin=stdin,
            stdout=stdout,
            check=True,
        )  # fmt: skip


def _ids_in(server: MariaDB, ids: list[str]) -> int:
    connection = MySQLdb.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password,
        database=server.database,
    )  # fmt: skip
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM payment_orders")
            there = {row[0] for row in cursor.fetchall()}
    finally:
        connection.close()
    return len(there & set(ids))


SCENARIOS = (
    Scenario("clock-web-ahead", "the web hosts' clock is 3 h ahead",
             web_clock_ahead),
    Scenario("clock-web-behind", "the web hosts' clock is 3 h behind",
             web_clock_behind),
    Scenario("clock-worker-ahead", "the worker's clock is 5 h ahead",
             partial(wrong_worker_clock, offset="+5h")),
    Scenario("clock-worker-behind", "the worker's clock is 5 h behind",
             partial(wrong_worker_clock, offset="-5h")),
    Scenario("clock-callbacks", "callbacks a day late", callbacks_a_day_late,
             plan={"weights": (0, 50, 50)}),
    Scenario("disk-log", "no room for the log", full_log_disk),
    Scenario("disk-database", "no room under the database", full_database_disk,
             own_stage=stage_on_small_disk),
    Scenario("keys-rotation", "encryption keys and gateway configuration change under load",
             rotate_keys),
    Scenario("keys-missing", "no encryption key at start", missing_key),
    Scenario("keys-wrong", "a wrong encryption key at start", wrong_key),
    Scenario("backup-restore", "dump under load, restore elsewhere, audit", backup),
)  # fmt: skip
