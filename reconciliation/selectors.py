"""Reading bills, compared days and their differences."""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_DOWN, Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS
from payments.models import PaymentTransaction
from payments.services.closed_days import closed_through
from payments.states import TransactionStatus
from reconciliation.merchants import Accounts
from reconciliation.models import BillFile, Difference, ReconciledDay
from reconciliation.our_books import moved_at
from reconciliation.states import BillType, DifferenceType
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.clock import ONE_DAY, business_day
from tcmpay.common.money import ZERO, Money

SHARE = Decimal("0.0001")
# What of a day's yuan these name is there all the same: the bill proves the payment.
NAMES_NO_PAYMENT = frozenset(
    {DifferenceType.FEE, DifferenceType.FUND_GAP, DifferenceType.FUND_MISSING, DifferenceType.LINE}
)


class FundsState(models.TextChoices):
    """Where the money of a payment or a refund is, by the bills alone."""

    EXPECTED = "expected", _("待到账")
    RECEIVED = "received", _("已到账")
    SENT = "sent", _("待退出")
    RETURNED = "returned", _("已退出")
    MISSING = "missing", _("未见资金")
    NONE = "", _("不适用")


def is_day_closed(day: date) -> bool:
    through = closed_through()
    return through is not None and day <= through


def day_taking_bills(merchant: Merchant, day: date) -> date | None:
    """The day in which a bill of ``day`` counts that comes now: itself, or the first open one where
    it was closed without any; None where what it was closed with stands."""
    through = closed_through()
    if through is None or day > through:
        return day
    row = day_of(merchant, day)
    if row is not None and row.counts_on is not None:
        return row.counts_on if row.counts_on > through else None
    return None if has_bill(merchant, day) else through + ONE_DAY


def has_bill(merchant: Merchant, day: date) -> bool:
    return any(bill_current(merchant, day, bill_type) is not None for bill_type in BillType)


def bills_counting(day: date) -> models.QuerySet[BillFile]:
    """The bills that count in ``day``: its own, and those of closed days that came late."""
    counts = Q(day=day)
    for row in ReconciledDay.objects.filter(day=day, counts_on__isnull=False):
        counts &= ~Q(payment_method=row.payment_method, merchant=row.merchant)
    for row in ReconciledDay.objects.filter(counts_on=day):
        counts |= Q(payment_method=row.payment_method, merchant=row.merchant, day=row.day)
    return BillFile.objects.filter(counts, current_key__isnull=False)


def bill_current(merchant: Merchant, day: date, bill_type: BillType) -> BillFile | None:
    """The bill that counts."""
    return BillFile.objects.filter(
        payment_method=merchant.method,
        merchant=merchant.number,
        day=day,
        bill_type=bill_type,
        current_key__isnull=False,
    ).first()


def day_of(merchant: Merchant, day: date) -> ReconciledDay | None:
    return ReconciledDay.objects.filter(
        payment_method=merchant.method, merchant=merchant.number, day=day
    ).first()


def merchant_of(day: ReconciledDay) -> Merchant:
    return Merchant(day.payment_method, day.merchant)


def has_trade_bill(merchant: Merchant, day: date) -> bool:
    """Whether the gateway's word about the day's trade is in: a bill, or that nothing moved."""
    if bill_current(merchant, day, BillType.TRADE) is not None:
        return True
    row = day_of(merchant, day)
    return row is not None and row.is_without_movement


def yuan_named(day: ReconciledDay, differences: Iterable[Difference]) -> Money:
    """How much of the day's yuan ``differences`` name: what its own bill says, else what we do."""
    named: dict[object, Money] = {}
    for row in differences:
        # Several may be about one line.
        key = row.line_number if is_line_of(day, row) else row.id
        named[key] = max(named.get(key, ZERO), _yuan_of(day, row))
    return sum(named.values(), ZERO)


def sum_of_ours(day: ReconciledDay, differences: Iterable[Difference]) -> Money:
    """What only our books have of the day's yuan."""
    return sum((_yuan_of(day, row) for row in differences if not is_line_of(day, row)), ZERO)


def is_line_of(day: ReconciledDay, row: Difference) -> bool:
    """Whether the difference is about a line of the day's own trade bill."""
    return row.bill_id is not None and row.bill_id == day.trade_bill_id


def _yuan_of(day: ReconciledDay, row: Difference) -> Money:
    if row.difference_type in NAMES_NO_PAYMENT:
        return ZERO
    return (row.theirs if is_line_of(day, row) else row.ours) or ZERO


def verified_share(day: ReconciledDay) -> Decimal:
    """The share of the day's yuan that is verified."""
    return share_of(day.total - unverified_yuan(day), day.total)


def unverified_yuan(day: ReconciledDay) -> Money:
    """What open or doubtful differences name of the day's yuan."""
    return min(yuan_named(day, day.differences.unproven()), day.total)


def share_of(verified: Money, total: Money) -> Decimal:
    """Four places, never rounded up; all of nothing."""
    whole = verified / total if total else Decimal(1)
    return whole.quantize(SHARE, rounding=ROUND_DOWN)


def funds_state_of_attempt(attempt: PaymentTransaction) -> FundsState:
    """Where a payment's money is. Computed from bills alone, never kept in a column: received once
    the fund bill of its day was read and nothing of it is missing there."""
    if attempt.status != TransactionStatus.SUCCESS or attempt.completed_at is None:
        return FundsState.NONE
    merchant = _merchant_of(attempt)
    if merchant is None:
        return FundsState.NONE
    day = business_day(attempt.completed_at)
    about = Difference.objects.found().filter(transaction_id=attempt.id, refund=None)
    return _state(merchant, day, about, waiting=FundsState.EXPECTED, done=FundsState.RECEIVED)


def funds_state_of_refund(refund: Refund) -> FundsState:
    """Where a refund's money is, as ``funds_state_of_attempt`` says of a payment's."""
    if refund.status not in (RefundStatus.SUCCESS, RefundStatus.PROCESSING):
        return FundsState.NONE
    merchant = _merchant_of(refund.transaction)
    if merchant is None:
        return FundsState.NONE
    if refund.status == RefundStatus.PROCESSING:
        return FundsState.SENT
    day = business_day(moved_at(merchant.method, refund))
    about = Difference.objects.found().filter(refund_id=refund.id)
    return _state(merchant, day, about, waiting=FundsState.SENT, done=FundsState.RETURNED)


def _state(
    merchant: Merchant,
    day: date,
    about: models.QuerySet[Difference],
    *,
    waiting: FundsState,
    done: FundsState,
) -> FundsState:
    row = day_of(merchant, day)
    if row is None or row.fund_bill_id is None or row.trade_bill_id is None:
        return waiting
    types = set(about.values_list("difference_type", flat=True))
    if types & {DifferenceType.FUND_MISSING, DifferenceType.OURS_ONLY}:
        return FundsState.MISSING
    return waiting if types & {DifferenceType.WRONG_DAY} else done


def _merchant_of(attempt: PaymentTransaction) -> Merchant | None:
    method = attempt.payment_method
    accounts = Accounts((method,) if method in GATEWAY_METHODS else ())
    return accounts.of(method, attempt.config_version_id, attempt.is_mock)
