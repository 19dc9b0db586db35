"""A web process that is asked over HTTP: gunicorn with one worker and threads, as in production."""

import atexit
import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.servers import free_port

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 60.0
OURS = "tcmpay.gunicorn_worker.BoundedThreadWorker"


class Web:
    """``application`` served on a port of its own until this process ends."""

    def __init__(self, application: str, *, worker_class: str = "gthread") -> None:
        port = free_port()
        self._server = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}",
                "--worker-class", worker_class, "--workers", "1", "--threads", "8",
                "--no-control-socket", "--log-level", "error",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(self._stop)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                self._connection.connect()
                return
            time.sleep(0.1)
        raise RuntimeError("gunicorn did not start")

    def _stop(self) -> None:
        self._server.terminate()
        self._server.wait(20)

    def ask(
        self,
        method: str,
        address: str,
        token: str,
        body: bytes = b"",
        more: Mapping[str, str] | None = None,
    ) -> None:
        headers = dict(more or {})
        if body:
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._connection.request(method, address, body or None, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {address}: {answer.status} {content[:200]!r}")

    @property
    def pid(self) -> int:
        return self._server.pid

    def cpu(self) -> float:
        """Seconds that the server and its worker have used."""
        return sum(_cpu_of(pid) for pid in (self._server.pid, *children_of(self._server.pid)))


def children_of(pid: int) -> list[int]:
    """Of a process, and theirs."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [one for child in map(int, text.split()) for one in (child, *children_of(child))]


def pss_mb(pid: int) -> float:
    """Memory of a process and its children; what several share is shared out."""
    found = 0
    for one in (pid, *children_of(pid)):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        found += int(rollup.partition("\nPss:")[2].split()[0])
    return round(found / 1024, 1)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def peak_mb() -> int:
    """The most memory that this process had since that was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
