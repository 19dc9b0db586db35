"""A quick look at bare rows of refunds: which of them are not plainly right.

Only those are judged, and told of, by the models in ``invariants``; here nothing is found. Most of
the rules are those of ``invariants``, handed over: a bare row answers to the same names.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from balances.models import EntryType, RelatedType
from payments.states import Disposition, OrderStatus, TransactionStatus, TransactionType
from refunds.models import Refund
from refunds.services.numbers import NUMBER_TAKEN_BACK
from refunds.states import RefundStatus
from tcmpay.audit.bare_rows import (
    BareTable,
    amount_text,
    bare_moment,
    moment_column,
    moment_of,
    rows_of,
    same_id,
)
from tcmpay.audit.invariants import FollowedTrail
from tcmpay.audit.trail_rows import BareStory
from tcmpay.common.invariants import Scope, batches, rows_in_chunks
from tcmpay.common.money import Money

BATCH = 1000
Ids = list[str]
# The rules by which a refund is judged; each yields something when it is not right.
Rule = Callable[..., Iterator[Any]]
BELONGING = (
    "SELECT r.id, o.user_id, t.order_id, t.transaction_type, t.status, t.payment_method"
    " FROM refund_records r JOIN payment_orders o ON o.id = r.order_id"
    " JOIN payment_transactions t ON t.id = r.transaction_id"
)


class _Order(NamedTuple):
    user_id: str


class _Payment(NamedTuple):
    order_id: str
    transaction_type: str
    status: str
    payment_method: str


class _MoneyBack(NamedTuple):
    status: str
    amount: Money


class _Credit(NamedTuple):
    user_id: str
    amount: Money


@dataclass(slots=True)
class _Refund:
    """A refund with its order and its payment, as far as the rules ask."""

    row: Any
    order: _Order
    transaction: _Payment
    refund_amount: Money

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What else there is about a batch of refunds, by the refund's id."""

    money_back: dict[str, list[_MoneyBack]]
    credits: dict[str, list[_Credit]]


def odd_refunds(
    scope: Scope,
    trail: FollowedTrail,
    check_belonging: Rule,
    check_money_back: Rule,
    check_approvals: Rule,
) -> Iterator[Ids]:
    """The ids of refunds that have to be looked at closely."""
    table = BareTable(Refund, scope.using)
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = "updated_at >= %s", (bare_moment(scope.since),)
    for batch in batches(table.rows(scope, where, values), BATCH):
        ids = [row.id for row in batch]
        told = trail.stories(ids)
        belonging = {
            key: (_Order(owner), _Payment(*payment))
            for key, owner, *payment in rows_of(scope, BELONGING, "r.id", ids)
        }
        evidence, reviewers = _evidence(scope, ids), _reviewers(scope, ids)
        odd = []
        for row in batch:
            found = belonging.get(row.id)
            refund = _Refund(row, *found, _money(row.refund_amount)) if found else None
            if (
                refund is None
                or not _is_as_told(row, told.get(row.id), table)
                or any(check_belonging(refund))
                or any(check_money_back(refund, evidence))
                or any(check_approvals(refund, reviewers[row.id]))
            ):
                odd.append(row.id)
        if odd:
            yield odd


class _PaidOrder(NamedTuple):
    id: str
    order_no: str
    amount: Money
    status: str


class _Paid(NamedTuple):
    """A payment that holds or should hold refunds, as far as the rules ask."""

    id: str
    transaction_no: str
    amount: Money
    refund_reserved: Money
    disposition: str


class _Held(NamedTuple):
    status: str
    refund_amount: Money


def odd_payments(scope: Scope, check_reserved: Rule, check_order_state: Rule) -> Iterator[Ids]:
    """The ids of payments whose refunds have to be looked at closely. The database passes over
    those with nothing held, no refund, and a paid order."""
    where = (
        f"t.transaction_type = '{TransactionType.PAYMENT}'"
        f" AND t.status = '{TransactionStatus.SUCCESS}' AND (t.refund_reserved <> 0"
        f" OR (t.disposition = '{Disposition.APPLIED}' AND o.status <> '{OrderStatus.PAID}')"
        " OR EXISTS (SELECT 1 FROM refund_records r WHERE r.transaction_id = t.id))"
    )
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = f"{where} AND o.updated_at >= %s", (bare_moment(scope.since),)
    rows = rows_in_chunks(
        scope,
        table="payment_transactions t JOIN payment_orders o ON o.id = t.order_id",
        columns=(
            *("t.id", "t.transaction_no", "t.amount", "t.refund_reserved", "t.disposition"),
            *("o.id", "o.order_no", "o.amount", "o.status"),
        ),
        where=where,
        values=values,
    )
    select = "SELECT transaction_id, status, refund_amount FROM refund_records"
    same = same_id(scope.using)
    for batch in batches(rows, BATCH):
        held: dict[str, list[_Held]] = defaultdict(list)
        ids = [row[0] for row in batch]
        for key, status, amount in rows_of(scope, select, "transaction_id", ids):
            held[same(key)].append(_Held(status, _money(amount)))
        odd = []
        for key, number, amount, reserved, disposition, *order in batch:
            payment = _Paid(key, number, _money(amount), _money(reserved), disposition)
            order_id, order_no, due, status = order
            paid = _PaidOrder(order_id, order_no, _money(due), status)
            if any(check_reserved(payment, held[key])) or (
                disposition == Disposition.APPLIED and any(check_order_state(paid, held[key]))
            ):
                odd.append(key)
        if odd:
            yield odd


class _Approval(NamedTuple):
    id: str
    refund_id: str
    reviewer_id: str
    notes: str
    created_at: datetime


# Who did something, in which words, when.
Told = tuple[str, str, datetime]


def odd_approvals(
    scope: Scope, actions: Collection[str], tells_of: Callable[[Told, Any], bool]
) -> Iterator[Ids]:
    """The ids of approvals of which no event of the refund's trail plainly tells."""
    moment = moment_column(scope.using, "created_at")
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = "created_at >= %s", (bare_moment(scope.since),)
    rows = rows_in_chunks(
        scope,
        table="refund_approvals",
        columns=(*_Approval._fields[:-1], moment),
        where=where,
        values=values,
    )
    for batch in batches(rows, BATCH):
        told = _told(scope, sorted({row[1] for row in batch}), actions)
        odd = []
        for *facts, moment in batch:
            approval = _Approval._make((*facts, moment_of(moment)))
            if not any(tells_of(event, approval) for event in told[approval.refund_id]):
                odd.append(approval.id)
        if odd:
            yield odd


def unapproved(scope: Scope, actions: Collection[str]) -> Iterator[Ids]:
    """The ids of requested refunds that somebody approved, as the trail tells, who has no approval
    of it."""
    where: str = "cause = 'requested'"
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = f"{where} AND updated_at >= %s", (bare_moment(scope.since),)
    rows = rows_in_chunks(
        scope, table="refund_records", columns=("id",), where=where, values=values
    )
    for batch in batches(rows, BATCH):
        ids = [key for (key,) in batch]
        told, kept = _told(scope, ids, actions), _reviewers(scope, ids)
        odd = [key for key in ids if not {event[0] for event in told[key]} <= {*kept[key]}]
        if odd:
            yield odd


def _told(scope: Scope, ids: Ids, actions: Collection[str]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    moment = moment_column(scope.using, "created_at")
    select = f"SELECT object_id, COALESCE(actor_id, ''), reason, {moment} FROM audit_events"
    among = ", ".join(f"'{action}'" for action in sorted(actions))
    where = f"object_type = '{Refund.AUDIT_OBJECT}' AND action IN ({among})"
    for key, actor, reason, moment in rows_of(scope, select, "object_id", ids, where):
        found[key].append((actor, reason, moment_of(moment)))
    return found


def _is_as_told(row: Any, story: BareStory | None, table: BareTable) -> bool:
    # What an open one says is not all in its digest. One that failed, or whose number was taken
    # back, may go by another number.
    if story is None or row.status == RefundStatus.PROCESSING or row.number_generation != 1:
        return False
    if {"refund_failed", NUMBER_TAKEN_BACK}.intersection(story.actions):
        return False
    return (
        story.state == row.status
        and story.born_by == (row.requested_by or "")
        and story.birth.get("amount") == amount_text(row.refund_amount)
        and story.birth.get("refund_no") == row.refund_no
        and table.holds(row, story.row)
    )


def _evidence(scope: Scope, ids: Ids) -> _Evidence:
    money_back: dict[str, list[_MoneyBack]] = defaultdict(list)
    credits: dict[str, list[_Credit]] = defaultdict(list)
    same = same_id(scope.using)
    select = "SELECT refund_id, status, amount FROM payment_transactions"
    for key, status, amount in rows_of(scope, select, "refund_id", ids):
        money_back[same(key)].append(_MoneyBack(status, _money(amount)))
    select = "SELECT related_id, user_id, amount FROM balance_transactions"
    where = f"related_type = '{RelatedType.REFUND}' AND transaction_type = '{EntryType.INCOME}'"
    for key, user_id, amount in rows_of(scope, select, "related_id", ids, where):
        credits[same(key)].append(_Credit(user_id, _money(amount)))
    return _Evidence(money_back, credits)


def _reviewers(scope: Scope, ids: Ids) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    select, same = "SELECT refund_id, reviewer_id FROM refund_approvals", same_id(scope.using)
    for key, reviewer in rows_of(scope, select, "refund_id", ids):
        found[same(key)].append(reviewer)
    return found


def _money(value: Any) -> Money:
    return Decimal(amount_text(value))
