"""Bills from the gateways: a day's, and every morning those that are missing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time

from config.gateways.merchants import Merchant
from gateways.errors import GatewayError, GatewayRejected, RejectReason
from gateways.interface import ALIPAY, BillRefused, OpenedBill
from payments.errors import GatewayDown, GatewayRefused
from payments.models import PaymentOrder
from reconciliation.errors import AnotherBillThere, BillNotAccepted, BillNotReady
from reconciliation.merchants import gateway_of
from reconciliation.models import Difference
from reconciliation.our_books import has_moved, merchants_of_day
from reconciliation.selectors import bill_current, day_of, has_bill, has_trade_bill, is_day_closed
from reconciliation.services.differences import is_due
from reconciliation.services.importing import bill_import, ensure_day_over
from reconciliation.services.missing import missing_report, missing_settle_all
from reconciliation.services.running import day_reconcile, day_without_movement
from reconciliation.states import BillSource, BillType
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.clock import ONE_DAY, SHANGHAI
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

# From when on (Shanghai) yesterday's bills are asked for.
READY_FROM = {"wechat": time(10), "alipay": time(9)}
# A gateway keeps bills for months; a day that lacks one is asked for again so long.
DAYS_BACK = 7
RUN_SECONDS = 40.0
NO_FILE = frozenset({RejectReason.TOO_SOON, "not_offered"})


def bills_fetch(*, actor: Actor, merchant: Merchant, day: date, is_replacing: bool = False) -> None:
    """Fetch and keep the day's bills.

    Raises:
        BillNotReady, GatewayDown, GatewayRefused: nothing was changed.
        BillNotAccepted, AnotherBillThere, DayIsClosed: as ``bill_import``.
    """
    ensure_day_over(day)
    fetched = Fetched(actor, merchant, day, is_replacing)
    fetched.trade()
    fetched.fund()


def missing_fetch(*, actor: Actor, merchant: Merchant, day: date) -> None:
    """Fetch those of the day's bills that are not there. Raises what ``bills_fetch`` raises."""
    ensure_day_over(day)
    fetched = Fetched(actor, merchant, day)
    if not has_trade_bill(merchant, day):
        fetched.trade()
    if bill_current(merchant, day, BillType.FUND) is None:
        fetched.fund()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a gateway has of one merchant's day."""

    actor: Actor
    merchant: Merchant
    day: date
    is_replacing: bool = False
    # What becomes of a bill that differs from the one that counts; without it that is an error.
    put_away: Callable[[BillType, OpenedBill, AnotherBillThere], None] | None = None

    def trade(self) -> None:
        try:
            opened = _asked(lambda: gateway_of(self.merchant).download_bill(self.day))
        except BillNotReady:
            if has_trade_bill(self.merchant, self.day):
                return  # one that came by hand
            raise
        if opened is not None:
            self._keep(BillType.TRADE, opened)
        else:
            day_without_movement(actor=self.actor, merchant=self.merchant, day=self.day)

    def fund(self) -> None:
        """The account's bill is a further leg: a day is compared without it, too."""
        try:
            opened = _asked(lambda: gateway_of(self.merchant).download_fund_bill(self.day))
        except (BillNotReady, GatewayDown, GatewayRefused) as error:
            logger.info("fund_bill_not_there", extra={"day": str(self.day), "reason": error.code})
            return
        if opened is not None:
            self._keep(BillType.FUND, opened)

    def _keep(self, bill_type: BillType, opened: OpenedBill) -> None:
        with closing(opened):
            try:
                bill_import(
                    actor=self.actor,
                    merchant=self.merchant,
                    day=self.day,
                    bill_type=bill_type,
                    opened=opened,
                    source=BillSource.FETCHED,
                    is_replacing=self.is_replacing,
                )
            except AnotherBillThere as error:
                if self.put_away is None:
                    raise
                self.put_away(bill_type, opened, error)


def _asked(call: Callable[[], OpenedBill | None]) -> OpenedBill | None:
    try:
        return call()
    except BillRefused as error:
        raise BillNotAccepted(str(error)) from error
    except GatewayRejected as error:
        if error.reason in NO_FILE:
            raise BillNotReady() from error
        raise GatewayRefused(error.message or None) from error
    except GatewayError as error:
        raise GatewayDown() from error


# --- every morning ------------------------------------------------------------------------------


def bills_due(now: datetime | None = None) -> Iterator[tuple[Merchant, date]]:
    """The merchants' days of the last week that lack a bill that there ought to be by now."""
    now = now or clock.now()
    local = now.astimezone(SHANGHAI)
    if local.time() < min(READY_FROM.values()):
        return
    first = _first_day()
    for back in range(1, DAYS_BACK + 1):
        day = local.date() - back * ONE_DAY
        if first is None or day < first:
            continue
        for merchant in merchants_of_day(day):
            if is_day_closed(day) and not _came_late(merchant, day):
                continue
            is_ready = back > 1 or local.time() >= READY_FROM[merchant.method]
            if is_ready and not _has_bills(merchant, day):
                yield merchant, day


def _came_late(merchant: Merchant, day: date) -> bool:
    """Whether money of a closed day was told after it was closed, without any bill."""
    return not has_bill(merchant, day) and has_moved(merchant, day)


def _has_bills(merchant: Merchant, day: date) -> bool:
    if not has_trade_bill(merchant, day):
        return False
    # Alipay's account bill is for those who ordered it.
    has_fund = merchant.method == ALIPAY or bill_current(merchant, day, BillType.FUND) is not None
    return _is_compared(merchant, day) and (has_fund or not _moved(merchant, day))


def _is_compared(merchant: Merchant, day: date) -> bool:
    row = day_of(merchant, day)
    return row is not None and row.runs > 0


def _moved(merchant: Merchant, day: date) -> bool:
    return bill_current(merchant, day, BillType.TRADE) is not None


def _first_day() -> date | None:
    """The business day of the first order: before it there is nothing of ours to compare."""
    created_at = PaymentOrder.objects.order_by("created_at").values_list("created_at", flat=True)
    first = created_at.first()
    return clock.business_day(first) if first else None


def bills_sweep() -> int:
    """Fetch and compare what is due, each by itself; returns how many days were compared."""
    done = 0
    for merchant, day in in_time(list(bills_due()), seconds=RUN_SECONDS):
        with by_itself(logger, "bill_sweep_failed", day=str(day), method=merchant.method):
            done += _swept(merchant, day)
    for merchant, day in in_time(list(_cases_due()), seconds=RUN_SECONDS):
        with by_itself(logger, "bill_sweep_failed", day=str(day), method=merchant.method):
            day_reconcile(actor=SYSTEM, merchant=merchant, day=day)
            done += 1
    with by_itself(logger, "bill_sweep_failed"):
        missing_settle_all()
    return done


def _swept(merchant: Merchant, day: date) -> bool:
    before = _bill_ids(merchant, day)
    try:
        missing_fetch(actor=SYSTEM, merchant=merchant, day=day)
    except (BillNotReady, BillNotAccepted, GatewayDown, GatewayRefused) as error:
        if not has_trade_bill(merchant, day):
            missing_report(merchant, day, str(error.text))
            return False
    if before == _bill_ids(merchant, day) and _is_compared(merchant, day):
        return False
    day_reconcile(actor=SYSTEM, merchant=merchant, day=day)
    return True


def _bill_ids(merchant: Merchant, day: date) -> list[object]:
    bills = (bill_current(merchant, day, bill_type) for bill_type in BillType)
    return [bill and bill.id for bill in bills]


def _cases_due() -> Iterator[tuple[Merchant, date]]:
    """Days with differences that staff do not know of yet and should by now, or that the next
    day's bill has answered."""
    waiting = Difference.objects.found().filter(case=None)
    names = ("day__payment_method", "day__merchant", "day__day", "difference_type", "is_doubtful")
    told = waiting.order_by("day__day").values_list(*names).distinct()
    due = []
    for method, number, day, kind, is_doubtful in told:
        merchant = Merchant(method, number)
        if has_trade_bill(merchant, day + ONE_DAY) if is_doubtful else is_due(kind, day):
            due.append((merchant, day))
    yield from dict.fromkeys(due)
