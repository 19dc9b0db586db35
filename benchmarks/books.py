"""The books that are measured: users with money, and orders that wait to be paid.

All of it by the product's own units, so that the audit holds them sound.

    python -m benchmarks.books ORDERS USERS
"""

import sys
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import django

BATCH = 2_000


def main(orders: int, users: int) -> None:
    django.setup()
    from balances.services import balance_top_up
    from payments.models import PaymentOrder
    from payments.services.orders import immutable_facts
    from tcmpay.audit.services import audited_together
    from tcmpay.audit.transitions import Cause, row_insert
    from tcmpay.common import clock
    from tcmpay.common.actor import SYSTEM, Actor, Role
    from tcmpay.common.db import money_unit
    from tcmpay.common.ids import new_id, new_number

    owners = [new_id() for _user in range(users)]
    for owner in owners:
        balance_top_up(user_id=owner, amount=Decimal("90000.00"), reason="benchmark", actor=SYSTEM)

    @money_unit
    def make(numbers: range) -> None:
        with audited_together():
            for number in numbers:
                # The first of them is busy: half of all orders are theirs.
                order = _order(owners[number % users if number % 2 else 0])
                details = immutable_facts(order)
                actor = Actor(order.user_id, Role.PATIENT)
                row_insert(order, Cause(actor=actor, action="order_created", details=details))

    def _order(owner: UUID) -> PaymentOrder:
        now = clock.now()
        return PaymentOrder(
            order_no=new_number("ORD", now), user_id=owner, order_type="consultation",
            amount=Decimal("0.01"), expire_time=now + timedelta(days=10), created_at=now,
            updated_at=now, created_on=clock.business_day(now), created_by=owner,
        )  # fmt: skip

    # Half an hour ago, so that the statistics' kept figures hold them.
    with clock.frozen(clock.now() - timedelta(minutes=30)):
        for start in range(0, orders, BATCH):
            make(range(start, min(start + BATCH, orders)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
