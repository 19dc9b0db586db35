"""What the gateways allow: how many refunds of one payment, and how far apart.

Sources: WeChat Pay, domestic refund: at most 50 partial refunds per order, at least one minute
apart. Alipay, alipay.trade.refund: at least three seconds apart, no count documented.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from payments.states import PaymentMethod


@dataclass(frozen=True, slots=True)
class RefundLimits:
    refunds_max: int | None
    spacing: timedelta


LIMITS: Mapping[str, RefundLimits] = {
    PaymentMethod.BALANCE: RefundLimits(refunds_max=None, spacing=timedelta(0)),
    PaymentMethod.WECHAT: RefundLimits(refunds_max=50, spacing=timedelta(seconds=61)),
    PaymentMethod.ALIPAY: RefundLimits(refunds_max=None, spacing=timedelta(seconds=4)),
}
