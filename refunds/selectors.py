"""Reading refunds."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from payments.selectors import parts_of_period
from payments.states import Disposition
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.db import sum_money
from tcmpay.common.money import ZERO, Money


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
    """By the day of money. Money that came late or twice and went back counts in none."""
    done = Refund.objects.filter(
        status=RefundStatus.SUCCESS, transaction__disposition=Disposition.APPLIED
    )
    if user_id is not None:
        done = done.filter(user_id=user_id)
    parts = list(parts_of_period(done, "completed_on", "completed_at", start_date, end_date))
    if len(parts) == 1:
        number = parts[0].values("order_id").distinct().count()
    else:
        number = len({key for part in parts for key in part.values_list("order_id", flat=True)})
    return RefundStatistics(number, sum((sum_money(part, "refund_amount") for part in parts), ZERO))
