"""The whole product on this machine: nginx, gunicorn, a worker, beat, MariaDB, Redis, stand-ins."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.web import children_of
from tests.faults.control import get_status
from tests.faults.programs import Program
from tests.faults.stage import RULES, Stage
from tests.servers import find_program, free_port, mariadb, redis_server

STAFF, PASSWORD = "load", "Load-only-Passw0rd"
BUFFER_POOL = "--innodb-buffer-pool-size=1G"
ACCESS_LOG = "access.log"
# Method, address, status, seconds, milliseconds of CPU (served.py).
LOG_FORMAT = "$request_method $uri $status $request_time $upstream_http_x_load_cpu_milliseconds"
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 2048; }}
http {{
    log_format load '{log_format}';
    access_log {folder}/{access_log} load buffer=64k flush=1s;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        client_max_body_size 2m;
        location / {{
            # No upstream keepalive: gunicorn closes an idle connection after two seconds, and a
            # POST that comes at that moment would be a 502.
            proxy_pass http://127.0.0.1:{web_port};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout 60s;
        }}
    }}
}}
"""


class Receiver:
    """Where the platform would take events: answers 204 and counts."""

    def __init__(self) -> None:
        self.taken = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                receiver.taken += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/events"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class LoadStage(Stage):
    """As ``tests.faults`` starts it, but with the product's own waits, and nginx in front."""

    def __init__(self, folder: Path, database: object, redis: object, processes: int) -> None:
        super().__init__(folder, database, redis, processes=processes)  # type: ignore[arg-type]
        self.proxy_port = free_port()
        self.environment = {
            **RULES,
            "ORDER_PRICE_POLICY": "priced",
            "TRUSTED_PROXY_HOPS": "1",
            "DATABASE_URL": self.database.url,
            "CELERY_BROKER_URL": redis.url_of(0),  # type: ignore[attr-defined]
            "CACHE_URL": redis.url_of(1),  # type: ignore[attr-defined]
            "EXPORT_DIR": str(folder / "exports"),
            "LOG_LEVEL": "INFO",
        }
        self.web = self._program(
            "web", "gunicorn", "benchmarks.load.served:application",
            "--bind", f"127.0.0.1:{self.web_port}", "--workers", str(processes), "--threads", "8",
            "--worker-class", "tcmpay.gunicorn_worker.BoundedThreadWorker",
            "--graceful-timeout", "30", "--no-control-socket", "--preload", port=self.web_port,
        )  # fmt: skip
        celery = ("celery", "--app", "benchmarks.load.served:app")
        self.worker = self._program(
            "worker", *celery, "worker", "--loglevel", "info", "--concurrency", str(processes)
        )
        self.beat = self._program(
            "beat", *celery, "beat", "--schedule", str(folder / "beat-schedule"), "--pidfile=",
            "--loglevel", "info",
        )  # fmt: skip
        self.nginx = self._nginx()
        self.programs = [self.stand_in, self.web, self.worker, self.beat, self.nginx]

    def _program(self, name: str, *words: str, port: int | None = None) -> Program:
        return Program(
            name, [sys.executable, "-m", *words], folder=self.folder,
            environment=self.environment, ready_port=port,
        )  # fmt: skip

    def _nginx(self) -> Program:
        file = self.folder / "nginx.conf"
        file.write_text(
            NGINX.format(
                folder=self.folder, port=self.proxy_port, web_port=self.web_port,
                log_format=LOG_FORMAT, access_log=ACCESS_LOG,
            )
        )  # fmt: skip
        command = [find_program("nginx"), "-e", str(self.folder / "nginx-error.log")]
        return Program(
            "nginx", [*command, "-p", str(self.folder), "-c", str(file)], folder=self.folder,
            environment={}, ready_port=self.proxy_port,
        )  # fmt: skip

    def start(self) -> None:
        self.manage("migrate", "-v0")
        self.stand_in.start()
        self.nginx.start()
        self.configure_gateways()
        self.manage(
            "createsuperuser", "--noinput", "--username", STAFF, "--email", "load@clinic.test",
            environment={"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
        )  # fmt: skip
        for program in (self.web, self.worker, self.beat):
            program.start(is_waited_for=False)
        self.web.wait_until_ready()
        self.wait_for(self.is_served, "the product serves", seconds=300)

    def configure_gateways(self) -> None:
        """The stand-ins call back through nginx, as the real ones do."""
        self.wait_for(
            lambda: get_status(self.stand_in_port, "/_control/settings") == 200,
            "the stand-in answers",
            seconds=300,
        )
        base = f"http://127.0.0.1:{self.proxy_port}"
        file = self.stand_in_folder / "config.json"
        self.manage("load_gateway_config", str(file), "--notify-base", base)

    def stop(self) -> None:
        self.nginx.stop()
        super().stop()

    def processes_seen(self) -> dict[str, int]:
        """Every process by a name that stays the same, and its id."""
        found = {"mariadb": self.database.pid, "redis": self.redis.pid}  # type: ignore[attr-defined]
        for program in self.programs:
            found[program.name] = program.pid
            for number, child in enumerate(children_of(program.pid), 1):
                found[f"{program.name} {number}"] = child
        return found


@contextlib.contextmanager
def load_stage(folder: Path, processes: int) -> Iterator[LoadStage]:
    options = [BUFFER_POOL]
    with (
        mariadb(database="load", options=options) as database,
        redis_server() as redis,
    ):
        stage = LoadStage(folder, database, redis, processes)
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()


def pss_mb(pid: int) -> float:
    """Memory of one process; what several share is shared out (PSS)."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return round(int(rollup.read().partition("\nPss:")[2].split()[0]) / 1024, 1)


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
