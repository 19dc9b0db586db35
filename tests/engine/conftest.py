"""Real processes against a database of their own, beside the one that DATABASE_URL names."""

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


class Nursery:
    """Sends requests, each to a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self.answer()

    def send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return self.tell("serve", method=method, path=path, **more)

    def tell(self, what: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"what": what, **more}) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text(errors="replace")[-5000:]
        return json.loads(line)


@contextlib.contextmanager
def scratch_database(folder: Path) -> Iterator[str]:
    given = urlsplit(os.environ.get("DATABASE_URL", ""))
    if given.scheme not in {"mysql", "mariadb"}:
        yield f"sqlite:///{folder / 'engine.sqlite3'}"
        return
    import MySQLdb

    name = f"engine_{os.getpid()}_{random.SystemRandom().randrange(10**6)}"
    server = MySQLdb.connect(
        host=given.hostname or "127.0.0.1",
        port=given.port or 3306,
        user=unquote(given.username or ""),
        password=unquote(given.password or ""),
        autocommit=True,
    )
    try:
        server.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield given._replace(path=f"/{name}").geturl()
    finally:
        server.ping()
        server.query(f"DROP DATABASE IF EXISTS {name}")
        server.close()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("engine")
    log = folder / "log"
    with scratch_database(folder) as url, log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.nursery"],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": url,
                "DEBUG": "on",
                "MOCK_CALLBACKS": "on",
                "ORDER_PRICE_POLICY": "open",
                "CELERY_BROKER_URL": "memory://",
                "LOG_LEVEL": "ERROR",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield Nursery(process, log)
        finally:
            process.stdin.close()
            process.wait(30)
