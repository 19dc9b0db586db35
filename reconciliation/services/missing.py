"""Bills that a gateway owes us: the case of each, and its end once the bill is there."""

from datetime import date, datetime, time

from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from payments.models import PaymentException
from payments.services.exceptions import exception_open, exception_settle
from payments.states import ExceptionKind
from reconciliation.selectors import has_trade_bill
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY, SHANGHAI
from tcmpay.common.db import money_unit

MISSING_FROM = time(15)  # Shanghai, on the day after


def is_missing(day: date, now: datetime | None = None) -> bool:
    """Whether it is time to say that a day's bill is missing: from 15:00 of the next day on."""
    local = (now or clock.now()).astimezone(SHANGHAI)
    return local >= datetime.combine(day + ONE_DAY, MISSING_FROM, SHANGHAI)


@money_unit
def missing_report(merchant: Merchant, day: date, reason: str) -> None:
    if is_missing(day):
        exception_open(
            ExceptionKind.BILL_MISSING,
            method=merchant.method,
            fact=_fact(merchant, day),
            reason=_("商户号 %(merchant)s 在 %(day)s 的账单：%(reason)s")
            % {"merchant": merchant.number, "day": day, "reason": reason},
            actor=SYSTEM,
        )


@money_unit
def missing_settle(merchant: Merchant, day: date) -> None:
    """End the case of the day's bill, if that is there."""
    if has_trade_bill(merchant, day):
        fact = (ExceptionKind.BILL_MISSING, _fact(merchant, day))
        text = _("账单已取到")
        exception_settle(fact, method=merchant.method, resolution=text, actor=SYSTEM)


def missing_settle_all() -> None:
    """End the cases of all bills that came meanwhile, whichever way and however late."""
    cases = PaymentException.objects.filter(kind=ExceptionKind.BILL_MISSING, closed_at=None)
    for method, fact_key in cases.values_list("payment_method", "fact_key"):
        number, _slash, day = PaymentException(fact_key=fact_key).subject.rpartition("/")
        missing_settle(Merchant(method, number), date.fromisoformat(day))


def _fact(merchant: Merchant, day: date) -> str:
    return f"{merchant.number}/{day}"
