"""A quick look at bare rows of what gateways told us: which of it is not plainly right.

As in ``check_rows``: only what is odd is judged, and told of, by the models in ``invariants_logs``
and ``invariants_evidence``, most of it by rules that they hand over.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from payments.models import PaymentCallbackBody
from payments.states import (
    ExchangeKind,
    ExchangeOutcome,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
)
from tcmpay.audit.bare_rows import BareTable, bare_moment, rows_of, same_id
from tcmpay.common.invariants import Scope, batches, rows_in_chunks

BATCH = 1000
BODIES_AT_ONCE = 200
Ids = list[str]
# What is wrong with a row, given what else there is; "" when nothing is.
Problem = Callable[..., str]


def odd_bodies(scope: Scope) -> Iterator[Ids]:
    """The ids of callbacks whose kept messages have to be looked at closely."""
    table = BareTable(PaymentCallbackBody, scope.using)
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where = "callback_id IN (SELECT id FROM payment_callbacks WHERE received_at >= %s)"
        values = (bare_moment(scope.since),)
    select = "SELECT id, body_sha256, log_hash, kept_digest FROM payment_callbacks"
    for batch in batches(table.rows(scope, where, values, size=BODIES_AT_ONCE), BODIES_AT_ONCE):
        ids = [kept.callback_id for kept in batch]
        told = {key: digests for key, *digests in rows_of(scope, select, "id", ids)}
        odd = [
            key
            for key, kept in zip(ids, batch, strict=True)
            if key not in told or not _is_kept(kept, table, *told[key])
        ]
        if odd:
            yield odd


def _is_kept(kept: Any, table: BareTable, sha256: str, log_hash: str, digest: str) -> bool:
    is_same = hashlib.sha256(kept.body.encode()).hexdigest() == sha256
    return is_same and log_hash != "" and table.holds(kept, digest)


class _Booking(NamedTuple):
    """A payment that was booked, as far as the rule asks."""

    id: str
    payment_method: str
    amount: Any
    out_trade_no: str | None
    trade_no: str | None
    external_transaction_id: str | None
    is_mock: int
    config_version_id: str | None


def odd_bookings(
    scope: Scope, verdicts: Collection[str], booking_problem: Problem
) -> Iterator[Ids]:
    """The ids of payments booked as paid at a gateway that have to be looked at closely."""
    where = (
        f"transaction_type = '{TransactionType.PAYMENT}' AND status = '{TransactionStatus.SUCCESS}'"
        f" AND payment_method <> '{PaymentMethod.BALANCE}'"
    )
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = f"{where} AND completed_at >= %s", (bare_moment(scope.since),)
    rows = rows_in_chunks(
        scope,
        table="payment_transactions",
        columns=_Booking._fields,
        where=where,
        values=values,
    )
    for batch in batches(map(_Booking._make, rows), BATCH):
        told, answers = _told(scope, batch, verdicts), _answers(scope, batch)
        odd = [payment.id for payment in batch if booking_problem(payment, told, answers)]
        if odd:
            yield odd


def _told(scope: Scope, batch: list[_Booking], verdicts: Collection[str]) -> Mapping[Any, set[int]]:
    found: dict[Any, set[int]] = defaultdict(set)
    select = (
        "SELECT payment_method, out_trade_no, external_transaction_id, amount, is_mock"
        " FROM payment_callbacks"
    )
    numbers = sorted({payment.out_trade_no or "" for payment in batch})
    among = ", ".join(f"'{verdict}'" for verdict in sorted(verdicts))
    for *key, is_mock in rows_of(scope, select, "out_trade_no", numbers, f"verdict IN ({among})"):
        found[tuple(key)].add(is_mock)
    return found


def _answers(scope: Scope, batch: list[_Booking]) -> Mapping[str, set[Any]]:
    """Without those of before digests, which leave their payments to the models."""
    found: dict[str, set[Any]] = defaultdict(set)
    select = "SELECT transaction_id, external_id, amount FROM payment_exchanges"
    where = (
        f"kind = '{ExchangeKind.QUERY}' AND outcome = '{ExchangeOutcome.ANSWERED}'"
        " AND answer = 'paid' AND log_hash <> ''"
    )
    same = same_id(scope.using)
    ids = [payment.id for payment in batch]
    for key, number, amount in rows_of(scope, select, "transaction_id", ids, where):
        found[same(key)].add((number, amount))
    return found


class _Payment(NamedTuple):
    """The payment that a callback is bound to, as far as the rule asks."""

    status: str
    disposition: str
    amount: Any


class _Callback(NamedTuple):
    id: str
    verdict: str
    amount: Any
    is_picked_up: int | None
    refund_notice: str | None
    transaction: _Payment | None


def odd_callbacks(scope: Scope, callback_problem: Problem) -> Iterator[Ids]:
    """The ids of callbacks that have to be looked at closely."""
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        where, values = "received_at >= %s", (bare_moment(scope.since),)
    rows = rows_in_chunks(
        scope,
        table="payment_callbacks",
        columns=(*_Callback._fields[:-1], "transaction_id"),
        where=where,
        values=values,
    )
    select = "SELECT id, status, disposition, amount FROM payment_transactions"
    for batch in batches(rows, BATCH):
        bound = sorted({row[-1] for row in batch if row[-1] is not None})
        payments = {key: _Payment(*one) for key, *one in rows_of(scope, select, "id", bound)}
        odd = [
            row[0]
            for row in batch
            # A notice is an object; JSON's null is None for the models.
            if (row[-1] is not None and row[-1] not in payments)
            or (row[4] or "{")[:1] != "{"
            or callback_problem(_Callback._make((*row[:-1], payments.get(row[-1]))))
        ]
        if odd:
            yield odd
