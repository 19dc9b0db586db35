"""How business days stand: closed, ready to be closed, or open with what stands in the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from payments.services.closed_days import closable_from, closed_through
from payments.states import PaymentMethod
from reconciliation.figures import Figures, balance_gap, close_of, figures_of_day
from reconciliation.models import DailyClose, Difference, ReconciledDay
from reconciliation.money import first_day_with_money
from reconciliation.our_books import has_moved, merchants_of_day, our_totals
from reconciliation.selectors import (
    bill_current,
    bills_counting,
    day_of,
    has_trade_bill,
    merchant_of,
)
from reconciliation.states import BillType, DayState, DifferenceType
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY, day_start
from tcmpay.common.money import format_money


@dataclass(frozen=True, slots=True)
class Block:
    """Something that stands in the way of closing a day: a stable code, and words for people."""

    code: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class DayStand:
    """``close`` is the one that counts, ``waiting`` the one that waits for a second person."""

    day: date
    state: DayState
    blocks: list[Block]
    figures: Figures
    close: DailyClose | None = None
    waiting: DailyClose | None = None


def day_stand(day: date) -> DayStand:
    """How ``day`` stands now; its figures are those signed, or those of now."""
    close = close_of(day)
    if close is not None:
        return DayStand(day, DayState.CLOSED, [], close.figures, close)
    figures = figures_of_day(day)
    found = list(blocks(day, figures))
    state = DayState.OPEN if found else DayState.READY
    waiting = DailyClose.objects.filter(waiting_day=day).first()
    return DayStand(day, state, found, figures, waiting=waiting)


def first_open_day() -> date | None:
    """The next day to be closed: after the newest closed one, or the first with money."""
    through = closed_through()
    return through + ONE_DAY if through is not None else first_closable_day()


def first_closable_day() -> date | None:
    """Where closing begins: the first day with money, not before DAY_CLOSE_FROM."""
    first = first_day_with_money()
    if first is None or settings.DAY_CLOSE_FROM is None:
        return first
    return max(first, settings.DAY_CLOSE_FROM)


def days_waiting() -> list[date]:
    """The days that could be closed by the clock and are not, the oldest first."""
    first = first_open_day()
    found = []
    while first is not None and clock.now() >= closable_from(first):
        found.append(first)
        first += ONE_DAY
    return found


def days_late() -> list[date]:
    """Those of ``days_waiting`` that should be closed by DAY_CLOSE_REMIND_AT of the next day."""
    at = settings.DAY_CLOSE_REMIND_AT
    after = timedelta(days=1, hours=at.hour, minutes=at.minute)
    return [day for day in days_waiting() if clock.now() >= day_start(day) + after]


def blocks(day: date, figures: Figures) -> Iterator[Block]:
    """What stands in the way of closing ``day``, in words; nothing: it is ready."""
    yield from _order(day)
    yield from _bills(day)
    yield from _differences(day)
    yield from _ledger(figures)


def _order(day: date) -> Iterator[Block]:
    if clock.now() < closable_from(day):
        yield Block("not_over", _("这一天还没有结束满一小时"))
    first = first_open_day()
    if first is None:
        yield Block("no_money", _("还没有任何款项，不需要日结"))
    elif day < first:
        yield Block("before_first", _("日结从 %(first)s 开始") % {"first": first.isoformat()})
    elif day > first:
        number = (day - first).days
        text = _("请先日结 %(first)s（此前还有 %(number)d 天未日结）")
        yield Block("earlier_open", text % {"first": first.isoformat(), "number": number}, number)


def _bills(day: date) -> Iterator[Block]:
    for merchant in merchants_of_day(day):
        if not has_trade_bill(merchant, day):
            if has_moved(merchant, day):
                yield Block("bill_missing", _("缺少账单：%(whose)s") % {"whose": _whose(merchant)})
        elif _counts_here(merchant, day) and _is_not_compared(merchant, day):
            text = _("上次对账没有包含现有的全部账单和入账，请重新对账：%(whose)s")
            yield Block("not_compared", text % {"whose": _whose(merchant)})
    for row in ReconciledDay.objects.filter(counts_on=day):
        if _is_not_compared(merchant_of(row), row.day):
            text = _("%(day)s 迟到的账单算在这一天，还没有与现有入账核对：%(whose)s")
            whose = _whose(merchant_of(row))
            yield Block("not_compared", text % {"day": row.day.isoformat(), "whose": whose})


def _counts_here(merchant: Merchant, day: date) -> bool:
    row = day_of(merchant, day)
    return row is None or row.counts_on is None


def _is_not_compared(merchant: Merchant, day: date) -> bool:
    """Whether the newest comparison lacks a bill that counts, or something that is booked."""
    row = day_of(merchant, day)
    if row is None or row.run_at is None:
        return True
    trade, fund = (bill_current(merchant, day, kind) for kind in (BillType.TRADE, BillType.FUND))
    if (row.trade_bill, row.fund_bill) != (trade, fund):
        return True
    compared = (row.our_payments, row.our_receipts, row.our_refunds, row.our_refunded)
    return compared != our_totals(merchant, day)


def _differences(day: date) -> Iterator[Block]:
    rows = Difference.objects.filter(day__in=ReconciledDay.objects.counting(day, day))
    if unreadable := _lines_unread(day):
        text = _("账单中有 %(number)d 行无法读取")
        yield Block("quarantined", text % {"number": unreadable}, unreadable)
    if doubtful := rows.doubtful().count():
        text = _("存疑 %(number)d 项：等待次日账单")
        yield Block("doubtful", text % {"number": doubtful}, doubtful)
    if still := rows.open().exclude(difference_type=DifferenceType.LINE).count():
        text = (
            _("其余未处理的差异 %(number)d 项") if unreadable else _("未处理的差异 %(number)d 项")
        )
        yield Block("differences", text % {"number": still}, still)


def _lines_unread(day: date) -> int:
    """Lines that nobody could read and no person has ended: by the bills, whatever the comparison
    made of them."""
    bills = bills_counting(day).filter(quarantined__gt=0)
    ended = Difference.objects.filter(
        difference_type=DifferenceType.LINE, case__closed_at__isnull=False
    )
    return sum(
        max(bill.quarantined - ended.filter(bill=bill).count(), 0)
        for bill in bills.only("id", "quarantined")
    )


def _ledger(figures: Figures) -> Iterator[Block]:
    gap, unexplained = balance_gap(figures["balance"]), figures["balance"]["unexplained"]
    if gap:
        text = _("余额负债不衔接：期初加变动与期末相差 %(gap)s 元")
        yield Block("ledger", text % {"gap": format_money(gap)})
    if unexplained:
        text = _("余额支付与余额流水有 %(number)d 笔不符")
        yield Block("ledger_orders", text % {"number": unexplained}, unexplained)


def _whose(merchant: Merchant) -> str:
    return f"{PaymentMethod(merchant.method).label} {merchant.number}"
