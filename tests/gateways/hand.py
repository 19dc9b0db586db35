"""What beat and the worker do, when a test says so: a process of its own on the stage's database.

One JSON line in, ``["name", {arguments}]``; one JSON line out, ``{"answer": …}`` or
``{"error": "…"}``. The moment that decides may lie ``after`` seconds in the future.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from backoffice.ops.audit import audit  # noqa: E402
from balances.services import balance_top_up  # noqa: E402
from payments.services.endings import orders_expire  # noqa: E402
from payments.services.sweeping import attempts_sweep  # noqa: E402
from refunds.services.notices import notices_take  # noqa: E402
from refunds.services.retries import refund_retry  # noqa: E402
from refunds.services.submission import refunds_sweep  # noqa: E402
from refunds.services.surplus import surplus_sweep  # noqa: E402
from tcmpay.common import clock  # noqa: E402
from tcmpay.common.actor import SYSTEM, Actor, Role  # noqa: E402
from tcmpay.common.invariants import Scope  # noqa: E402

MONEY_TABLES = (
    "payment_orders",
    "payment_transactions",
    "refund_records",
    "refund_approvals",
    "user_balances",
    "balance_transactions",
    "payment_configs",
    "price_configs",
)


def migrate() -> None:
    call_command("migrate", verbosity=0)


def load(file: str, notify_base: str) -> None:
    call_command(
        "load_gateway_config", file, notify_base=notify_base, verbosity=0, stdout=sys.stderr
    )


def fund(user_id: str, amount: str) -> None:
    balance_top_up(user_id=UUID(user_id), amount=Decimal(amount), reason="测试", actor=SYSTEM)


def refunds() -> None:
    """The refunds' task: notices first, then what goes back by itself, then what is due."""
    notices_take()
    surplus_sweep()
    refunds_sweep()


def retry(refund_id: str, admin_id: str) -> None:
    refund_retry(
        actor=Actor(id=UUID(admin_id), role=Role.ADMIN), refund_id=UUID(refund_id), reason="重试"
    )


def rows(sql: str, arguments: list[Any]) -> list[list[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return [list(row) for row in cursor.fetchall()]


def money() -> dict[str, list[str]]:
    """Every row of every table about money, to be compared with a later look."""
    found = {}
    with connection.cursor() as cursor:
        for table in MONEY_TABLES:
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            found[table] = [repr(row) for row in cursor.fetchall()]
    return found


def violations() -> list[str]:
    """What ``audit_money --strict`` calls wrong."""
    return [
        str(violation.message)
        for _check, violations in audit(Scope())
        for violation in violations
        if not violation.is_notice
    ]


DEEDS: Mapping[str, Callable[..., Any]] = {
    "migrate": migrate,
    "load": load,
    "fund": fund,
    "sweep": attempts_sweep,
    "expire": lambda: orders_expire() and None,
    "notices": notices_take,
    "refunds": refunds,
    "retry": retry,
    "rows": rows,
    "money": money,
    "violations": violations,
}


def do(name: str, after: float, arguments: Mapping[str, Any]) -> Any:
    with ExitStack() as stack:
        if after:
            stack.enter_context(clock.frozen(clock.now() + timedelta(seconds=after)))
        return DEEDS[name](**arguments)


def main() -> None:
    for line in sys.stdin:
        name, after, arguments = json.loads(line)
        try:
            answer = {"answer": do(name, after, arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
