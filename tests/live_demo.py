"""A demo of its own, as ``make demo`` starts it: in a copy of the product, on free ports.

Standard library only, so that it works before anything of the project can be imported.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import ROOT, is_listening

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class LiveDemo:
    """``environment`` is what its commands need: settings of the shell would go before its own."""

    folder: Path
    port: int
    environment: dict[str, str]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateways(self) -> str:
        """The stand-in gateways."""
        return f"http://127.0.0.1:{self.port + 1}"

    def command(self, *words: str) -> str:
        """What ``manage.py`` prints. Raises CalledProcessError."""
        return subprocess.run(
            [str(self.folder / ".venv/bin/python"), "manage.py", *words],
            cwd=self.folder,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


@contextmanager
def live_demo() -> Iterator[LiveDemo]:
    environment = {"LOG_LEVEL": "ERROR", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    port = free_port()
    with tempfile.TemporaryDirectory() as made:
        folder = copy_of_the_product(Path(made))
        python = str(folder / ".venv/bin/python")
        subprocess.run([python, "scripts/demo_env.py"], cwd=folder, env=environment, check=True)
        demo = subprocess.Popen(
            [python, "manage.py", "demo", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until_it_serves(demo, port)
            yield LiveDemo(folder, port, environment)
        finally:
            demo.terminate()
            demo.wait(STOP_SECONDS_MAX)


def free_port() -> int:
    """The first of two neighbours that nobody listens at: any, for others look for one too."""
    return next(
        port
        for port in random.sample(range(21_000, 30_000, 2), 1_000)
        if not (is_listening(port) or is_listening(port + 1))
    )


def copy_of_the_product(folder: Path) -> Path:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def wait_until_it_serves(demo: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and demo.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    sys.exit("the demo did not start")
