"""What is measured: each cell makes one operation, to be repeated.

A cell is made in a process of its own whose environment names the database (``DATABASE_URL``) and
the books (``benchmarks.books``). It gives the function that does the operation once more, told the
how manieth it is, and counts its statements where it can.
"""

import atexit
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.floors import classic_payment, guarded_payment, raw_connection, token
from benchmarks.web import OURS, Web, peak_mb, pss_mb

# Gives how many it did, where that is not one. ``cpu``: whose seconds count, where not this
# process's. ``is_once``: it is done a single time.
Operation = Callable[[], int | None]

# (seconds) Celery's children are there by then.
SETTLED_AFTER_SECONDS = 15
# How many orders are past their time.
DUE = 5_000


def guarded() -> Operation:
    """The floor: one payment as raw guarded SQL, four statements and COMMIT."""
    return _raw(guarded_payment, hot=False)


def classic_hot() -> Operation:
    """Raw SQL as most write it, all of one user."""
    return _raw(classic_payment, hot=True)


def _raw(payment: Callable[[Any, int, int], None], *, hot: bool) -> Operation:
    database = raw_connection()
    cursor = database.cursor()
    waiting = _raw_orders(cursor, hot=hot)
    database.commit()

    def pay() -> None:
        payment(cursor, *waiting.pop())
        database.commit()

    return pay


def _raw_orders(cursor: Any, *, hot: bool) -> list[Any]:
    worker, workers = int(os.environ["BENCH_WORKER"]), int(os.environ["BENCH_WORKERS"])
    cursor.execute(
        "SELECT id, user_id FROM orders WHERE status = 0 AND id DIV 2 MOD %s = %s"
        + (" AND user_id = 1" if hot else ""),
        (workers, worker),
    )
    return list(cursor.fetchall())


# --- the product ----------------------------------------------------------------------------------


def _payers(*, hot: bool) -> list[tuple[UUID, UUID]]:
    """Orders that this process may pay, with their owners."""
    from payments.models import PaymentOrder

    worker, workers = int(os.environ["BENCH_WORKER"]), int(os.environ["BENCH_WORKERS"])
    waiting = PaymentOrder.objects.filter(status="pending").order_by("user_id", "id")
    users = list(waiting.values_list("user_id", flat=True).distinct())
    mine = users[:1] if hot else users[1:][worker::workers]
    orders = waiting.filter(user_id__in=mine).values_list("id", "user_id")[:20_000]
    # By the id: others are paying already while this process gets ready.
    return [one for one in orders if not hot or one[0].int % workers == worker]


def pay() -> Operation:
    """A payment from the balance by the service, with ledger and trail."""
    return _service_pay(hot=False)


def pay_hot() -> Operation:
    return _service_pay(hot=True)


def _service_pay(*, hot: bool) -> Operation:
    _product()
    from payments.services.attempts import PayCommand
    from payments.services.attempts import pay as service
    from tcmpay.common.actor import Actor, Role

    waiting = _payers(hot=hot)

    def pay_one() -> None:
        order, user = waiting.pop()
        command = PayCommand(order_id=order, payment_method="balance")
        service(actor=Actor(user, Role.PATIENT), command=command)

    return pay_one


def expire() -> Operation:
    """The sweep of DUE orders that are past their time."""
    _product()
    from benchmarks.books import make_due
    from payments.services.endings import orders_expire

    make_due(DUE)
    return _once(lambda: orders_expire().expired)


def expire_raw() -> Operation:
    """The floor: raw SQL, a thousand at a time, skipping what is locked."""
    database = raw_connection()
    cursor = database.cursor()
    cursor.execute(
        "INSERT INTO orders SELECT (SELECT MAX(id) FROM orders) + seq, 1, 0.01, 8, NULL"
        f" FROM seq_1_to_{DUE}"
    )
    database.commit()

    def sweep() -> int:
        ended = 0
        while True:
            cursor.execute(
                "SELECT id FROM orders WHERE user_id = 1 AND status = 8 LIMIT 1000"
                " FOR UPDATE SKIP LOCKED"
            )
            due = [key for (key,) in cursor.fetchall()]
            if not due:
                return ended
            places = ", ".join(["%s"] * len(due))
            cursor.execute(f"UPDATE orders SET status = 9 WHERE id IN ({places})", due)
            database.commit()
            ended += len(due)

    return _once(sweep)


def memory() -> Operation:
    """A web process with one worker, a Celery worker with one child, and beat: what of the memory
    is theirs (PSS, MB)."""
    web = _product_web()
    token = _token(UUID(int=1), role="admin")
    celery = [sys.executable, "-m", "celery", "--app", "tcmpay.celery:app"]
    folder = tempfile.mkdtemp()
    others = [
        subprocess.Popen([*celery, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for more in (
            ["worker", "--concurrency", "1"],
            ["beat", "--schedule", f"{folder}/schedule", "--pidfile="],
        )
    ]
    for other in others:
        atexit.register(other.terminate)

    def settle() -> None:
        for _again in range(50):
            web.ask("GET", "/api/v1/payment/orders", token)
        time.sleep(SETTLED_AFTER_SECONDS)

    settle.extra = lambda: {  # type: ignore[attr-defined]
        "pss_mb": sum(pss_mb(pid) for pid in (web.pid, *(other.pid for other in others)))
    }
    return _once(settle)


def reconcile() -> Operation:
    """A day of a million payments against WeChat Pay's bill of it."""
    _product()
    from benchmarks.bills import reconciled

    return _with_peak(reconciled())


def reconcile_raw() -> Operation:
    """The floor: each line split once, each payment once in a dict."""
    from benchmarks.bills import split_and_dict

    return _with_peak(split_and_dict())


def _with_peak(operation: Operation) -> Operation:
    """Once, with the most memory (MB) that this process had meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")
    operation.extra = lambda: {"pss_mb": peak_mb()}  # type: ignore[attr-defined]
    return _once(operation)


def _once(operation: Operation) -> Operation:
    operation.is_once = True  # type: ignore[attr-defined]
    return operation


def http_pay() -> Operation:
    """The same over HTTP."""
    return _http_pay("")


def http_pay_keyed() -> Operation:
    """With an Idempotency-Key of its own each time."""
    return _http_pay("key")


def _http_pay(key: str) -> Operation:
    web = _product_web()
    waiting = _payers(hot=False)
    tokens: dict[UUID, str] = {}

    def pay_one() -> None:
        order, user = waiting.pop()
        token = tokens.get(user) or tokens.setdefault(user, _token(user))
        body = json.dumps({"order_id": str(order), "payment_method": "balance"}).encode()
        headers = {"Idempotency-Key": f"{key}-{order}"} if key else {}
        web.ask("POST", "/api/v1/payment/pay", token, body, headers)

    return _served(web, pay_one)


def http_order() -> Operation:
    """One order, read by its owner."""
    return _http_order()


def http_order_unlogged() -> Operation:
    """Without its line in the log."""
    return _http_order(LOG_LEVEL="ERROR")


def _http_order(**environment: str) -> Operation:
    web = _product_web(**environment)
    order, user = _payers(hot=True)[0]
    token = _token(user)
    return _served(web, lambda: web.ask("GET", f"/api/v1/payment/orders/{order}", token))


def http_list() -> Operation:
    """The first twenty orders of somebody."""
    web = _product_web()
    _order, user = _payers(hot=False)[0]
    token = _token(user)
    return _served(web, lambda: web.ask("GET", "/api/v1/payment/orders?page_size=20", token))


def http_list_all() -> Operation:
    """The first twenty of everybody's."""
    return _everybodys(1)


def http_list_deep() -> Operation:
    """Everybody's from the 9,981st on."""
    return _everybodys(500)


def _everybodys(page: int) -> Operation:
    web = _product_web()
    asked = _token(UUID(int=1), role="admin")
    address = f"/api/v1/payment/orders?page_size=20&page={page}"
    return _served(web, lambda: web.ask("GET", address, asked))


def http_live() -> Operation:
    web = _product_web()
    return _served(web, lambda: web.ask("GET", "/health/live", ""))


def statistics() -> Operation:
    """A month's figures of everybody."""
    web = _product_web()
    token = _token(UUID(int=1), role="admin")
    from datetime import timedelta

    from tcmpay.common.clock import today

    period = f"start_date={today() - timedelta(days=30)}&end_date={today()}"
    return _served(web, lambda: web.ask("GET", f"/api/v1/payment/statistics?{period}", token))


def _served(web: Web, operation: Operation) -> Operation:
    """``operation``, whose CPU is that of the web process."""
    operation.cpu = web.cpu  # type: ignore[attr-defined]
    return operation


def _product_web(**environment: str) -> Web:
    _product()
    os.environ.update(environment)
    return Web("tcmpay.wsgi:application", worker_class=OURS)


def _product() -> None:
    import django

    django.setup()


def _token(user: UUID, role: str = "patient") -> str:
    from django.core.management import call_command

    out = io.StringIO()
    call_command("issue_token", user=str(user), role=role, ttl_seconds=86_400, stdout=out)
    return out.getvalue().strip()


# --- what others need for it ---------------------------------------------------------------------


def raw_pay() -> Operation:
    """A guarded payment over HTTP without a framework."""
    web = _floor_web("raw_pay")
    database = raw_connection()
    waiting = _raw_orders(database.cursor(), hot=False)
    database.commit()
    asked = token()

    def pay_one() -> None:
        order, user = waiting.pop()
        body = json.dumps({"order": order, "user": user}).encode()
        web.ask("POST", "/", asked, body)

    return _served(web, pay_one)


def drf_jwt() -> Operation:
    return _floor("drf_jwt")


def drf_user() -> Operation:
    return _floor("drf_user")


def _floor(name: str) -> Operation:
    web, asked = _floor_web(name), token()
    return _served(web, lambda: web.ask("GET", "/", asked))


def _floor_web(name: str) -> Web:
    os.environ["FLOOR_APPLICATION"] = name
    return Web("benchmarks.floors:application")


CELLS = {
    cell.__name__: cell
    for cell in (
        guarded, classic_hot, expire, expire_raw, memory, pay, pay_hot, http_pay, http_pay_keyed,
        http_order, http_order_unlogged, http_list, http_list_all, http_list_deep, http_live,
        reconcile, reconcile_raw, statistics, raw_pay, drf_jwt, drf_user,
    )
}  # fmt: skip


@contextmanager
def statements_counted() -> Iterator[list[str]]:
    """The statements of the product's connection meanwhile; nothing for raw ones."""
    from django.conf import settings

    texts: list[str] = []
    if not settings.configured:
        yield texts
        return
    from django.db import connection

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        texts.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield texts
