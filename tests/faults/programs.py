"""Processes of the product, each with its log, in a group of its own, ended by its id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.05


class StageBroken(RuntimeError):
    """The harness itself could not do its work; the message ends with a log."""


class Program:
    """One program with its children. ``ready_port``: what it listens on once it serves."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        ready_port: int | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = folder / f"{name}.log"
        self.environment = dict(environment)
        self._ready_port = ready_port
        self.is_altered = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StageBroken(f"{self.name} is not running")
        return self._process.pid

    def start(self, *, is_waited_for: bool = True, **more: str) -> None:
        """Start it, with ``more`` in its environment this one time."""
        self.is_altered = bool(more)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self._ready_port and is_waited_for:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_listening(self._ready_port or 0):
            if not self.is_running() or time.monotonic() > deadline:
                raise StageBroken(f"{self.name} did not start:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds_max: float) -> int:
        if self._process is None:
            raise StageBroken(f"{self.name} is not running")
        try:
            return self._process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise StageBroken(f"{self.name} takes too long:\n{self.log_tail()}") from None

    def stop(self) -> None:
        """Ask it to end in good order; the group is killed when it does not."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS_MAX)
        self.kill()

    def kill(self) -> None:
        """kill -9 of the program and its children."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def kill_one_child(self) -> bool:
        """kill -9 of one child only (a gunicorn worker, a process of Celery's pool)."""
        children = child_pids(self.pid)
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(children[0], signal.SIGKILL)
        return bool(children)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-30:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def child_pids(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
