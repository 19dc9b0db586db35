"""How many refunds of one payment there may be, how far apart they are sent, and how long after
a sending the gateway's "there is no such refund" is to be believed.

Sources: WeChat Pay, domestic refund: at most 50 partial refunds per order, at least one minute
apart, ask once a minute. Alipay, alipay.trade.refund: at least three seconds apart, no count
documented; alipay.trade.fastpay.refund.query: ask ten seconds after the refund or later, an early
question may miss a refund that still succeeds. WeChat's count holds for every method: more would
only flood the queue of those who review.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from payments.refundable import REFUNDS_MAX
from payments.states import PaymentMethod


@dataclass(frozen=True, slots=True)
class RefundLimits:
    refunds_max: int
    spacing: timedelta
    known_after: timedelta


# A sending that nobody heard the end of has come to the gateway by then, or never does: twice the
# bound of a call.
SENDING_SECONDS_MAX = 30

# Gateways give nothing back of a payment after a year (WeChat Pay: one year; Alipay: twelve months
# by default); what is asked for at its end has to be reviewed and sent in time.
GIVE_BACK_WITHIN = timedelta(days=364)
# How many top-ups one request to give a balance back reaches.
GIVE_BACK_PARTS_MAX = 50
LIMITS: Mapping[str, RefundLimits] = {
    PaymentMethod.BALANCE: RefundLimits(
        refunds_max=REFUNDS_MAX, spacing=timedelta(0), known_after=timedelta(0)
    ),
    PaymentMethod.WECHAT: RefundLimits(
        refunds_max=REFUNDS_MAX,
        spacing=timedelta(seconds=61),
        known_after=timedelta(seconds=60),
    ),
    PaymentMethod.ALIPAY: RefundLimits(
        refunds_max=REFUNDS_MAX,
        spacing=timedelta(seconds=4),
        known_after=timedelta(seconds=15),
    ),
}
