"""A process that acts when it is told to. ``python -m tests.races.worker ADDRESS GO_FD``

The first process sets Django up and migrates, then forks a worker whenever it is asked for one,
each with a connection of its own to the database. Workers take orders from the harness and wait
for each other at the gate: a pipe from which everybody reads one byte, and into which the harness
writes all at once.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client, Connection
from typing import Any
from unittest.mock import patch

Trace = list[tuple[float, str]]

# What a worker says instead of an answer when it has stopped at the step that it was told.
HELD = "held"

# Chance of a pause before a statement or a gateway call, and the longest pause.
TEMPERS = ((0.0, 0.0), (0.15, 0.001), (0.3, 0.003), (0.5, 0.004), (0.08, 0.02))
START_DELAY_MAX_SECONDS = 0.004
STATEMENT_SHOWN_MAX = 150


class Steps:
    """What a mover does, step by step: its statements, commits and calls of a gateway.

    A seed sprinkles delays over them, which lead two processes through ever new interleavings.
    ``hold_at`` stops the mover before one step, until the harness lets it go on: then everybody
    else has done what can be done without it. ``die_at`` names the point where the process ends
    as a power cut would end it.
    """

    def __init__(self, hold: Callable[[], None]) -> None:
        self._hold = hold
        self.end()

    def begin(self, seed: str | None = None, hold_at: int | None = None, die_at: str = "") -> None:
        self._random = random.Random(seed)
        self._chance, self._longest = (0.0, 0.0) if seed is None else self._random.choice(TEMPERS)
        self._hold_at, self._die_at = hold_at, die_at
        self._commits = 0
        self._is_watching = True
        self.count = 0
        self.trace: Trace = []

    def end(self) -> None:
        """Whatever comes now is no move of a race."""
        self.begin()
        self._is_watching = False

    def at_start(self) -> None:
        if self._hold_at is None:
            time.sleep(self._random.uniform(0, START_DELAY_MAX_SECONDS))

    def passing(self, point: str) -> None:
        """A named point: ``before refund``, ``after commit 2``."""
        if not self._is_watching:
            return
        if point == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._step(point)

    def around_commit(self, commit: Callable[[], None]) -> None:
        self._commits += 1
        number = self._commits
        self.passing(f"before commit {number}")
        commit()
        self.passing(f"after commit {number}")

    def around_statement(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if not self._is_watching:
            return execute(sql, params, many, context)
        self._step(_shown(sql, params))
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            self.trace.append((time.monotonic(), f"  ! {error}"))
            raise

    def _step(self, text: str) -> None:
        self.count += 1
        if self.count == self._hold_at:
            self.trace.append((time.monotonic(), "  (held)"))
            self._hold()
        elif self._random.random() < self._chance:
            time.sleep(self._random.uniform(0, self._longest))
        self.trace.append((time.monotonic(), text))


def _shown(sql: str, params: Any) -> str:
    text = " ".join(sql.split())
    if text.startswith("SELECT") and " FROM " in text:
        text = "SELECT … " + text[text.index("FROM ") :]
    return f"{text[:STATEMENT_SHOWN_MAX]} {str(params or '')[:STATEMENT_SHOWN_MAX]}"


def serve(orders: Connection, gate: int, steps: Steps) -> None:
    """Answer orders until the harness hangs up."""
    while True:
        try:
            name, arguments = orders.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, ORDERS[name](orders, gate, steps, *arguments))
        except Exception:
            answer = (False, traceback.format_exc())
        orders.send(answer)


# --- orders; what they import is there only once Django is set up --------------------------------


def _build(_orders: Connection, _gate: int, _steps: Steps, name: str) -> Any:
    from tests.races.worlds import build

    return build(name)


def _act(
    _orders: Connection,
    _gate: int,
    steps: Steps,
    things: Any,
    move: tuple[Any, ...],
    die_at: str,
) -> tuple[str, int]:
    """Act alone; also says in how many steps."""
    from tests.races.actions import perform

    steps.begin(die_at=die_at)
    answer = perform(things, *move)
    count = steps.count
    steps.end()
    return answer, count


def _race(
    orders: Connection,
    gate: int,
    steps: Steps,
    things: Any,
    move: tuple[Any, ...],
    die_at: str,
    seed: str | None,
    hold_at: int | None,
) -> tuple[str, Trace]:
    from django.db import connection

    from tests.races.actions import perform

    connection.ensure_connection()
    steps.begin(seed, hold_at, die_at)
    orders.send((True, "ready"))
    os.read(gate, 1)
    steps.at_start()
    answer = perform(things, *move)
    trace = steps.trace
    steps.end()
    return answer, trace


def _judge(_orders: Connection, _gate: int, _steps: Steps, things: Any) -> tuple[Any, list[str]]:
    from tests.races import verdict

    verdict.settle_down(things)
    return verdict.summary(things), [*verdict.violations(things), *verdict.stuck(things)]


def _audit(_orders: Connection, _gate: int, _steps: Steps) -> list[str]:
    from tests.races import verdict

    return verdict.audited()


def _clear(_orders: Connection, _gate: int, _steps: Steps) -> None:
    """Forget what earlier scenarios left, so that sweeps find only the running one's."""
    from django.apps import apps
    from django.db import connection

    from tcmpay.audit.marks import marks_begin

    # What migrations insert.
    kept = {"payment_configs", "price_configs", "refund_notes", "webhook_dispatcher"}
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for room in (
            *("payments", "refunds", "reconciliation", "balances"),
            *("audit", "guard", "config", "webhooks"),
        ):
            for model in apps.get_app_config(room).get_models():
                if model._meta.db_table not in kept:
                    cursor.execute(f"DELETE FROM {model._meta.db_table}")
    marks_begin()


ORDERS: dict[str, Callable[..., Any]] = {
    "build": _build,
    "act": _act,
    "race": _race,
    "judge": _judge,
    "audit": _audit,
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

    with Client(address, "AF_UNIX") as orders:

        def hold() -> None:
            orders.send((True, HELD))
            orders.recv()  # go on

        steps = Steps(hold)
        SharedGateway.passing = staticmethod(steps.passing)
        connection.execute_wrappers.append(steps.around_statement)
        commit = connection._commit
        patch.object(connection, "_commit", lambda: steps.around_commit(commit)).start()
        serve(orders, gate, steps)


def main(address: str, gate: int) -> None:
    """Fork a worker for every line of the standard input; at its end, end them all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the harness, and it hangs up
    _set_up()
    children = set()
    for _line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _work(address, gate)
            finally:
                os._exit(0)
        children.add(child)
        children -= set(_ended())
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def _ended() -> Iterator[int]:
    while (child := os.waitpid(-1, os.WNOHANG)[0]) != 0:
        yield child


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
