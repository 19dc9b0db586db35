"""Reading accounts and ledgers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet

from balances.models import (
    BalanceAdjustment,
    BalanceTransaction,
    EntryType,
    RelatedType,
    UserBalance,
)
from tcmpay.common.clock import day_start
from tcmpay.common.db import exact_sum
from tcmpay.common.fields import BusinessDay
from tcmpay.common.money import ZERO, Money, fen_to_yuan


def unadopted_openings() -> QuerySet[UserBalance]:
    """Accounts whose balance was put in by SQL and not accepted by staff yet."""
    opening = BalanceTransaction.objects.filter(
        user_id=OuterRef("user_id"), related_type=RelatedType.OPENING
    )
    return UserBalance.objects.filter(opening_adopted_at=None).filter(
        Exists(opening) | (Q(sequence=0) & (Q(balance__gt=0) | Q(frozen_balance__gt=0)))
    )


def adjustments_of(user_id: UUID) -> QuerySet[BalanceAdjustment]:
    """The user's adjustments, newest first."""
    return BalanceAdjustment.objects.filter(user_id=user_id).order_by("-created_at", "-id")


def is_opening_unadopted(account: UserBalance) -> bool:
    return unadopted_openings().filter(pk=account.pk).exists()


def held_for_refunds(user_id: UUID) -> Money:
    """What of the user's frozen money (yuan) is on its way back to where it came from."""
    entries = BalanceTransaction.objects.filter(user_id=user_id, related_type=RelatedType.REFUND)
    kinds = {EntryType.FREEZE: 1, EntryType.UNFREEZE: -1}
    moved = entries.filter(transaction_type__in=kinds)
    amounts = moved.values_list("transaction_type", "amount")
    return sum((kinds[EntryType(kind)] * amount for kind, amount in amounts), ZERO)


@dataclass(frozen=True, slots=True)
class LedgerMoves:
    """What the ledger moved in a period (yuan): what users got and paid, by what it was about.

    Freezing moves nothing: what is frozen is still the user's. ``given_back`` is what of top-ups
    went back; ``other`` is what was taken over as an opening balance.
    """

    topups: Money = ZERO
    spending: Money = ZERO
    refunds: Money = ZERO
    given_back: Money = ZERO
    adjustments: Money = ZERO
    other: Money = ZERO

    @property
    def net(self) -> Money:
        received = self.topups + self.refunds + self.adjustments + self.other
        return received - self.spending - self.given_back


# Under which name an entry's kind is summed, and with which sign.
_MOVES: Mapping[tuple[str, str], tuple[str, int]] = {
    (RelatedType.TOPUP, EntryType.INCOME): ("topups", 1),
    (RelatedType.ORDER, EntryType.EXPENSE): ("spending", 1),
    (RelatedType.REFUND, EntryType.INCOME): ("refunds", 1),
    (RelatedType.REFUND, EntryType.EXPENSE): ("given_back", 1),
    (RelatedType.ADJUSTMENT, EntryType.INCOME): ("adjustments", 1),
    (RelatedType.ADJUSTMENT, EntryType.EXPENSE): ("adjustments", -1),
}


def ledger_moves(first: date, last: date, *, using: str = "default") -> dict[date, LedgerMoves]:
    """What each business day from ``first`` to ``last`` moved; days without a movement are left
    out."""
    entries = BalanceTransaction.objects.using(using).filter(
        created_at__gte=day_start(first),
        created_at__lt=day_start(last + timedelta(days=1)),
        transaction_type__in=(EntryType.INCOME, EntryType.EXPENSE),
    )
    expression, to_money = exact_sum("amount", using=using)
    days: dict[date, dict[str, Money]] = {}
    groups = entries.order_by().annotate(day=BusinessDay("created_at"))
    kinds = ("day", "related_type", "transaction_type")
    for day, related, kind, total in groups.values_list(*kinds).annotate(total=expression):
        # Whatever else there may be one day, users got it or paid it.
        name, sign = _MOVES.get((related, kind), ("other", 1 if kind == EntryType.INCOME else -1))
        found = days.setdefault(day, {})
        found[name] = found.get(name, ZERO) + sign * to_money(total)
    return {day: LedgerMoves(**found) for day, found in days.items()}


def liabilities_at(moment: datetime, *, using: str = "default") -> Money:
    """What users had with us at ``moment`` (UTC), frozen money too, by their accounts of now and
    what the ledger moved since: in one statement, so that no payment comes between.

    A balance that was put in by SQL counts from its first movement on, which writes it into the
    ledger.
    """
    database = connections[using]
    fen = "CAST(ROUND({0} * 100) AS {1})"
    integer = "INTEGER" if database.vendor == "sqlite" else "SIGNED"
    held = fen.format("(balance + frozen_balance)", integer)
    moved = fen.format("amount", integer)
    signed = (
        f"CASE transaction_type WHEN '{EntryType.INCOME}' THEN {moved}"
        f" WHEN '{EntryType.EXPENSE}' THEN -{moved} ELSE 0 END"
    )
    sql = (
        f"SELECT (SELECT COALESCE(SUM({held}), 0) FROM user_balances WHERE sequence > 0),"
        f" (SELECT COALESCE(SUM({signed}), 0) FROM balance_transactions WHERE created_at >= %s)"
    )
    with database.cursor() as cursor:
        cursor.execute(sql, [database.ops.adapt_datetimefield_value(moment)])
        now, since = cursor.fetchone()
    return fen_to_yuan(int(now) - int(since))
