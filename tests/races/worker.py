"""A process that acts when it is told to. ``python -m tests.races.worker ADDRESS GO_FD NUMBER``

The first process sets Django up and migrates, then forks NUMBER workers, each with a connection
of its own to the database. Workers take orders from the harness and wait for each other at the
gate: a pipe from which everybody reads one byte, and into which the harness writes all at once.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from typing import Any
from unittest.mock import patch

Trace = list[tuple[float, str]]

# Chance of a pause before a statement or a gateway call, and the longest pause.
TEMPERS = ((0.0, 0.0), (0.15, 0.001), (0.3, 0.003), (0.5, 0.004), (0.08, 0.02))
START_DELAY_MAX_SECONDS = 0.004
STATEMENT_SHOWN_MAX = 150


class Pauses:
    """Seeded delays that lead two processes through ever new interleavings, and what was done.

    They disturb, they never synchronise: no test relies on any of them.
    """

    def __init__(self) -> None:
        self.trace: Trace = []
        self.begin(None)

    def begin(self, seed: str | None) -> None:
        self._random = random.Random(seed)
        self._chance, self._longest = (0.0, 0.0) if seed is None else self._random.choice(TEMPERS)
        self.trace = []

    def at_start(self) -> None:
        time.sleep(self._random.uniform(0, START_DELAY_MAX_SECONDS))

    def pause(self) -> None:
        if self._random.random() < self._chance:
            time.sleep(self._random.uniform(0, self._longest))

    def before_gateway(self) -> None:
        self.trace.append((time.monotonic(), "gateway"))
        self.pause()

    def around_statement(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        self.pause()
        self.trace.append((time.monotonic(), _shown(sql, params)))
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            self.trace.append((time.monotonic(), f"  ! {error}"))
            raise


def _shown(sql: str, params: Any) -> str:
    text = " ".join(sql.split())
    if text.startswith("SELECT") and " FROM " in text:
        text = "SELECT … " + text[text.index("FROM ") :]
    return f"{text[:STATEMENT_SHOWN_MAX]} {str(params or '')[:STATEMENT_SHOWN_MAX]}"


def serve(orders: Connection, gate: int, pauses: Pauses) -> None:
    """Answer orders until the harness hangs up."""
    while True:
        try:
            name, arguments = orders.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, ORDERS[name](orders, gate, pauses, *arguments))
        except Exception:
            answer = (False, traceback.format_exc())
        orders.send(answer)


# --- orders; what they import is there only once Django is set up --------------------------------


def _build(_orders: Connection, _gate: int, _pauses: Pauses, name: str) -> Any:
    from tests.races.worlds import build

    return build(name)


def _act(
    _orders: Connection, _gate: int, pauses: Pauses, things: Any, move: tuple[Any, ...]
) -> str:
    from tests.races.actions import perform

    pauses.begin(None)
    return perform(things, *move)


def _race(
    orders: Connection,
    gate: int,
    pauses: Pauses,
    things: Any,
    move: tuple[Any, ...],
    seed: str,
) -> tuple[str, Trace]:
    from django.db import connection

    from tests.races.actions import perform

    connection.ensure_connection()
    pauses.begin(seed)
    orders.send((True, "ready"))
    os.read(gate, 1)
    pauses.at_start()
    answer = perform(things, *move)
    trace = pauses.trace
    pauses.begin(None)
    return answer, trace


def _judge(_orders: Connection, _gate: int, _pauses: Pauses, things: Any) -> tuple[Any, list[str]]:
    from tests.races import verdict

    verdict.settle_down(things)
    return verdict.summary(things), verdict.violations(things)


def _clear(_orders: Connection, _gate: int, _pauses: Pauses) -> None:
    """Forget what earlier scenarios left, so that sweeps find only the running one's."""
    from django.apps import apps
    from django.db import connection

    kept = {"payment_configs", "price_configs"}
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for room in ("payments", "refunds", "balances", "audit", "guard", "config"):
            for model in apps.get_app_config(room).get_models():
                if model._meta.db_table not in kept:
                    cursor.execute(f"DELETE FROM {model._meta.db_table}")


ORDERS: dict[str, Callable[..., Any]] = {
    "build": _build,
    "act": _act,
    "race": _race,
    "judge": _judge,
    "clear": _clear,
}


# --- processes ----------------------------------------------------------------------------------


def _set_up() -> None:
    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connections
    from django.urls import get_resolver

    import payments.channels
    from tests.races import actions, verdict
    from tests.races.gateway import SharedGateway, shared_gateway

    # The gateways of the product, replaced by one that all workers share. Nothing else is.
    patch.object(payments.channels, "MockGateway", SharedGateway).start()
    patch.object(payments.channels, "build_gateway", shared_gateway).start()
    assert actions
    assert verdict
    _ = get_resolver().url_patterns  # imports every view once, before the fork
    call_command("migrate", verbosity=0)
    connections.close_all()


def _work(address: str, gate: int) -> None:
    from django.db import connection

    from tests.races.gateway import SharedGateway

    pauses = Pauses()
    SharedGateway.pause = staticmethod(pauses.before_gateway)
    connection.execute_wrappers.append(pauses.around_statement)
    with Client(address, "AF_UNIX") as orders:
        serve(orders, gate, pauses)


def main(address: str, gate: int, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the harness, and it hangs up
    _set_up()
    children = []
    for _worker in range(number):
        child = os.fork()
        if child == 0:
            try:
                _work(address, gate)
            finally:
                os._exit(0)
        children.append(child)
    sys.stdin.read()  # until the harness closes it, or dies
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
