"""A quick look at bare rows of orders and payments: which of them are not plainly right.

Only those are judged, and told of, by the models in ``checks``; here nothing is found. The rules
are those of ``checks``, handed over: a bare row answers to the same names as a model's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from balances.models import EntryType, RelatedType
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import TransactionStatus
from tcmpay.audit.bare_rows import (
    BareTable,
    amount_column,
    amount_text,
    bare_moment,
    moment_text,
    rows_of,
    same_id,
)
from tcmpay.audit.invariants import FollowedTrail
from tcmpay.audit.trail_rows import BareStory
from tcmpay.common.invariants import Scope, batches

BATCH = 1000
Ids = list[str]
# The rules by which a row is judged; each yields something when it is not right.
Rule = Callable[..., Iterator[Any]]


def odd_orders(
    scope: Scope, trail: FollowedTrail, check_payments: Rule, check_debits: Rule
) -> Iterator[Ids]:
    """The ids of orders that have to be looked at closely."""
    table = BareTable(PaymentOrder, scope.using)
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = "updated_at >= %s", (bare_moment(scope.since),)
    for batch in batches(table.rows(scope, where, values), BATCH):
        ids = [order.id for order in batch]
        told = trail.stories(ids)
        applied, debits = _applied(scope, ids), _debits(scope, ids)
        odd = []
        for order in batch:
            payments, story = applied.get(order.id, []), told.get(order.id)
            if (
                story is None
                or story.state != order.status
                or any(check_payments(order, payments))
                or any(check_debits(order, payments, debits.get(order.id, [])))
                or not _is_as_born(order, story)
                or not table.holds(order, story.row)
            ):
                odd.append(order.id)
        if odd:
            yield odd


def odd_transactions(scope: Scope, trail: FollowedTrail, check_disposition: Rule) -> Iterator[Ids]:
    """The ids of payments and repayments that have to be looked at closely."""
    table = BareTable(PaymentTransaction, scope.using)
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where = "(initiated_at >= %s OR completed_at >= %s OR booked_at >= %s)"
        values = (bare_moment(scope.since),) * 3
    for batch in batches(table.rows(scope, where, values), BATCH):
        told = trail.stories([row.id for row in batch])
        odd = [
            row.id
            for row in batch
            if not _is_plain(row, told.get(row.id), table) or any(check_disposition(row))
        ]
        if odd:
            yield odd


def _is_plain(row: Any, story: BareStory | None, table: BareTable) -> bool:
    # What an open one says is not all in its digest.
    if story is None or row.status == TransactionStatus.PENDING:
        return False
    return story.state == row.status and table.holds(row, story.row)


def _is_as_born(order: Any, story: BareStory) -> bool:
    """Whether the birth certificate is that of the order (``services.orders``)."""
    told = story.birth.get
    return (
        told("order_no") == order.order_no
        and told("user_id") == order.user_id
        and told("amount") == amount_text(order.amount)
        and told("expire_time") == _iso(order.expire_time)
        and told("service_type") == order.service_type
        and told("price") == (order.price_id or "")
    )


def _iso(moment: Any) -> str:
    return moment_text(moment).replace(".000000+", "+")


class _Applied:
    """A payment that is applied to an order, as far as the rules ask."""

    __slots__ = ("amount", "order_id", "payment_method", "status")

    def __init__(self, amount: Any, order_id: str, payment_method: str, status: str) -> None:
        self.amount, self.order_id = amount, order_id
        self.payment_method, self.status = payment_method, status


def _applied(scope: Scope, ids: Ids) -> dict[str, list[_Applied]]:
    found: dict[str, list[_Applied]] = defaultdict(list)
    amount = amount_column(scope.using, "amount")
    columns = f"applied_order_id, {amount}, order_id, payment_method, status"
    select = f"SELECT {columns} FROM payment_transactions"
    same = same_id(scope.using)
    for key, *values in rows_of(scope, select, "applied_order_id", ids):
        found[same(key)].append(_Applied(*values))
    return found


def _debits(scope: Scope, ids: Ids) -> dict[str, list[tuple[Any, Any]]]:
    found: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    amount = amount_column(scope.using, "amount")
    select = f"SELECT related_id, user_id, {amount} FROM balance_transactions"
    where = f"related_type = '{RelatedType.ORDER}' AND transaction_type = '{EntryType.EXPENSE}'"
    same = same_id(scope.using)
    for key, user_id, amount in rows_of(scope, select, "related_id", ids, where):
        found[same(key)].append((user_id, amount))
    return found
