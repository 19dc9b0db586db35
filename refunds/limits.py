"""How many refunds of one payment there may be, and how far apart they are sent.

Sources: WeChat Pay, domestic refund: at most 50 partial refunds per order, at least one minute
apart. Alipay, alipay.trade.refund: at least three seconds apart, no count documented. WeChat's
count holds for every method: more would only flood the queue of those who review.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from payments.states import PaymentMethod


@dataclass(frozen=True, slots=True)
class RefundLimits:
    refunds_max: int
    spacing: timedelta


REFUNDS_MAX = 50
# Of one payment, waiting for review at the same time.
WAITING_MAX = 10


LIMITS: Mapping[str, RefundLimits] = {
    PaymentMethod.BALANCE: RefundLimits(refunds_max=REFUNDS_MAX, spacing=timedelta(0)),
    PaymentMethod.WECHAT: RefundLimits(refunds_max=REFUNDS_MAX, spacing=timedelta(seconds=61)),
    PaymentMethod.ALIPAY: RefundLimits(refunds_max=REFUNDS_MAX, spacing=timedelta(seconds=4)),
}
