"""Processes of ours for tests: each in a group of its own, with its log, stopped by its id.

Standard library only, so that it works before anything of the project can be imported.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05
# What a developer's environment says about the rules must not decide what is tested.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tcmpay.settings",
    "TCMPAY_ENV_FILE": "",
    "DEBUG": "on",
    "SECRET_KEY": "tests-only-4f0c9d2e7b1a6f3c8e5d0a9b7c2f1e6d",
    "CONFIG_ENCRYPTION_KEYS": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "JWT_SECRET": "tests-only-9a3e6c1f5b8d2e7a0c4f9b6d3e1a8c5f",
    "JWT_ALGORITHM": "HS256",
    "MOCK_CALLBACKS": "off",
    "ORDER_PRICE_POLICY": "open",
    "ORDER_EXPIRE_MINUTES": "120",
    "LATE_PAYMENT_POLICY": "refund",
    "REFUND_SECOND_APPROVAL_OVER": "",
    "WECHATPAY_BASE_URL": "",
    "ALIPAY_GATEWAY_URL": "",
    "CACHE_URL": "locmemcache://programs",
    # Bells ring nowhere: the sweeps have to find all work in the database.
    "CELERY_BROKER_URL": "memory://",
    "LOG_LEVEL": "ERROR",
}


class ProgramFailed(RuntimeError):
    """A process did not start, ended badly or takes too long; the message ends with its log."""


class Program:
    """One process of ours with its log, started in a group of its own."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = folder / f"{name}.log"
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **ENVIRONMENT, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for_port(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_listening(port):
            if self.code is not None or time.monotonic() > deadline:
                raise ProgramFailed(f"{self.name} did not start:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def wait(self, seconds_max: float) -> None:
        """Wait for its end. Raises ProgramFailed when it failed or takes too long."""
        process = self._running()
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{self.name} takes too long:\n{self.log_tail()}") from None
        if code:
            raise ProgramFailed(f"{self.name} ended with {code}:\n{self.log_tail()}")

    @property
    def code(self) -> int | None:
        return self._running().poll()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramFailed(f"{self.name} is not running")
        return self._process


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def stand_in_program(
    folder: Path, *, port: int, logs: Path | None = None, options: Sequence[str] = ()
) -> Program:
    """The stand-in gateways as a process; keys, books and config.json lie in ``folder``."""
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--dir", str(folder)]
    return Program("stand-in", [*command, *options], folder=logs or folder, environment={})


@contextlib.contextmanager
def stand_in_running(
    folder: Path, *, port: int, logs: Path | None = None, options: Sequence[str] = ()
) -> Iterator[Program]:
    """Running stand-ins with their keys made: they listen before they have written them."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(stand_in_program(folder, port=port, logs=logs, options=options), port) as program:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (folder / "config.json").exists():
            if time.monotonic() > deadline:
                raise ProgramFailed(f"no keys:\n{program.log_tail()}")
            time.sleep(POLL_SECONDS)
        yield program


def web_program(folder: Path, *, port: int, environment: Mapping[str, str]) -> Program:
    """The product's web server as the demo runs it: one process, eight threads."""
    command = [
        *(sys.executable, "-m", "gunicorn", "tcmpay.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "tcmpay.gunicorn_worker.BoundedThreadWorker"),
        *("--workers", "1", "--threads", "8"),
        *("--graceful-timeout", "2", "--log-level", "warning", "--no-control-socket"),
    ]
    return Program("web", command, folder=folder, environment=environment)


def manage(folder: Path, environment: Mapping[str, str], *arguments: str) -> Program:
    name = "-".join(argument for argument in arguments[:2] if not argument.startswith(("-", "/")))
    return Program(
        f"{name}-{secrets.token_hex(2)}",
        [sys.executable, "manage.py", *arguments],
        folder=folder,
        environment=environment,
    )


@contextlib.contextmanager
def running(program: Program, port: int) -> Iterator[Program]:
    try:
        program.start()
        program.wait_for_port(port)
        yield program
    finally:
        program.stop()


def manage_now(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command of ``manage.py`` to its end. Raises ProgramFailed."""
    program = manage(folder, environment, *arguments)
    program.start()
    program.wait(START_SECONDS_MAX)


@contextlib.contextmanager
def scratch_database(folder: Path, server: str = "") -> Iterator[str]:
    """The address of an empty database: a file in ``folder``, or one of its own at ``server``.

    ``server`` is the address of a MariaDB; ours is dropped at the end.
    """
    if not server:
        yield f"sqlite:///{folder / 'scratch.sqlite3'}"
        return
    import MySQLdb

    parts = urlsplit(server)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    host, port = parts.hostname or "127.0.0.1", parts.port or 3306
    name = f"scratch_{os.getpid()}_{secrets.token_hex(3)}"
    connection = MySQLdb.connect(
        host=host, port=port, user=user, password=password, autocommit=True
    )
    try:
        connection.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{name}"
    finally:
        connection.ping(True)
        connection.query(f"DROP DATABASE IF EXISTS {name}")
        connection.close()
