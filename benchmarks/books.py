"""The books that are measured: users with money, and orders that wait to be paid.

All of it by the product's own units, so that the audit holds them sound.

    python -m benchmarks.books ORDERS USERS
    python -m benchmarks.books numbers          # as beat does, which is not running here
"""

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import django

BATCH = 2_000


def main(orders: int, users: int) -> None:
    django.setup()
    from balances.services import balance_top_up
    from tcmpay.common import clock
    from tcmpay.common.actor import SYSTEM
    from tcmpay.common.ids import new_id

    owners = [new_id() for _user in range(users)]
    for owner in owners:
        balance_top_up(user_id=owner, amount=Decimal("90000.00"), reason="benchmark", actor=SYSTEM)
    # The first of them is busy: half of all orders are theirs.
    of = [owners[number % users if number % 2 else 0] for number in range(orders)]
    # Half an hour ago, so that the statistics' kept figures hold them.
    with clock.frozen(clock.now() - timedelta(minutes=30)):
        _make(of, timedelta(days=10))


def make_due(orders: int) -> None:
    """As many orders that are past their time when this is done."""
    from tcmpay.common.ids import new_id

    _make([new_id() for _order in range(orders)], timedelta(seconds=1))
    time.sleep(1)


def _make(owners: Sequence[UUID], lasting: timedelta) -> None:
    from payments.events import order_announce
    from payments.models import PaymentOrder
    from payments.services.orders import immutable_facts
    from tcmpay.audit.transitions import Cause, row_insert
    from tcmpay.common import clock
    from tcmpay.common.actor import Actor, Role
    from tcmpay.common.db import money_unit
    from tcmpay.common.ids import new_number
    from webhooks.outbox import told_together

    @money_unit
    def make(some: Sequence[UUID]) -> None:
        with told_together():
            for owner in some:
                order = _order(owner)
                details = immutable_facts(order)
                actor = Actor(order.user_id, Role.PATIENT)
                cause = Cause(actor=actor, action="order_created", details=details)
                order_announce(order, row_insert(order, cause))

    def _order(owner: UUID) -> PaymentOrder:
        now = clock.now()
        return PaymentOrder(
            order_no=new_number("ORD", now), user_id=owner, order_type="consultation",
            amount=Decimal("0.01"), expire_time=now + lasting, created_at=now,
            updated_at=now, created_on=clock.business_day(now), created_by=owner,
        )  # fmt: skip

    for start in range(0, len(owners), BATCH):
        make(owners[start : start + BATCH])


def give_numbers() -> None:
    """Give its number to each event that has none yet."""
    django.setup()
    from webhooks.services.dispatch import sequences_give

    while sequences_give():
        pass


if __name__ == "__main__":
    if sys.argv[1:] == ["numbers"]:
        give_numbers()
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
