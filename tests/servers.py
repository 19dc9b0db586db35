"""Private database and queue servers for the tests: real MariaDB and Redis, ours alone.

Each server has its own data folder and its own free port on 127.0.0.1, is started and stopped
by its process id, and can be killed, paused and restarted by a test that needs to see that.

    with mariadb() as database, redis_server() as redis: ...
    python -m tests.servers -- pytest        # run a command against both

Standard library only, so that it works before anything of the project can be imported.
"""

import contextlib
import getpass
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

# Below the range that the system gives to outgoing connections, or a port found free could be
# taken by one of them before the server binds it.
PORT_MIN, PORT_MAX = 20_000, 32_000
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
START_ATTEMPTS_MAX = 4
# Debian keeps servers out of an ordinary user's PATH, Homebrew out of everybody's.
SEARCH_PATH = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/sbin",
        "/usr/local/sbin",
        "/opt/homebrew/bin",
        "/opt/homebrew/opt/mariadb/bin",
        "/usr/local/opt/mariadb/bin",
    ]
)


class ServerFailed(RuntimeError):
    """A server is not installed or did not start; the message ends with its log."""


def find_program(*names: str) -> str:
    for name in names:
        if path := shutil.which(name, path=SEARCH_PATH):
            return path
    raise ServerFailed(f"{names[0]} is not installed; `make test` installs or names it")


def free_port() -> int:
    while True:
        port = random.SystemRandom().randint(PORT_MIN, PORT_MAX)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Server(ABC):
    """One server process with its folder. Subclasses say how to make, start and greet it."""

    name = "server"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.datadir = directory / "data"
        self.log = directory / "log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the server is reached, as settings take it."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    def initialise(self) -> None:
        self.datadir.mkdir(mode=0o700)

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line."""

    @abstractmethod
    def greets(self, connection: socket.socket) -> bool:
        """Whether the server answers on a fresh connection."""

    def start(self) -> None:
        """Start on the port of before; the first time, on a free one."""
        if self.port:
            self._launch()
            return
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            self.port = free_port()
            try:
                self._launch()
            except ServerFailed:  # somebody else may have taken the port in between
                if attempt == START_ATTEMPTS_MAX:
                    raise
            else:
                return

    def stop(self) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it if it still runs and start it again: same folder, same port."""
        self.stop()
        self._launch()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we stop the server
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self.name} did not start:\n{self.log_tail()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                return self.greets(connection)
        except OSError:
            return False

    def log_tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
        except OSError:
            return "(no log)"


class MariaDB(Server):
    name = "mariadb"

    def __init__(self, directory: Path, *, database: str, options: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.database = database
        self.user = "tcm_user"
        self.password = secrets.token_urlsafe(12)
        self.socket = directory / "s"  # short: a socket's path has 107 bytes at most
        self._options = list(options)
        # Only root needs to be told that root is meant.
        self._user_options = [f"--user={getpass.getuser()}"] if os.geteuid() == 0 else []

    @property
    def url(self) -> str:
        password = quote(self.password, safe="")
        return f"mysql://{self.user}:{password}@127.0.0.1:{self.port}/{self.database}"

    def initialise(self) -> None:
        super().initialise()
        made = subprocess.run(
            [
                find_program("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                f"--datadir={self.datadir}",
                "--auth-root-authentication-method=normal",
                "--skip-name-resolve",
                "--skip-test-db",
                *self._user_options,
            ],
            cwd=self.directory,
            # Its own: a server that starts removes what it finds in the common one.
            env={**os.environ, "TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if made.returncode:
            raise ServerFailed(f"mariadb-install-db failed:\n{made.stdout}")
        user = f"'{self.user}'@'127.0.0.1'"
        # Run at every start, before the first connection is answered.
        (self.directory / "init.sql").write_text(
            f"CREATE DATABASE IF NOT EXISTS `{self.database}`;\n"
            f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{self.password}';\n"
            # Everything: Django's tests make databases of their own, and fault tests look at
            # and kill connections. The server is private.
            f"GRANT ALL PRIVILEGES ON *.* TO {user};\n"
        )

    def command(self) -> list[str]:
        return [
            find_program("mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.datadir}",
            f"--tmpdir={self.directory}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'pid'}",
            f"--init-file={self.directory / 'init.sql'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            # A commit that was answered is on disk, as in production.
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=128M",
            "--innodb-log-file-size=32M",
            "--performance-schema=OFF",
            "--max-connections=300",
            # The isolation level is left at the server's default on purpose: the application
            # has to set its own.
            *self._user_options,
            *self._options,
        ]

    def greets(self, connection: socket.socket) -> bool:
        greeting = connection.recv(5)  # length (3), number (1), protocol version 10
        return len(greeting) == 5 and greeting[4] == 10


class Redis(Server):
    name = "redis"

    def __init__(self, directory: Path, *, options: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._options = list(options)

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, number: int) -> str:
        """The address of one of its 64 numbered databases."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def command(self) -> list[str]:
        return [
            find_program("redis-server"),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self.datadir)),
            *("--databases", "64"),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--daemonize", "no"),
            *self._options,
        ]

    def greets(self, connection: socket.socket) -> bool:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def running(server: S) -> Iterator[S]:
    """Make, start and in the end stop ``server``; its folder is removed."""
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="tcm"))


@contextlib.contextmanager
def mariadb(
    *, database: str = "tcm_telemedicine", options: Sequence[str] = ()
) -> Iterator[MariaDB]:
    """A private MariaDB; ``options`` are further arguments of mariadbd."""
    with running(MariaDB(_directory(), database=database, options=options)) as server:
        yield server


@contextlib.contextmanager
def redis_server(*, options: Sequence[str] = ()) -> Iterator[Redis]:
    """A private Redis; ``options`` are further arguments of redis-server."""
    with running(Redis(_directory(), options=options)) as server:
        yield server


def run_command(command: Sequence[str]) -> int:
    """Run ``command`` against fresh private servers; its exit code, 128+N for a signal."""
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: object) -> None:
        if child is None:
            raise SystemExit(128 + number)
        # The terminal's Ctrl-C reaches the command by itself.
        if number != signal.SIGINT:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    with mariadb() as database, redis_server() as redis:
        child = subprocess.Popen(
            command,
            env={
                **os.environ,
                "DATABASE_URL": database.url,
                "CELERY_BROKER_URL": redis.url_of(0),
                "CACHE_URL": redis.url_of(1),
            },
        )
        code = child.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> int:
    command = list(arguments[1:]) if arguments[:1] == ["--"] else list(arguments)
    if not command:
        print("usage: python -m tests.servers -- COMMAND [ARGUMENT…]", file=sys.stderr)
        return 2
    try:
        return run_command(command)
    except (ServerFailed, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
