"""Reading refunds."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from payments.day_figures import Period, kept_figures
from refunds.day_figures import REFUNDED, kept_orders
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
    period = Period.of(start_date, end_date)
    known = kept_figures(period, user_id)
    kept = known.get(REFUNDED.kind)
    parts = REFUNDED.parts(period, user_id, known)
    if kept is None and len(parts) == 1:
        number = parts[0].values("order_id").distinct().count()
        return RefundStatistics(number, sum_money(parts[0], "refund_amount"))
    facts = [fact for part in parts for fact in part.values_list("order_id", "refund_amount")]
    orders = {order for order, _amount in facts}
    number, amount = len(orders), sum((amount for _order, amount in facts), ZERO)
    if kept:
        # Those that are in what is kept already count there.
        again = kept_orders(orders, period, kept.until) if orders else 0
        number, amount = number - again + kept.number, amount + kept.amount
    return RefundStatistics(number, amount)
