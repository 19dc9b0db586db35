"""A trial of the gateway side: real processes, stand-in gateways that fail at random, both books.

The supervisor makes a scratch database, starts the stand-ins, a web server for their callbacks
and the parts of gateway_trial_parts: buyers, staff and a sweeper. Only the sweeper ends the
trial, once nothing is unfinished any more, with the comparison of both books.
"""

import contextlib
import http.client
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings

# Below the range that the system gives to outgoing connections.
PORT_MIN, PORT_MAX = 20_000, 32_000
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
CALL_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
FINISH_FILE, RESULT_FILE, PLAN_FILE = "finish", "result.json", "plan.json"
# What a developer's environment says about the rules must not decide the trial.
RULES = {
    "DEBUG": "on",
    "MOCK_CALLBACKS": "off",
    "ORDER_PRICE_POLICY": "open",
    "ORDER_EXPIRE_MINUTES": "120",
    "LATE_PAYMENT_POLICY": "refund",
    "REFUND_SECOND_APPROVAL_OVER": "",
    "WECHATPAY_BASE_URL": "",
    "ALIPAY_GATEWAY_URL": "",
    "CACHE_URL": "locmemcache://trial",
    # Bells ring nowhere: the sweeps have to find all work in the database.
    "CELERY_BROKER_URL": "memory://",
    "LOG_LEVEL": "ERROR",
}


class TrialFailed(RuntimeError):
    """The trial itself could not be carried out; the message ends with a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried. ``speed`` is how many seconds of the trial's clock go by in a real one."""

    payments: int
    refunds: int
    fault_percent: float
    seed: int
    port: int = 0
    speed: float = 60.0
    buyers: int = 2
    buyer_threads: int = 4
    settle_seconds_max: float = 1_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every part of a running trial knows."""

    plan: Plan
    folder: Path
    stand_in_port: int
    web_port: int
    started_at: float

    def write(self) -> None:
        facts = asdict(self) | {"folder": str(self.folder)}
        (self.folder / PLAN_FILE).write_text(json.dumps(facts))

    @staticmethod
    def read(folder: Path) -> "Stage":
        facts = json.loads((folder / PLAN_FILE).read_text())
        return Stage(**{**facts, "plan": Plan(**facts["plan"]), "folder": Path(facts["folder"])})

    @property
    def is_finishing(self) -> bool:
        return (self.folder / FINISH_FILE).exists()

    @property
    def is_over(self) -> bool:
        return (self.folder / RESULT_FILE).exists()


class ControlRefused(Exception):
    """The stand-in can't do what was asked: the trade is closed, paid or unknown there."""


class StandInControl:
    """The steering of running stand-ins (CONTRACT section 8)."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, name: str, **body: Any) -> dict[str, Any]:
        """POST. Raises ControlRefused with the stand-in's words."""
        return self._call("POST", name, json.dumps(body).encode())

    def read(self, name: str) -> dict[str, Any]:
        return self._call("GET", name, b"")

    def _call(self, verb: str, name: str, body: bytes) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_SECONDS_MAX)
        try:
            connection.request(verb, f"/_control/{name}", body or None)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlRefused(f"{name}: {answer.get('error')}")
        return answer


class Program:
    """One process of ours with its log, started in a group of its own."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = folder / f"{name}.log"
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=settings.BASE_DIR,
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
                raise TrialFailed(f"{self.name} did not start:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def wait(self, seconds_max: float) -> None:
        """Wait for its end. Raises TrialFailed when it failed or takes too long."""
        process = self._running()
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise TrialFailed(f"{self.name} takes too long:\n{self.log_tail()}") from None
        if code:
            raise TrialFailed(f"{self.name} ended with {code}:\n{self.log_tail()}")

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
            raise TrialFailed(f"{self.name} is not running")
        return self._process


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def free_port() -> int:
    while True:
        port = random.SystemRandom().randint(PORT_MIN, PORT_MAX)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def stand_in_program(
    folder: Path, *, port: int, logs: Path | None = None, options: Sequence[str] = ()
) -> Program:
    """The stand-in gateways as a process; keys, books and config.json lie in ``folder``."""
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--dir", str(folder)]
    return Program("stand-in", [*command, *options], folder=logs or folder, environment={})


def web_program(folder: Path, *, port: int, environment: Mapping[str, str]) -> Program:
    """The product's web server as the demo runs it: one process, eight threads."""
    command = [
        *(sys.executable, "-m", "gunicorn", "tcmpay.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", "8"),
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


@contextlib.contextmanager
def scratch_database(folder: Path) -> Iterator[str]:
    """The address of an empty database beside the configured one, dropped at the end."""
    given = settings.DATABASES["default"]
    if not str(given["ENGINE"]).endswith("mysql"):
        yield f"sqlite:///{folder / 'trial.sqlite3'}"
        return
    import MySQLdb

    host, port = given.get("HOST") or "127.0.0.1", int(given.get("PORT") or 3306)
    user, password = str(given.get("USER") or ""), str(given.get("PASSWORD") or "")
    name = f"gateway_trial_{os.getpid()}_{secrets.token_hex(3)}"
    server = MySQLdb.connect(host=host, port=port, user=user, password=password, autocommit=True)
    try:
        server.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{name}"
    finally:
        server.ping(True)
        server.query(f"DROP DATABASE IF EXISTS {name}")
        server.close()


def trial_run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out the trial; the sweeper's result. Raises TrialFailed."""
    with tempfile.TemporaryDirectory(prefix="tcm-trial-") as name:
        folder = Path(name)
        with scratch_database(folder) as url:
            return _on_database(plan, folder, RULES | {"DATABASE_URL": url}, say)


def _on_database(
    plan: Plan, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Any]:
    stage = Stage(
        plan=plan,
        folder=folder,
        stand_in_port=plan.port or free_port(),
        web_port=free_port(),
        started_at=time.time(),
    )
    factor = str(1 / plan.speed)
    stand_in = stand_in_program(
        folder / "gateways",
        logs=folder,
        port=stage.stand_in_port,
        options=[
            *("--notify-factor", factor, "--spacing-factor", factor),
            *("--refund-delay", str(30 / plan.speed), "--seed", str(plan.seed)),
        ],
    )
    web = web_program(folder, port=stage.web_port, environment=environment)
    with contextlib.ExitStack() as closing:
        manage_now(folder, environment, "migrate", "-v0")
        closing.enter_context(running(stand_in, stage.stand_in_port))
        base = f"http://127.0.0.1:{stage.web_port}"
        config = str(folder / "gateways" / "config.json")
        manage_now(folder, environment, "load_gateway_config", config, "--notify-base", base)
        closing.enter_context(running(web, stage.web_port))
        _begin_faults(stage, base)
        stage.write()
        say(f"{environment['DATABASE_URL'].partition(':')[0]}, seed {plan.seed}: {plan}")
        return _play(stage, environment, closing, say)


def manage_now(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    program = manage(folder, environment, *arguments)
    program.start()
    program.wait(START_SECONDS_MAX)


def _begin_faults(stage: Stage, base: str) -> None:
    """Every kind that can happen by chance, to answers and to notifications alike."""
    control, percent = StandInControl(stage.stand_in_port), stage.plan.fault_percent
    kinds = set(control.read("faults")["percent"]) - {"not_found"}
    control.ask(
        "faults",
        seed=stage.plan.seed,
        percent=dict.fromkeys(kinds, percent),
        slow_seconds=0.3,
        notice_late_seconds=min(3.0, 120 / stage.plan.speed),
    )
    control.ask("settings", console_refund_notify_url=f"{base}/payment/callback/wechat")


def _play(
    stage: Stage,
    environment: Mapping[str, str],
    closing: contextlib.ExitStack,
    say: Callable[[str], None],
) -> dict[str, Any]:
    def part(name: str, *more: str) -> Program:
        program = manage(
            stage.folder, environment, "gateway_trial", "--part", name, str(stage.folder), *more
        )
        closing.callback(program.stop)
        program.start()
        return program

    plan = stage.plan
    sweeper, staff = part("sweeper"), part("staff")
    buyers = [part("buyers", "--number", str(number)) for number in range(plan.buyers)]
    for program in buyers:
        program.wait(plan.settle_seconds_max * 2)
    say(f"{time.time() - stage.started_at:.0f} s: all buyers are done")
    _wait_for(stage.folder / "refunds-asked", [sweeper, staff], plan.settle_seconds_max)
    say(f"{time.time() - stage.started_at:.0f} s: all refunds are asked for")
    (stage.folder / FINISH_FILE).touch()
    sweeper.wait(plan.settle_seconds_max + START_SECONDS_MAX)
    staff.wait(START_SECONDS_MAX)
    result: dict[str, Any] = json.loads((stage.folder / RESULT_FILE).read_text())
    result["seconds"] = round(time.time() - stage.started_at)
    return result


def _wait_for(file: Path, programs: Sequence[Program], seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while not file.exists():
        for program in programs:
            if program.code is not None:
                raise TrialFailed(f"{program.name} ended early:\n{program.log_tail()}")
        if time.monotonic() > deadline:
            raise TrialFailed(f"no {file.name} after {seconds_max:.0f} s")
        time.sleep(POLL_SECONDS)
