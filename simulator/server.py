"""One process of gunicorn with threads serves the application on 127.0.0.1."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

from gunicorn.app.base import BaseApplication

from simulator.app import Application
from simulator.machine import Machine
from simulator.notify import Notifier
from simulator.options import Options

HOST = "127.0.0.1"
BIND_TRIES = 6


class Server(BaseApplication):
    def __init__(self, options: Options, listener: socket.socket) -> None:
        self.options = options
        self.base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.listener = listener
        super().__init__()

    def load_config(self) -> None:
        """Its one process holds faults and settings; threads wait in slow answers."""
        settings = {
            "bind": f"fd://{self.listener.detach()}",
            "worker_class": "gthread",
            "threads": 256,
            "worker_connections": 512,
            "keepalive": 65,
            "timeout": 0,
            "graceful_timeout": 1,
            "limit_request_line": 0,  # Alipay's orders are addresses
            "control_socket_disable": True,
            "loglevel": "error",
            "when_ready": self.say_ready,
            "worker_exit": self.stop,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def say_ready(self, _arbiter: Any) -> None:
        directory = self.options.directory
        sys.stdout.write(f"gateway simulator: {self.base_url}/  keys and books: {directory}\n")
        sys.stdout.flush()

    def load(self) -> Application:
        """In the process that serves: threads and the database are not shared with another."""
        self.machine = Machine(self.options, self.base_url)
        self.notifier = Notifier(self.machine)
        self.notifier.start()
        return Application(self.machine)

    def stop(self, _arbiter: Any, _worker: Any) -> None:
        self.machine.stopping.set()
        self.notifier.stop()
        self.machine.store.close()


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for left in reversed(range(BIND_TRIES)):
        try:
            listener.bind((HOST, options.port))
            break
        except OSError as error:
            if not left:
                message = f"gateway simulator: can't serve on port {options.port}: {error}"
                raise SystemExit(message) from error
            time.sleep(0.2)  # who was killed a moment ago may not be gone yet
    Server(options, listener).run()
