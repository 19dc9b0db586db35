"""Forks a process per request, so that a test may kill the one that serves it.

``python -m tests.engine.nursery`` sets Django up and migrates the database that DATABASE_URL names,
then reads one order per line as JSON and answers each by one line: what the client got, or the
signal that ended the process. The failpoints live here, in the tests: nothing of the product knows
of them.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.engine.bulks import bulk_prepare, bulk_run_all, bulk_state

ANSWER_SECONDS_MAX = 60.0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # until it arrives


def around_commit(number: int, *, is_before: bool) -> Callable[[], None]:
    """Die right before or after the process's ``number``-th COMMIT; the first claims the key."""

    def install() -> None:
        from django.db import connection

        commit, seen = connection._commit, [0]

        def commit_or_die() -> None:
            seen[0] += 1
            if seen[0] == number and is_before:
                die()
            commit()
            if seen[0] == number:
                die()

        connection._commit = commit_or_die

    return install


def after_storing() -> None:
    from tcmpay.limits import idempotency

    complete = idempotency.key_complete

    def complete_and_die(*args: Any, **kwargs: Any) -> None:
        complete(*args, **kwargs)
        die()

    idempotency.key_complete = complete_and_die


FAILPOINTS: dict[str, Callable[[], None]] = {
    "before the claim's commit": around_commit(1, is_before=True),
    "after the claim": around_commit(1, is_before=False),
    "before the effect's commit": around_commit(2, is_before=True),
    "after the effect, before the answer is stored": around_commit(2, is_before=False),
    "after storing, before answering": after_storing,
}


def serve(order: dict[str, Any]) -> dict[str, Any]:
    """Send one request through the whole product, ``ahead_seconds`` from now."""
    from django.test import Client

    from tcmpay.common import clock

    moment = clock.now() + timedelta(seconds=order.get("ahead_seconds", 0))
    if point := order.get("dies"):
        FAILPOINTS[point]()
    with clock.frozen(moment):
        response = Client(raise_request_exception=False).generic(
            order["method"],
            order["path"],
            json.dumps(order["body"]) if order.get("body") is not None else "",
            content_type="application/json",
            headers=order.get("headers") or {},
        )
    return {
        "status": response.status_code,
        "body": json.loads(response.content),
        "is_replayed": response.headers.get("Idempotency-Replayed") == "true",
    }


def fund(order: dict[str, Any]) -> dict[str, Any]:
    from decimal import Decimal
    from uuid import UUID

    from balances.services import balance_top_up
    from tcmpay.common.actor import SYSTEM

    balance_top_up(
        user_id=UUID(order["user"]), amount=Decimal(order["amount"]), reason="充值", actor=SYSTEM
    )
    return {}


def audit(_order: dict[str, Any]) -> dict[str, Any]:
    from io import StringIO

    from django.core.management import call_command

    output = StringIO()
    with contextlib.suppress(SystemExit):
        call_command("audit_money", "--json", stdout=output)
    return {"findings": json.loads(output.getvalue())["findings"]}


WHAT = {
    "serve": serve,
    "fund": fund,
    "audit": audit,
    "bulk_prepare": bulk_prepare,
    "bulk_run": bulk_run_all,
    "bulk_state": bulk_state,
}


def in_a_process_of_its_own(order: dict[str, Any]) -> dict[str, Any]:
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            os.write(into, json.dumps(WHAT[order["what"]](order)).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        text = answer.read()
    _child, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return json.loads(text)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the test, and it hangs up
    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connections
    from django.urls import get_resolver

    _ = get_resolver().url_patterns  # imports every view once, before the forks
    call_command("migrate", verbosity=0)
    connections.close_all()
    tell({"ready": True})
    for line in sys.stdin:
        tell(in_a_process_of_its_own(json.loads(line)))


def tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
