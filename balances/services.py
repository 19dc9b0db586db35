"""The only code that moves money on an account: under its lock, with its ledger entry."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from balances.errors import (
    BalanceLimit,
    BalanceUnderReview,
    InsufficientBalance,
    InsufficientFrozenBalance,
    MovementRepeated,
    OwnBalance,
)
from balances.ledger import Figures, entry_hash
from balances.models import BalanceTransaction, EntryType, RelatedType, UserBalance
from balances.selectors import held_for_refunds
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_id
from tcmpay.common.money import MONEY_MAX, ZERO, Money
from tcmpay.common.second_person import ensure_not_one_of
from tcmpay.common.statements import Beside, insert, lock_with, new_row, update
from tcmpay.common.transitions import ensure_one

AUDIT_OBJECT = "balance"
TOPPED_UP = "balance_topped_up"


@dataclass(frozen=True, slots=True)
class Related:
    """The business fact that a movement belongs to; one fact moves money once."""

    type: RelatedType
    id: UUID


def account_ensure(user_id: UUID) -> UserBalance:
    """The user's account, created at first access."""
    account, _created = UserBalance.objects.get_or_create(
        user_id=user_id, defaults={"created_at": clock.now(), "updated_at": clock.now()}
    )
    return account


@money_unit
def account_open(*, user_id: UUID, reason: str, actor: Actor) -> tuple[UserBalance, bool]:
    """The user's account, and whether it was made now; staff's doing is told in the audit trail."""
    account, is_new = UserBalance.objects.get_or_create(
        user_id=user_id, defaults={"created_at": clock.now(), "updated_at": clock.now()}
    )
    if is_new:
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=user_id,
            action="balance_opened",
            actor=actor,
            reason=reason,
        )
    return account, is_new


def balance_debit(
    *, user_id: UUID, amount: Money, related: Related, description: str, actor: Actor
) -> BalanceTransaction:
    """Take ``amount`` (yuan) from the user's available balance and write its ledger entry.

    Must run inside the caller's transaction, which holds the order's lock: the balance is
    always locked after the order, so that two payments can't wait for each other.

    Raises:
        InsufficientBalance: less than ``amount`` is available; nothing is written.
        BalanceUnderReview: the ledger does not end at the balance (CONTRACT 7.1).
    """
    locked = _lock_account(user_id)
    if locked.account.balance < amount:
        raise InsufficientBalance(available=locked.account.balance, needed=amount)
    return _append(locked, EntryType.EXPENSE, amount, related, description, actor)


def balance_credit(
    *, user_id: UUID, amount: Money, related: Related, description: str, actor: Actor
) -> BalanceTransaction:
    """Add ``amount`` (yuan) to the user's available balance and write its ledger entry.

    Must run inside the caller's transaction.

    Raises:
        BalanceLimit: available and frozen would pass 99,999,999.99; nothing is written.
        BalanceUnderReview: the ledger does not end at the balance.
    """
    locked = _lock_account(user_id)
    # Frozen money too: it may come back at any time, and must find room.
    if locked.figures.held + amount > MONEY_MAX:
        raise BalanceLimit(balance=locked.account.balance, amount=amount)
    return _append(locked, EntryType.INCOME, amount, related, description, actor)


def balance_lock(user_id: UUID) -> Figures:
    """The account's figures, which stay so until the caller's unit ends.

    Raises BalanceUnderReview.
    """
    return _lock_account(user_id).figures


def balance_hold(
    *, user_id: UUID, amount: Money, related: Related, description: str, actor: Actor
) -> BalanceTransaction:
    """Freeze ``amount`` (yuan), which is on its way out; inside the caller's unit.

    What the same fact held before it has released. Raises InsufficientBalance, BalanceUnderReview.
    """
    locked = _lock_account(user_id)
    if locked.account.balance < amount:
        raise InsufficientBalance(available=locked.account.balance, needed=amount)
    return _append_again(locked, EntryType.FREEZE, amount, related, description, actor)


def balance_release(
    *, user_id: UUID, amount: Money, related: Related, description: str, actor: Actor
) -> BalanceTransaction:
    """Give ``amount`` (yuan) that the fact held back to the user; inside the caller's unit.

    Raises BalanceUnderReview; InsufficientFrozenBalance: nothing of that amount is frozen.
    """
    locked = _lock_account(user_id)
    if locked.account.frozen_balance < amount:
        raise InsufficientFrozenBalance(frozen=locked.account.frozen_balance, needed=amount)
    return _append_again(locked, EntryType.UNFREEZE, amount, related, description, actor)


def balance_pay_out(
    *, user_id: UUID, amount: Money, related: Related, description: str, actor: Actor
) -> BalanceTransaction:
    """What the fact held has left us: ``amount`` (yuan) is released and spent, once; inside the
    caller's unit. Raises BalanceUnderReview, InsufficientFrozenBalance.
    """
    balance_release(
        user_id=user_id, amount=amount, related=related, description=description, actor=actor
    )
    return balance_debit(
        user_id=user_id, amount=amount, related=related, description=description, actor=actor
    )


@money_unit
def balance_freeze(
    *, user_id: UUID, amount: Money, reason: str, actor: Actor, fact_id: UUID | None = None
) -> BalanceTransaction:
    """Move ``amount`` (yuan) from available to frozen.

    With ``fact_id`` (a form's) the same form sent twice moves once.
    Raises OwnBalance, InsufficientBalance, BalanceUnderReview, MovementRepeated.
    """
    _ensure_not_own(actor, user_id)
    locked = _lock_account(user_id)
    account = locked.account
    _ensure_new(fact_id)
    if account.balance < amount:
        raise InsufficientBalance(available=account.balance, needed=amount)
    return _append_adjustment(locked, EntryType.FREEZE, amount, reason, actor, fact_id)


@money_unit
def balance_unfreeze(
    *, user_id: UUID, amount: Money, reason: str, actor: Actor, fact_id: UUID | None = None
) -> BalanceTransaction:
    """Move ``amount`` (yuan) from frozen back to available; ``fact_id`` as in balance_freeze.

    Raises OwnBalance, InsufficientFrozenBalance, BalanceLimit, BalanceUnderReview,
    MovementRepeated. What refunds hold is not touched.
    """
    _ensure_not_own(actor, user_id)
    locked = _lock_account(user_id)
    account = locked.account
    _ensure_new(fact_id)
    frozen = account.frozen_balance - held_for_refunds(user_id)
    if frozen < amount:
        raise InsufficientFrozenBalance(frozen=frozen, needed=amount)
    if account.balance + amount > MONEY_MAX:
        raise BalanceLimit(balance=account.balance, amount=amount)
    return _append_adjustment(locked, EntryType.UNFREEZE, amount, reason, actor, fact_id)


@money_unit
def balance_top_up(
    *, user_id: UUID, amount: Money, reason: str, actor: Actor
) -> BalanceTransaction:
    """Credit ``amount`` (yuan) that came in outside of the gateways, with its reason.

    Raises OwnBalance.
    """
    _ensure_not_own(actor, user_id)
    entry = balance_credit(
        user_id=user_id,
        amount=amount,
        related=Related(RelatedType.TOPUP, new_id()),
        description=reason,
        actor=actor,
    )
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=user_id,
        action=TOPPED_UP,
        actor=actor,
        reason=reason,
        details={"amount": str(amount), "entry": str(entry.id)},
    )
    return entry


@money_unit
def opening_adopt(*, user_id: UUID, reason: str, actor: Actor) -> bool:
    """Accept, for the record, the balance that was put in by SQL.

    Writes the opening entry if no movement did so yet. Returns False when there is nothing to
    adopt (no such account, or adopted before). Raises OwnBalance.
    """
    _ensure_not_own(actor, user_id)
    found = _find_and_lock(user_id)
    if found is None or found[0].account.opening_adopted_at is not None:
        return False
    locked, ends_at = found
    account = locked.account
    if ends_at[0] == 0:
        _write_opening_if_due(locked, actor)
    entries = BalanceTransaction.objects.filter(user_id=user_id, related_type=RelatedType.OPENING)
    if not entries.exists():
        return False
    adopted_at = clock.now()
    UserBalance.objects.filter(id=account.id).update(
        opening_adopted_at=adopted_at, updated_at=adopted_at
    )
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=user_id,
        action="opening_adopted",
        actor=actor,
        reason=reason,
        details={"balance": str(account.balance)},
    )
    return True


def _ensure_not_own(actor: Actor, user_id: UUID) -> None:
    """A staff user may have an account as a patient: somebody else handles it."""
    ensure_not_one_of(actor, user_id, error=OwnBalance)


# The newest entry of a locked account, read with the account's row: the one at which it stands,
# or one beyond.
_NEWEST_ENTRY = Beside(
    BalanceTransaction,
    ("sequence", "balance_after", "frozen_after", "hash"),
    "LEFT JOIN balance_transactions beside"
    " ON beside.user_id = %s AND beside.sequence >= user_balances.sequence",
)


@dataclass(slots=True)
class _Locked:
    """A locked account, and the hash of its newest entry ("" without one)."""

    account: UserBalance
    last_hash: str

    @property
    def figures(self) -> Figures:
        account = self.account
        return Figures(
            balance=account.balance,
            frozen=account.frozen_balance,
            income=account.total_income,
            expense=account.total_expense,
        )


def _lock_account(user_id: UUID) -> _Locked:
    """The user's account, made at first access: locked, and proven sound by its newest entry."""
    found = _find_and_lock(user_id)
    if found is None:
        account_ensure(user_id)
        found = _find_and_lock(user_id)
        assert found is not None, "accounts are never deleted"
    locked, ends_at = found
    if ends_at[0] == 0 and _write_opening_if_due(locked, None):
        return locked
    account = locked.account
    at = (account.sequence, account.balance, account.frozen_balance)
    if at != ends_at or locked.figures.gap != 0:
        raise BalanceUnderReview(user_id=user_id, sequence=account.sequence)
    return locked


def _find_and_lock(user_id: UUID) -> tuple[_Locked, tuple[int, Money, Money]] | None:
    """The locked account; sequence, available and frozen balance (yuan) that its ledger ends at."""
    account, newest = lock_with(UserBalance, {"user_id": user_id}, _NEWEST_ENTRY, [str(user_id)])
    if account is None:
        return None
    sequence, balance, frozen, last_hash = newest
    if sequence is None:
        # The ledger is empty, or ends before the account's number: then it ends nowhere.
        is_empty = not BalanceTransaction.objects.filter(user_id=user_id).exists()
        return _Locked(account, ""), (0 if is_empty else -1, ZERO, ZERO)
    return _Locked(account, last_hash), (sequence, balance, frozen)


def _write_opening_if_due(locked: _Locked, actor: Actor | None) -> bool:
    """Write the opening entries of a balance that was inserted by SQL and has no entry yet; whether
    there was one.

    What its totals don't explain is booked to them first, so that L1 holds from here on.
    """
    account, figures = locked.account, locked.figures
    held = account.balance + account.frozen_balance
    if account.sequence != 0 or held == 0:
        return False
    # The opening entry itself counts ``held`` as income: the totals must end up explaining
    # exactly what the account holds.
    unexplained = figures.gap
    income = figures.income + max(unexplained, ZERO) - held
    expense = figures.expense + max(-unexplained, ZERO)
    frozen = account.frozen_balance
    account.balance = account.frozen_balance = ZERO
    account.total_income, account.total_expense = income, expense
    opening = Related(RelatedType.OPENING, account.id)
    text = _("期初余额")
    _append(locked, EntryType.INCOME, held, opening, text, actor)
    if frozen:
        _append(locked, EntryType.FREEZE, frozen, opening, text, actor)
    return True


def _ensure_new(fact_id: UUID | None) -> None:
    """Under the account's lock, so that of two equal forms the second sees the first."""
    facts = BalanceTransaction.objects.filter(
        related_id=fact_id, related_type=RelatedType.ADJUSTMENT
    )
    if fact_id is not None and facts.exists():
        raise MovementRepeated()


def _append_adjustment(
    locked: _Locked,
    entry_type: EntryType,
    amount: Money,
    reason: str,
    actor: Actor,
    fact_id: UUID | None,
) -> BalanceTransaction:
    related = Related(RelatedType.ADJUSTMENT, fact_id or new_id())
    entry = _append(locked, entry_type, amount, related, reason, actor)
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=locked.account.user_id,
        action=f"balance_{entry_type}",
        actor=actor,
        reason=reason,
        details={"amount": str(amount), "entry": str(entry.id)},
    )
    return entry


def _append_again(
    locked: _Locked,
    entry_type: EntryType,
    amount: Money,
    related: Related,
    description: str,
    actor: Actor,
) -> BalanceTransaction:
    earlier = BalanceTransaction.objects.filter(
        related_id=related.id, related_type=related.type, transaction_type=entry_type
    )
    occasion = earlier.count() + 1
    return _append(locked, entry_type, amount, related, description, actor, occasion)


def _append(
    locked: _Locked,
    entry_type: EntryType,
    amount: Money,
    related: Related,
    description: str,
    actor: Actor | None,
    occasion: int = 1,
) -> BalanceTransaction:
    """Write the next entry and move the locked account to where it ends."""
    account, before = locked.account, locked.figures
    after = before.moved(entry_type, amount)
    now = clock.now()
    entry = new_row(
        BalanceTransaction,
        user_id=account.user_id,
        sequence=account.sequence + 1,
        transaction_type=entry_type,
        amount=amount,
        balance_before=before.balance,
        balance_after=after.balance,
        frozen_before=before.frozen,
        frozen_after=after.frozen,
        related_type=related.type,
        related_id=related.id,
        occasion=occasion,
        description=description[:500],
        actor_id=actor.id if actor else None,
        created_at=now,
        previous_hash=locked.last_hash,
    )
    entry.hash = entry_hash(entry)
    insert(entry)
    moved = {
        "balance": after.balance,
        "frozen_balance": after.frozen,
        "total_income": after.income,
        "total_expense": after.expense,
        "sequence": entry.sequence,
        "updated_at": now,
    }
    # Guarded by the sequence: had the account moved under us, no row would match.
    guard = {"id": account.id, "sequence": account.sequence}
    ensure_one(update(UserBalance, guard, moved), f"balance {account.user_id}")
    for name, value in moved.items():
        setattr(account, name, value)
    locked.last_hash = entry.hash
    return entry
