"""A quick look at ledger rows for the audit: the bare columns, hashed as they were written.

It only says whether a row is exactly what the services write. What is not is judged by the models
in ``checks``; a mistake here costs time, never a finding.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connections

from balances.ledger import MAC_KIND, MOVES, Figures
from balances.models import RelatedType
from tcmpay.audit.bare_rows import ENCODE, bare_moment, moment_column, moment_of, moment_text
from tcmpay.audit.macs import Verdict, mac_reader
from tcmpay.audit.seals import KeyPeriods
from tcmpay.common.invariants import Scope, rows_in_chunks

AMOUNTS = ("amount", "balance_before", "balance_after", "frozen_before", "frozen_after")
OTHERS = (
    *(
        "related_type",
        "related_id",
        "description",
        "COALESCE(actor_id, '')",
        "previous_hash",
        "hash",
    ),
    *("id", "transaction_type"),
)
Row = tuple[Any, ...]
# How a sound chain ends: sequence, figures in yuan, whether it has an opening, first and last time.
Plain = tuple[int, Figures, bool, datetime, datetime]


def ledger_rows(scope: Scope) -> Iterator[Row]:
    """Every row of the users that moved since then, by user and sequence; amounts as texts."""
    where: str = ""
    values: tuple[Any, ...] = ()
    if scope.since is not None:
        moved = "SELECT user_id FROM balance_transactions WHERE created_at >= %s"
        where, values = f"user_id IN ({moved})", (bare_moment(scope.since),)
    text = (
        "PRINTF('%%.2f', {})" if connections[scope.using].vendor == "sqlite" else "CAST({} AS CHAR)"
    )
    amounts = (text.format(name) for name in AMOUNTS)
    return rows_in_chunks(
        scope,
        table="balance_transactions",
        columns=(
            "user_id",
            "sequence",
            *amounts,
            *OTHERS,
            moment_column(scope.using, "created_at"),
            "occasion",
        ),
        keys=2,
        where=where,
        values=values,
    )


class LedgerReader:
    """Follows one user's bare rows after another's."""

    def __init__(self, periods: KeyPeriods) -> None:
        self._periods, self._holds = periods, mac_reader(MAC_KIND)

    def end_of(self, chain: Iterator[Row]) -> Plain | None:
        """Where the chain leads to from nothing; None when anything at all is odd."""
        try:
            return self._end_of(chain)
        except (ValueError, TypeError):
            return None

    def _end_of(self, chain: Iterator[Row]) -> Plain | None:
        # In fen; what the row before left behind in yuan too, as the rows say it.
        balance = frozen = income = expense = 0
        held, held_frozen = "0.00", "0.00"
        sequence, openings, previous_hash = 0, 0, ""
        began_at: Any = None
        moved_at: Any = None
        for row in chain:
            sequence += 1
            amount, move, stored, moved_at = _fen(row[2]), MOVES.get(row[14]), row[12], row[15]
            began_at = began_at or moved_at
            if move is None or row[1] != sequence or row[11] != previous_hash or amount <= 0:
                return None
            if row[3] != held or row[5] != held_frozen:
                return None
            balance += move.balance * amount
            frozen += move.frozen * amount
            income += move.income * amount
            expense += move.expense * amount
            held, held_frozen = row[4], row[6]
            if _fen(held) != balance or _fen(held_frozen) != frozen or balance < 0 or frozen < 0:
                return None
            if row[7] == RelatedType.OPENING:
                openings += 1
                if sequence > openings:
                    return None
            # What ``balances.ledger`` hashes of an entry.
            content = [row[11], row[13], row[0], row[1], row[14], *row[2:11], moment_text(moved_at)]
            if row[16] != 1:
                content.append(row[16])
            if not self._holds(ENCODE(content), stored) or self._is_untimely(stored, moved_at):
                return None
            previous_hash = stored
        figures = Figures(*(Decimal(fen).scaleb(-2) for fen in (balance, frozen, income, expense)))
        return sequence, figures, openings > 0, moment_of(began_at), moment_of(moved_at)

    def _is_untimely(self, stored: str, moment: Any) -> bool:
        if self._periods.is_plain(stored):
            return False
        return bool(self._periods.problem(Verdict.HOLDS, stored, moment_of(moment)))


def _fen(yuan: str) -> int:
    return int(yuan.replace(".", ""))
