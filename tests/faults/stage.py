"""The product with everything around it, as real processes, and a proxy on each line."""

import contextlib
import json
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import MySQLdb

from tests.faults.control import StandInControl, get_status
from tests.faults.hooks import ARMED_VARIABLE, HASTE_VARIABLE
from tests.faults.programs import Program, StageBroken
from tests.faults.proxy import Proxy
from tests.servers import free_port, mariadb, redis_server

WEB_THREADS = 8
COMMAND_SECONDS_MAX = 300.0
RULES = {
    "DJANGO_SETTINGS_MODULE": "tcmpay.settings",
    "TCMPAY_ENV_FILE": "",
    "DEBUG": "on",
    "SECRET_KEY": "faults-only-1d7c5b9e3f2a8d6c4e0b7a5f9c3d1e8b",
    "CONFIG_ENCRYPTION_KEYS": "ZmF1bHRzLW9ubHktZmF1bHRzLW9ubHktZmF1bHRzLTE=",
    # Of their own: a wrong encryption key must not chain what is booked meanwhile.
    "AUDIT_CHAIN_KEYS": "faults-only-3c9a7e1d5b8f2c6a4e0d9b7f1a3c5e8d",
    "JWT_SECRET": "faults-only-6e2b8d4f1a9c7e3b5d0f8a6c2e4b9d7f",
    "JWT_ALGORITHM": "HS256",
    "MOCK_CALLBACKS": "off",
    "ORDER_PRICE_POLICY": "open",
    "ORDER_EXPIRE_MINUTES": "120",
    "LATE_PAYMENT_POLICY": "refund",
    "REFUND_SECOND_APPROVAL_OVER": "",
    "RATE_LIMIT_PER_MINUTE": "1000000",
    "WECHATPAY_BASE_URL": "",
    "ALIPAY_GATEWAY_URL": "",
    "LOG_LEVEL": "WARNING",
}
Row = tuple[Any, ...]


class DatabaseServer(Protocol):
    """One MariaDB, or a cluster with one address to write to."""

    port: int
    url: str


class Stage:
    """All processes; ``database_line`` etc. are the proxies that faults sit on."""

    def __init__(
        self, folder: Path, database: DatabaseServer, redis: Any, *, processes: int = 2
    ) -> None:
        self.folder = folder
        self.database = database
        self.redis = redis
        self.processes = processes  # of gunicorn, and of Celery's pool
        self.armed = folder / "armed"
        self.armed.mkdir()
        self.stand_in_folder = folder / "gateways"
        self.stand_in_port, self.web_port = free_port(), free_port()
        self.control = StandInControl(self.stand_in_port)
        self.database_line = Proxy(database.port, name="database")
        self.redis_line = Proxy(redis.port, name="redis")
        self.gateway_line = Proxy(self.stand_in_port, name="gateway")
        self.lines = (self.database_line, self.redis_line, self.gateway_line)
        self.environment = RULES | {
            "DATABASE_URL": _through(database.url, self.database_line.port),
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.redis_line.port}/0",
            "CACHE_URL": f"redis://127.0.0.1:{self.redis_line.port}/1",
            ARMED_VARIABLE: str(self.armed),
            HASTE_VARIABLE: "yes",
        }
        self.stand_in = self._stand_in()
        self.web = self.web_program("web", self.web_port)
        self.worker = self._celery("worker", "worker", "--concurrency", str(processes))
        self.beat = self._celery("beat", *_beat_arguments(folder / "beat-schedule"))
        self.second_beat = self._celery("beat-2", *_beat_arguments(folder / "beat-2-schedule"))
        self.programs = [self.stand_in, self.web, self.worker, self.beat]
        self._runs = 0

    # --- starting and stopping --------------------------------------------------------------------

    def start(self) -> None:
        self.manage("migrate", "-v0")
        self.stand_in.start()
        self.configure_gateways()
        for program in (self.web, self.worker, self.beat):
            program.start(is_waited_for=False)
        self.web.wait_until_ready()
        self.wait_for(self.is_served, "the product serves", seconds=300)

    def stop(self) -> None:
        for program in (self.beat, self.second_beat, self.worker, self.web, self.stand_in):
            program.stop()
        for line in self.lines:
            line.close()

    def repair(self) -> None:
        """Whatever a scenario did: all processes run, all lines pass, the gateways behave."""
        for file in self.armed.iterdir():
            file.unlink(missing_ok=True)
        for line in self.lines:
            line.heal()
        self.second_beat.stop()
        for program in self.programs:
            program.resume()
            if program.is_altered or not program.is_running():
                program.kill()
                program.start()
        self.control.ask("faults", clear=True)
        self.control.ask("settings", hold_notices=False)
        self.wait_for(self.is_served, "the product serves again", seconds=300)

    def supervise(self) -> None:
        """As systemd with Restart=always: whoever gave up is started again. Celery's worker gives
        up now and then when its broker's line is cut while it is connecting.
        """
        for program in self.programs:
            if not program.is_running():
                program.kill()
                program.start()

    def is_served(self) -> bool:
        return get_status(self.web_port, "/health/ready") == 200

    def web_program(self, name: str, port: int, prefix: Sequence[str] = ()) -> Program:
        return Program(
            name,
            [
                *prefix,
                *(sys.executable, "-m", "gunicorn", "tests.faults.served:application"),
                *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"),
                *("--workers", str(self.processes), "--threads", str(WEB_THREADS)),
                *("--graceful-timeout", "3", "--log-level", "warning", "--no-control-socket"),
            ],
            folder=self.folder,
            environment=self.environment,
            ready_port=port,
        )

    def _stand_in(self) -> Program:
        return Program(
            "stand-in",
            [
                *(sys.executable, "-m", "simulator", "--port", str(self.stand_in_port)),
                *("--dir", str(self.stand_in_folder), "--refund-delay", "0.5"),
                *("--notify-factor", "0.05", "--spacing-factor", "0.001"),
            ],
            folder=self.folder,
            environment={},
            ready_port=self.stand_in_port,
        )

    def _celery(self, name: str, *arguments: str) -> Program:
        command = [sys.executable, "-m", "celery", "--app", "tests.faults.celery_app:app"]
        return Program(
            name,
            [*command, *arguments, "--loglevel", "warning"],
            folder=self.folder,
            environment=self.environment,
        )

    def configure_gateways(self) -> None:
        """The product reaches the stand-ins through the proxy; they call it back directly."""
        # The stand-in listens first, makes its keys, and answers then.
        self.wait_for(
            lambda: get_status(self.stand_in_port, "/_control/settings") == 200,
            "the stand-in answers",
            seconds=300,
        )
        source = json.loads((self.stand_in_folder / "config.json").read_text())
        for part, name in (("wechat", "base_url"), ("alipay", "gateway_url")):
            source[part][name] = _through(source[part][name], self.gateway_line.port)
        file = self.stand_in_folder / "through-proxy.json"
        file.write_text(json.dumps(source))
        base = f"http://127.0.0.1:{self.web_port}"
        self.manage("load_gateway_config", str(file), "--notify-base", base)

    # --- commands and questions -------------------------------------------------------------------

    def manage(
        self, *arguments: str, environment: Mapping[str, str] | None = None, is_direct: bool = False
    ) -> str:
        """Run a management command to its end; what it printed. Raises StageBroken."""
        code, text = self.try_manage(*arguments, environment=environment, is_direct=is_direct)
        if code:
            raise StageBroken(f"manage.py {' '.join(arguments)} ended with {code}:\n{text}")
        return text

    def try_manage(
        self, *arguments: str, environment: Mapping[str, str] | None = None, is_direct: bool = False
    ) -> tuple[int, str]:
        name = f"manage-{arguments[0]}-{uuid.uuid4().hex[:6]}"
        changed = {**self.environment, **(environment or {})}
        if is_direct:
            changed["DATABASE_URL"] = self.database.url
        command = [sys.executable, "manage.py", *arguments]
        program = Program(name, command, folder=self.folder, environment=changed)
        program.start()
        code = program.wait(COMMAND_SECONDS_MAX)
        text = program.log_text()
        program.log.unlink()
        return code, text

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection of the harness, past the proxy, autocommitting."""
        parts = urlsplit(self.database.url)
        connection = MySQLdb.connect(
            host="127.0.0.1",
            port=self.database.port,
            user=parts.username,
            password=_unquoted(parts.password),
            database=parts.path[1:],
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
        )
        try:
            yield connection
        finally:
            connection.close()

    def query(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute(sql, list(arguments) or None)
            return list(cursor.fetchall())

    def ask_stand_in(self, sql: str) -> list[Row]:
        """A question to the stand-in's own books."""
        file = self.stand_in_folder / "simulator.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def wait_for(self, condition: Callable[[], Any], what: str, *, seconds: float) -> float:
        """How long it took (seconds). Raises StageBroken when it takes longer than ``seconds``."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > seconds:
                raise StageBroken(f"waited {seconds:.0f} s in vain until {what}")
            time.sleep(0.1)
        return time.monotonic() - begun

    def next_run(self) -> str:
        self._runs += 1
        return f"run{self._runs}"

    def new_users(self, number: int, amount: str = "100000.00") -> list[str]:
        """Users with money, put in as the guide shows."""
        users = [str(uuid.uuid4()) for _user in range(number)]
        with self.connected() as connection, connection.cursor() as cursor:
            for user in users:
                cursor.execute(
                    "INSERT INTO user_balances (id, user_id, balance) VALUES (UUID(), %s, %s)",
                    [user, amount],
                )
        return users


@contextlib.contextmanager
def stage(folder: Path, *, processes: int = 2) -> Iterator[Stage]:
    """A running stage on one private MariaDB."""
    with mariadb(database="faults") as database, redis_server() as redis:
        yield from _played(Stage(folder, database, redis, processes=processes))


@contextlib.contextmanager
def stage_on(folder: Path, database: DatabaseServer, *, processes: int = 2) -> Iterator[Stage]:
    """A running stage on a database that is there already."""
    with redis_server() as redis:
        yield from _played(Stage(folder, database, redis, processes=processes))


def _played(stage: Stage) -> Iterator[Stage]:
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


def _beat_arguments(schedule: Path) -> list[str]:
    return ["beat", "--schedule", str(schedule), "--pidfile="]


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    user, _at, _host = parts.netloc.rpartition("@")
    netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=netloc))


def _unquoted(text: str | None) -> str:
    return unquote(text or "")
