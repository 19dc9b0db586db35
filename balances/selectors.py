"""Reading accounts and ledgers."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from balances.models import (
    BalanceAdjustment,
    BalanceTransaction,
    RelatedType,
    UserBalance,
)


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
