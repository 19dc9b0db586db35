"""How one entry moves an account, and the hash that binds it to the entry before."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from balances.models import BalanceTransaction, EntryType
from tcmpay.audit.macs import Verdict, canonical, chain_mac, chain_mac_verdict
from tcmpay.common import clock
from tcmpay.common.money import Money, format_money

MAC_KIND = "balance_transactions"


@dataclass(frozen=True, slots=True)
class Move:
    """Signs that an entry's amount takes on in each of the account's figures."""

    balance: int
    frozen: int
    income: int
    expense: int


MOVES: Mapping[str, Move] = {
    EntryType.INCOME: Move(balance=+1, frozen=0, income=+1, expense=0),
    EntryType.EXPENSE: Move(balance=-1, frozen=0, income=0, expense=+1),
    EntryType.FREEZE: Move(balance=-1, frozen=+1, income=0, expense=0),
    EntryType.UNFREEZE: Move(balance=+1, frozen=-1, income=0, expense=0),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """An account's four figures in yuan."""

    balance: Money
    frozen: Money
    income: Money
    expense: Money

    def moved(self, entry_type: str, amount: Money) -> "Figures":
        move = MOVES[entry_type]
        return Figures(
            balance=self.balance + move.balance * amount,
            frozen=self.frozen + move.frozen * amount,
            income=self.income + move.income * amount,
            expense=self.expense + move.expense * amount,
        )

    @property
    def held(self) -> Money:
        """All that the user has with us."""
        return self.balance + self.frozen

    @property
    def gap(self) -> Decimal:
        """What the totals fail to explain: zero in a sound account (invariant L1)."""
        return self.held - (self.income - self.expense)


def entry_hash(entry: BalanceTransaction) -> str:
    """The keyed digest of the entry's content and its predecessor's hash: tampering shows."""
    return chain_mac(MAC_KIND, _content(entry))


def entry_verdict(entry: BalanceTransaction) -> Verdict:
    """Whether the entry's own hash is that of its content."""
    return chain_mac_verdict(MAC_KIND, _content(entry), entry.hash)


def _content(entry: BalanceTransaction) -> bytes:
    content = [
        entry.previous_hash,
        str(entry.id),
        str(entry.user_id),
        entry.sequence,
        str(entry.transaction_type),
        format_money(entry.amount),
        format_money(entry.balance_before),
        format_money(entry.balance_after),
        format_money(entry.frozen_before),
        format_money(entry.frozen_after),
        str(entry.related_type),
        str(entry.related_id),
        entry.description,
        str(entry.actor_id or ""),
        clock.utc_text(entry.created_at),
    ]
    if entry.occasion != 1:
        content.append(entry.occasion)  # entries from before there were several keep their hash
    return canonical(content)
