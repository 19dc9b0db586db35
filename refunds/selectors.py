"""Reading refunds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from payments.selectors import in_period
from payments.states import Disposition
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.db import sum_money
from tcmpay.common.money import ZERO, Money


def refunds_list(
    *,
    user_id: UUID | None = None,
    status: Sequence[str] | None = None,
    updated_since: datetime | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    **equal: Any,
) -> QuerySet[Refund]:
    """Refunds, newest first; ``start_date`` belongs to the period, ``end_date`` no longer does."""
    refunds = Refund.objects.order_by("-created_at", "-id").filter(**equal)
    if user_id is not None:
        refunds = refunds.filter(user_id=user_id)
    if status is not None:
        refunds = refunds.filter(status__in=status)
    refunds = in_period(refunds, "updated_at", updated_since, None)
    return in_period(refunds, "created_at", start_date, end_date)


def refunded_total(transaction_id: UUID) -> Money:
    """What has really gone back of one payment (yuan), read under the order's lock."""
    amounts = Refund.objects.filter(
        transaction_id=transaction_id, status=RefundStatus.SUCCESS
    ).values_list("refund_amount", flat=True)
    return sum(amounts, ZERO)


@dataclass(frozen=True, slots=True)
class RefundStatistics:
    """Orders that got money back in a period, and how much (yuan)."""

    refunded_orders: int
    refunded_amount: Money


def refund_statistics(
    *,
    user_id: UUID | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
) -> RefundStatistics:
    """By completed_at. Money that came late or twice and went back counts in none."""
    done = Refund.objects.filter(
        status=RefundStatus.SUCCESS, transaction__disposition=Disposition.APPLIED
    )
    if user_id is not None:
        done = done.filter(user_id=user_id)
    done = in_period(done, "completed_at", start_date, end_date)
    return RefundStatistics(
        refunded_orders=done.values("order_id").distinct().count(),
        refunded_amount=sum_money(done, "refund_amount"),
    )
