"""The product on seven hosts, and the balancer before its webs."""

import contextlib
import itertools
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.control import StandInControl
from tests.faults.hooks import ARMED_VARIABLE, HASTE_VARIABLE
from tests.faults.programs import Program
from tests.faults.proxy import Proxy
from tests.faults.stage import RULES, Stage
from tests.hosts.net import HERE, Host
from tests.servers import Redis, free_port

WEB_PORT, REDIS_PORT = 8000, 6379
REACH_SECONDS = 1.0


class Balancer(Proxy):
    """Before the webs, as nginx is: the next that takes the connection gets it."""

    def __init__(self, webs: list[tuple[str, int]]) -> None:
        self._turns = itertools.count()
        self._webs = webs
        super().__init__(webs[0], name="balancer")

    def connect(self) -> socket.socket:
        first = next(self._turns)
        for number in range(len(self._webs)):
            address = self._webs[(first + number) % len(self._webs)]
            with contextlib.suppress(OSError):
                return socket.create_connection(address, timeout=REACH_SECONDS)
        raise OSError("no web takes connections")


class HostedRedis(Redis):
    def __init__(self, host: Host, directory: Path) -> None:
        super().__init__(directory)
        self.host = host
        self.port = REDIS_PORT

    def command(self) -> list[str]:
        words = super().command()
        words[words.index("127.0.0.1")] = "0.0.0.0"
        return [*self.host.prefix, *words, "--protected-mode", "no"]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host.address, self.port), timeout=2) as connection:
                return self.greets(connection)
        except OSError:
            return False


class HostStage(Stage):
    """As the load and the comparison of ``tests.faults`` know a stage."""

    def __init__(self, folder: Path, database: Any, hosts: dict[str, Host]) -> None:
        self.folder = folder
        self.database = database
        self.hosts = hosts
        self.armed = folder / "armed"
        self.armed.mkdir()
        self.stand_in_folder = folder / "gateways"
        self.stand_in_port = free_port()
        self.control = StandInControl(self.stand_in_port)
        self.gateway_line = Proxy(self.stand_in_port, name="gateway", host=HERE)
        self.balancer = Balancer([(hosts[name].address, WEB_PORT) for name in ("web1", "web2")])
        self.web_port = self.balancer.port
        redis_folder = folder / "redis"
        redis_folder.mkdir()
        self.redis = HostedRedis(hosts["redis"], redis_folder)
        redis_url = f"redis://{hosts['redis'].address}:{REDIS_PORT}"
        self.exports = folder / "exports"
        self.environment = RULES | {
            "DATABASE_URL": database.url_at(HERE),
            "CELERY_BROKER_URL": f"{redis_url}/0",
            "CACHE_URL": f"{redis_url}/1",
            "EXPORT_DIR": str(self.exports),
            ARMED_VARIABLE: str(self.armed),
            HASTE_VARIABLE: "yes",
            "LOG_LEVEL": "INFO",
        }
        if hasattr(database, "replica_url"):
            self.environment["DATABASE_REPLICA_URL"] = database.replica_url()
        self.stand_in = self._stand_in()
        self.on: dict[str, list[Program]] = {
            "web1": [self._line_out("web1"), self._web("web1")],
            "web2": [self._line_out("web2"), self._web("web2")],
            "job1": [self._line_out("job1"), *self._jobs("job1")],
            "job2": [self._line_out("job2"), *self._jobs("job2")],
        }
        self.programs = [program for programs in self.on.values() for program in programs]
        self.away: set[str] = set()
        self._runs = 0

    # --- what runs on a host ----------------------------------------------------------------------

    def _line_out(self, name: str) -> Program:
        """The gateways are at this host's own loopback, for nothing else may be a stand-in."""
        listen = f"TCP-LISTEN:{self.stand_in_port},bind=127.0.0.1,fork,reuseaddr"
        return self._on(name, "out", ["socat", listen, f"TCP:{HERE}:{self.gateway_line.port}"])

    def _web(self, name: str) -> Program:
        return self._on(name, "web", [
            *(sys.executable, "-m", "gunicorn", "tests.faults.served:application"),
            *("--bind", f"0.0.0.0:{WEB_PORT}", "--workers", "1", "--threads", "8"),
            *("--worker-class", "tcmpay.gunicorn_worker.BoundedThreadWorker"),
            *("--graceful-timeout", "3", "--log-level", "warning", "--no-control-socket"),
        ])  # fmt: skip

    def _jobs(self, name: str) -> list[Program]:
        celery = [sys.executable, "-m", "celery", "--app", "tests.faults.celery_app:app"]
        schedule = str(self.folder / f"{name}-schedule")
        return [
            self._on(name, "worker", [*celery, "worker", "--concurrency", "1",
                                      "--loglevel", "info"]),
            self._on(name, "beat", [*celery, "beat", "--schedule", schedule, "--pidfile=",
                                    "--loglevel", "info"]),
        ]  # fmt: skip

    def _on(self, host: str, name: str, command: list[str]) -> Program:
        return Program(
            f"{host}-{name}", [*self.hosts[host].prefix, *command], folder=self.folder,
            environment=self.environment,
        )  # fmt: skip

    # --- starting and stopping --------------------------------------------------------------------

    def start(self) -> None:
        self.redis.initialise()
        self.redis.start()
        self.database.start()
        self.manage("migrate", "-v0", is_direct=True)
        self.stand_in.start()
        self._configure()
        for program in self.programs:
            program.start(is_waited_for=False)
        self.wait_until_served()

    def _configure(self) -> None:
        self.gateway_line.port, real = self.stand_in_port, self.gateway_line.port
        try:
            super().configure_gateways()
        finally:
            self.gateway_line.port = real

    def stop(self) -> None:
        for program in (*self.programs, self.stand_in):
            program.kill()
        self.redis.stop()
        self.database.stop()
        for line in (self.balancer, self.gateway_line):
            line.close()

    def wait_until_served(self) -> None:
        """Every web that should, answers."""
        for name in ("web1", "web2"):
            if name not in self.away:
                self.wait_for(
                    lambda name=name: _is_ready(self.hosts[name].address),
                    f"{name} serves",
                    seconds=300,
                )

    def supervise(self) -> None:
        """As systemd does on each host that lives."""
        for name, programs in self.on.items():
            if name in self.away:
                continue
            for program in programs:
                if not program.is_running():
                    program.kill()
                    program.start(is_waited_for=False)

    def manage(self, *arguments: str, **options: Any) -> str:
        """From here, past the hosts."""
        return super().manage(*arguments, **{"is_direct": True, **options})

    def try_manage(self, *arguments: str, **options: Any) -> tuple[int, str]:
        environment = {
            "CELERY_BROKER_URL": "memory://",
            "DATABASE_REPLICA_URL": "",
            "CACHE_URL": "locmemcache://here",
            **(options.pop("environment", None) or {}),
        }
        return super().try_manage(
            *arguments, environment=environment, **{**options, "is_direct": True}
        )


def _is_ready(address: str) -> bool:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(address, WEB_PORT, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def played(stage: HostStage) -> Iterator[HostStage]:
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()
