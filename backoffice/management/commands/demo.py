"""``manage.py demo``: the whole product on this machine, in one terminal, until Ctrl-C.

Each process of the demo is one row of ``demo_processes``. The supervisor starts them, waits until
the web answers, starts again what dies, and stops all of them by process group at the end.
"""

import contextlib
import errno
import fcntl
import importlib
import importlib.util
import io
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from backoffice.demo.bills import seed_bills
from backoffice.demo.data import finish

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 1.0, 30.0
# A process that lived this long is taken to have been well: its back-off begins anew.
STEADY_SECONDS = 60.0
# So often may the web die before its first answer; then something is wrong for good.
WEB_EARLY_DEATHS_MAX = 3
TICK_SECONDS = 0.2
PORT_MAX = 65_535
LOCK_TEXT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Process:
    """One program of the demo. With ``log`` its output goes to that file, else to the terminal."""

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def is_quiet() -> bool:
    """The terminal shows what a person needs, unless somebody looks for something."""
    return settings.LOG_LEVEL != "DEBUG"


def demo_processes(*, host: str, port: int, folder: Path) -> list[Process]:
    python = sys.executable
    celery = [python, "-m", "celery", "--app", "tcmpay.celery:app"]
    return [
        Process(
            "web",
            [
                *(python, "-m", "gunicorn", "tcmpay.wsgi:application"),
                *("--bind", f"{host}:{port}"),
                # One process with threads: the cache of the demo lives in its memory.
                *("--worker-class", "tcmpay.gunicorn_worker.BoundedThreadWorker"),
                *("--workers", "1", "--threads", "8"),
                *("--graceful-timeout", "5"),
                *("--log-level", "warning"),
                "--no-control-socket",
            ],
            environment={"LOG_LEVEL": "WARNING"} if is_quiet() else {},
        ),
        Process(
            "worker",
            [
                *celery,
                "worker",
                # Threads: nothing is forked, which macOS does not take well, and several tasks can
                # wait for SQLite's one writer at the same time without a process for each.
                *("--pool", "threads", "--concurrency", "4"),
                # There is only this one worker, so nobody to gossip with.
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                *("--loglevel", "info"),
            ],
            log=folder / "logs" / "worker.log",
        ),
        Process(
            "beat",
            [
                *celery,
                "beat",
                *("--schedule", str(folder / "beat-schedule")),
                "--pidfile=",  # the lock of the demo does its work, and no stale file stays behind
                *("--loglevel", "info"),
            ],
            log=folder / "logs" / "beat.log",
        ),
        Process(
            "gateways",
            [
                *(python, "manage.py", "gateway_simulator"),
                *("--port", str(stand_in_port(port)), "--dir", str(stand_in_folder(folder))),
            ],
            log=folder / "logs" / "gateways.log",
        ),
    ]


def stand_in_port(port: int) -> int:
    """The stand-in gateways listen beside the web server."""
    return port + 1 if port < PORT_MAX else port - 1


def stand_in_folder(folder: Path) -> Path:
    return folder / "gateways"


class Supervised:
    """A process that is kept running."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.deaths = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_again_at = 0.0
        self._backoff_seconds = BACKOFF_SECONDS_MIN

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    def start(self, inherited: int) -> None:
        output: IO[bytes] | None = None
        if self.process.log:
            self.process.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.process.log.open("ab")
        try:
            self._popen = subprocess.Popen(
                self.process.command,
                cwd=settings.BASE_DIR,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.process.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,  # a group of its own: Ctrl-C reaches only the supervisor
                pass_fds=[inherited],
            )
        finally:
            if output:
                output.close()
        self._started_at = time.monotonic()

    def check(self, inherited: int) -> str:
        """Notice a death, start again when the time has come; returns what to tell, or ""."""
        now = time.monotonic()
        if self._popen is None:
            if now >= self._start_again_at:
                self.start(inherited)
            return ""
        code = self._popen.poll()
        if code is None:
            return ""
        self._signal_group(signal.SIGKILL)  # what it may have left behind
        self._popen = None
        self.deaths += 1
        if now - self._started_at >= STEADY_SECONDS:
            self._backoff_seconds = BACKOFF_SECONDS_MIN
        wait, self._start_again_at = self._backoff_seconds, now + self._backoff_seconds
        self._backoff_seconds = min(self._backoff_seconds * 2, BACKOFF_SECONDS_MAX)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self.process.log:
            how += f", {self.process.log}"
        return f"{self.name} 已退出，{wait:.0f} 秒后重启 / ended ({how}), again in {wait:.0f} s"

    def terminate(self) -> None:
        if self._popen and self._popen.poll() is None:
            # To the program only: Celery and gunicorn end their own children in good order.
            self._popen.terminate()

    def kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        if self._popen:
            self._popen.wait()

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def _signal_group(self, number: signal.Signals) -> None:
        if self._popen is None:
            return
        # macOS says "not permitted" of a group that is gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)


class Command(BaseCommand):
    help = (
        "Start the product with demo data: migrates, seeds, then runs web, worker and beat "
        "until Ctrl-C. Exit code 0 when stopped, 1 when it can't start."
    )
    requires_system_checks = ()  # the processes do it, and `check` is there for it

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", default="3000", help="port of the web server (3000)")
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("演示仅用于开发环境 / The demo is for DEBUG=on only")
        host, port = options["host"], parse_port(options["port"])
        folder = Path(settings.BASE_DIR) / ".demo"
        folder.mkdir(exist_ok=True)
        self._stopping = False
        if is_quiet():
            logging.disable(logging.INFO)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        with (folder / "lock").open("a+") as lock:
            take_lock(lock)
            check_port(host, port)
            check_port("127.0.0.1", stand_in_port(port))
            for name in discard_damaged_messages(folder / "broker"):
                self._say(f"队列文件已损坏，已丢弃 / A damaged file of the queue is gone: {name}")
            self._say("准备数据库 / Preparing the database…")
            call_command("migrate", verbosity=0, interactive=False)
            call_command("seed_demo", unfinished=True, stdout=self.stdout)
            connections.close_all()
            if not self._stopping:
                self._run(demo_processes(host=host, port=port, folder=folder), host, port, lock)

    def _run(self, processes: list[Process], host: str, port: int, lock: IO[str]) -> None:
        for process in processes:
            if process.log:
                process.log.unlink(missing_ok=True)  # a log tells of one run
        children = [Supervised(process) for process in processes]
        web = children[0]
        try:
            for child in children:
                child.start(lock.fileno())
            note_pids(lock, children)
            self._wait_for_web(children, web, host, port, lock)
            if not self._stopping:
                self._use_stand_ins(stand_in_folder(Path(settings.BASE_DIR) / ".demo"), port)
                self._say(guide(host, port))
            while not self._stopping:
                self._check(children, lock)
                time.sleep(TICK_SECONDS)
        finally:
            self._stop(children)

    def _wait_for_web(
        self, children: list[Supervised], web: Supervised, host: str, port: int, lock: IO[str]
    ) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._stopping and not is_alive(host, port):
            self._check(children, lock)
            if web.deaths >= WEB_EARLY_DEATHS_MAX or time.monotonic() > deadline:
                raise CommandError(
                    "网站未能启动，原因见上 / The web server did not start: see its messages above"
                )
            time.sleep(TICK_SECONDS)

    def _use_stand_ins(self, folder: Path, port: int) -> None:
        """Point both gateways' configuration at the stand-ins, with the keys they just made."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not stand_ins_are_ready(folder, port) and not self._stopping:
            if time.monotonic() > deadline:
                raise CommandError(
                    "模拟网关未能启动，见 .demo/logs/gateways.log / "
                    "The stand-in gateways did not start: see that log"
                )
            time.sleep(TICK_SECONDS)
        if self._stopping:
            return
        call_command(
            "load_gateway_config",
            str(folder / "config.json"),
            notify_base=f"http://127.0.0.1:{port}",
            stdout=io.StringIO(),
        )
        if seed_bills(f"http://127.0.0.1:{stand_in_port(port)}"):
            self._say("✓ bills of the last days at the stand-in gateways")
            self._say(f"✓ {finish()}")
        connections.close_all()

    def _check(self, children: list[Supervised], lock: IO[str]) -> None:
        before = [child.pid for child in children]
        for child in children:
            if message := child.check(lock.fileno()):
                self._say(message)
        if [child.pid for child in children] != before:
            note_pids(lock, children)

    def _stop(self, children: list[Supervised]) -> None:
        self._say("正在停止 / Stopping…")
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while any(child.is_running() for child in children) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in children:
            if child.is_running():
                self._say(f"{child.name} 未按时停止，强制结束 / did not stop in time: killed")
            child.kill()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= PORT_MAX):
        raise CommandError(f"端口无效 / Not a port: {text} (1-{PORT_MAX})")
    return int(text)


def discard_damaged_messages(folder: Path) -> list[str]:
    """Throw away what no worker can read, which would end each one that tries; their names.

    Nothing is lost: a message only says that rows wait, and sweeps find them without it.
    """
    discarded = []
    for file in (*folder.glob("messages/*.msg"), *folder.glob("control/*.exchange")):
        try:
            json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
            discarded.append(file.name)
    return discarded


def take_lock(lock: IO[str]) -> None:
    """One demo per folder: two would share a database and run every scheduled job twice.

    The children inherit the lock, so it also tells of processes that outlived a killed demo.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pids = " ".join(
            pid
            for pid in lock.read(LOCK_TEXT_MAX).split()
            if pid.isdecimal() and len(pid) < 10 and process_exists(int(pid))
        )
        raise CommandError(
            f"本目录已有演示在运行 / A demo already runs in this folder: kill {pids}"
        ) from None


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def note_pids(lock: IO[str], children: Sequence[Supervised]) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(" ".join(str(pid) for pid in [os.getpid(), *(c.pid for c in children)] if pid))
    lock.flush()


def check_port(host: str, port: int) -> None:
    another = port + 1 if port < PORT_MAX else 3000
    taken = CommandError(
        f"端口 {port} 已被占用 / Port {port} is taken, choose another: make demo PORT={another}"
    )
    # Asked in both ways: on macOS a socket on one address may be bound beside one on all of them.
    try:
        with socket.create_connection((local_address(host), port), timeout=1):
            raise taken
    except OSError:
        pass
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken from None
        raise CommandError(
            f"无法监听 / Cannot listen on {host}:{port}: {error.strerror or error}"
        ) from None


def local_address(host: str) -> str:
    """Where to reach from this machine what listens on ``host``."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host


def stand_ins_are_ready(folder: Path, port: int) -> bool:
    """They listen before their keys are made, and an earlier run's file may name another port."""
    stand_in = stand_in_port(port)
    try:
        config = (folder / "config.json").read_text(encoding="utf-8")
    except OSError:
        return False
    return f":{stand_in}" in config and is_listening(stand_in)


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def is_alive(host: str, port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{local_address(host)}:{port}/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def guide(host: str, port: int) -> str:
    """What to open and try. The text belongs to the back office; the address is enough without."""
    if importlib.util.find_spec("backoffice.demo.guide"):
        text: str = importlib.import_module("backoffice.demo.guide").demo_guide(port)
        return text
    return f"http://{local_address(host)}:{port}/  (Ctrl-C 停止 / stops)"
