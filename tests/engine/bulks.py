"""What the nursery does about a bulk of refunds: made, run by a worker that may die, looked at."""

from datetime import timedelta
from typing import Any
from uuid import UUID


def bulk_prepare(order: dict[str, Any]) -> dict[str, Any]:
    """``rows`` paid orders of one patient each, all asked back and agreed to."""
    from refunds.bulk_plan import Wanted
    from refunds.services.bulks import bulk_approve, bulk_request
    from refunds.states import BulkSource
    from tcmpay.common.actor import Actor, Role
    from tcmpay.common.ids import new_id
    from tests.clinic import paid_order

    orders = [paid_order() for _number in range(order["rows"])]
    asker, decider = (Actor(new_id(), Role.ADMIN) for _person in range(2))
    bulk = bulk_request(
        actor=asker,
        wanted=[Wanted(one.order_no) for one in orders],
        reason="医生停诊",
        source=BulkSource.ORDERS,
    )
    bulk_approve(actor=decider, bulk_id=bulk.id, notes="")
    return {"bulk": str(bulk.id)}


def bulk_run_all(order: dict[str, Any]) -> dict[str, Any]:
    """Run it to its end, ``ahead_seconds`` from now; die at a point on the way where asked to."""
    from refunds.services.bulk_runs import bulk_run
    from tcmpay.common import clock
    from tests.engine.nursery import around_commit

    if number := order.get("dies_at"):
        around_commit(number, is_before=order["is_before"])()
    with clock.frozen(clock.now() + timedelta(seconds=order["ahead_seconds"])):
        done = 0
        while more := bulk_run(bulk_id=UUID(order["bulk"])):
            done += more
    return {"done": done}


def bulk_state(order: dict[str, Any]) -> dict[str, Any]:
    from collections import Counter

    from balances.models import BalanceTransaction
    from refunds.models import Refund, RefundBulk

    bulk = RefundBulk.objects.get(id=order["bulk"])
    refunds = Refund.objects.filter(bulk_row__bulk=bulk)
    per_order = Counter(
        Refund.objects.filter(order__bulk_rows__bulk=bulk).values_list("order_id", flat=True)
    )
    credits = BalanceTransaction.objects.filter(
        related_type="refund", related_id__in=refunds.values("id")
    )
    return {
        "status": bulk.status,
        "outcomes": Counter(bulk.rows.values_list("outcome", flat=True)),
        "states": Counter(refunds.values_list("status", flat=True)),
        "most_of_an_order": max(per_order.values(), default=0),
        "orders_refunded": len(per_order),
        "credits": credits.count(),
    }
