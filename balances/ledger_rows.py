"""A quick look at ledger rows for the audit: the bare columns, hashed as they were written.

It only says whether a row is exactly what the services write. What is not is judged by the models
in ``checks``; a mistake here costs time, never a finding.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from balances.ledger import ENCODER, MAC_KIND, MOVES, Figures
from tcmpay.audit.macs import chain_mac_verdict
from tcmpay.audit.seals import KeyPeriods
from tcmpay.common.invariants import Scope, rows_in_chunks
from tcmpay.common.money import format_money

COLUMNS = (
    *("user_id", "sequence", "id", "transaction_type", "amount"),
    *("balance_before", "balance_after", "frozen_before", "frozen_after"),
    *("related_type", "related_id", "description", "actor_id"),
    *("created_at", "previous_hash", "hash"),
)
Row = tuple[Any, ...]


def ledger_rows(scope: Scope, since: datetime | None) -> Iterator[Row]:
    """Every row of the users that moved since then, by user and sequence (MariaDB and MySQL)."""
    moved = "SELECT user_id FROM balance_transactions WHERE created_at >= %s"
    return rows_in_chunks(
        scope,
        table="balance_transactions",
        columns=COLUMNS,
        keys=2,
        where="" if since is None else f"user_id IN ({moved})",
        values=() if since is None else (since,),
    )


def follows(
    row: Row, sequence: int, figures: Figures, previous_hash: str, periods: KeyPeriods
) -> Figures | None:
    """Where ``row`` leads to from the state before it; None when anything at all is odd."""
    move = MOVES.get(row[3])
    if row[1] != sequence + 1 or row[14] != previous_hash or move is None:
        return None
    amount = row[4]
    if row[5] != figures.balance or row[7] != figures.frozen or amount <= 0:
        return None
    after = figures.moved(row[3], amount)
    if row[6] != after.balance or row[8] != after.frozen or after.balance < 0 or after.frozen < 0:
        return None
    verdict = chain_mac_verdict(MAC_KIND, _content(row), row[15])
    is_odd = periods.problem(verdict, row[15], row[13].replace(tzinfo=UTC))
    return None if is_odd else after


def _content(row: Row) -> bytes:
    content = [
        row[14],
        row[2],
        row[0],
        row[1],
        row[3],
        *(format_money(row[number]) for number in range(4, 9)),
        row[9],
        row[10],
        row[11],
        row[12] or "",
        row[13].isoformat(timespec="microseconds") + "+00:00",
    ]
    return ENCODER.encode(content).encode()
