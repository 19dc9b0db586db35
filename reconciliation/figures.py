"""The figures of one business day, as its close keeps and signs them: plain JSON, amounts as texts
in yuan with two places."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from balances.models import BalanceTransaction, EntryType, RelatedType
from balances.selectors import LedgerMoves, ledger_moves, liabilities_at
from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS
from payments.models import PaymentException, PaymentOrder
from payments.states import Disposition, PaymentMethod
from reconciliation.models import DailyClose, Difference, ReconciledDay
from reconciliation.money import Cell, DayMoney, Sums, money_of_days
from reconciliation.once import once
from reconciliation.our_books import merchants_of_day, our_yuan
from reconciliation.selectors import bills_counting, has_trade_bill, share_of, unverified_yuan
from reconciliation.states import CloseStatus, FundsLeg
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.clock import ONE_DAY, day_start
from tcmpay.common.db import sum_money
from tcmpay.common.money import ZERO, Money, format_money

FIRST_DAY = date(2000, 1, 1)  # before any entry
# What moves users' balances, as figures and LedgerMoves name it.
MOVES = ("topups", "spending", "refunds", "given_back", "adjustments", "other")
Figures = dict[str, Any]
# (method, merchant number): yuan, each rounded to two places, so that their sum is exact.
Fees = dict[tuple[str, str], Money]


@dataclass(frozen=True, slots=True)
class BalanceLeg:
    """Payments from the balance and refunds to it: by the orders, and by the ledger (yuan).

    ``over_midnight``: the two count a movement of the same second in neighbouring days.
    ``unexplained``: how many facts the other side lacks or has otherwise.
    """

    orders: Money
    ledger: Money
    over_midnight: Money
    unexplained: int


def close_of(day: date, *, using: str = "default") -> DailyClose | None:
    """The close that counts; None: the day is open."""
    return DailyClose.objects.using(using).filter(closed_day=day).first()


def figures_of_day(day: date) -> Figures:
    """The figures of ``day`` as they are now, from the rows; of a closed day see ``close_of``."""
    money = money_of_days(day, day).get(day, DayMoney())
    fees = fees_of_days(day, day).get(day, {})
    coupons = coupons_of_days(day, day).get(day, {})
    return {
        "day": day.isoformat(),
        **totals_told(money.cells, fees),
        **_surplus_told(money.surplus),
        "by_method": _by_method(money, fees),
        "by_type": grouped_told(money.cells, lambda cell: cell.order_type),
        "by_service": grouped_told(money.cells, lambda cell: cell.service),
        "by_merchant": _by_merchant(money, fees, coupons),
        "coupons": format_money(sum(coupons.values(), ZERO)),
        "expected": format_money(_expected(money, fees, coupons)),
        "cells": [_cell_told(cell, sums) for cell, sums in sorted(money.cells.items())],
        "late": sums_told(money.late),
        "late_fees": format_money(_late_fees(day)),
        "balance": _balance_told(day),
        "cases": _cases(day),
        "differences": _differences(day),
        "verified_share": str(verified_share_of_day(day)),
        "funds": str(funds_of_day(day)),
        "fees_rounding": format_money(_fees_rounding(day)),
    }


# --- receipts and refunds ---------------------------------------------------------------------


def sums_told(sums: Sums) -> dict[str, Any]:
    return {
        "receipts_number": sums.receipts_number,
        "receipts": format_money(sums.receipts),
        "refunds_number": sums.refunds_number,
        "refunds": format_money(sums.refunds),
    }


def sums_of(told: Mapping[str, Any]) -> Sums:
    return Sums(
        told["receipts_number"],
        Decimal(told["receipts"]),
        told["refunds_number"],
        Decimal(told["refunds"]),
    )


def totals_told(cells: Mapping[Cell, Sums], fees: Fees) -> dict[str, Any]:
    """Sums, fees and net (receipts less refunds less fees)."""
    sums = sum(cells.values(), Sums())
    fee = sum(fees.values(), ZERO)
    net = sums.receipts - sums.refunds - fee
    return {**sums_told(sums), "fees": format_money(fee), "net": format_money(net)}


def grouped_told(
    cells: Mapping[Cell, Sums], key: Callable[[Cell], str]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, Sums] = {}
    for cell, sums in cells.items():
        groups[key(cell)] = groups.get(key(cell), Sums()) + sums
    return {name: sums_told(sums) for name, sums in sorted(groups.items())}


def _by_method(money: DayMoney, fees: Fees) -> dict[str, Any]:
    return {
        method: totals_told(
            {cell: sums for cell, sums in money.cells.items() if cell.method == method},
            {key: fee for key, fee in fees.items() if key[0] == method},
        )
        for method in PaymentMethod.values
    }


def _by_merchant(money: DayMoney, fees: Fees, coupons: Fees) -> list[dict[str, Any]]:
    """Of every account at a gateway; "" as its number: mock, which no gateway holds."""
    found = []
    for method, merchant in sorted(_accounts(money, fees)):
        account = _of_account(money, method, merchant)
        surplus = money.surplus.get((method, merchant), Sums())
        fee = {key: one for key, one in fees.items() if key == (method, merchant)}
        found.append(
            {
                "method": method,
                "merchant": merchant,
                **totals_told(account, fee),
                "surplus_in": format_money(surplus.receipts),
                "surplus_out": format_money(surplus.refunds),
                "coupons": format_money(coupons.get((method, merchant), ZERO)),
                "expected": format_money(_expected_of(money, fees, coupons, method, merchant)),
            }
        )
    return found


def _accounts(money: DayMoney, fees: Fees) -> set[tuple[str, str]]:
    moved = {(cell.method, cell.merchant) for cell in money.cells}
    return {key for key in {*moved, *money.surplus, *fees} if key[0] in GATEWAY_METHODS}


def _of_account(money: DayMoney, method: str, merchant: str) -> dict[Cell, Sums]:
    return {
        cell: sums
        for cell, sums in money.cells.items()
        if (cell.method, cell.merchant) == (method, merchant)
    }


def _expected(money: DayMoney, fees: Fees, coupons: Fees) -> Money:
    """What the gateways should pay out of this day, of all merchant numbers."""
    return sum((_expected_of(money, fees, coupons, *key) for key in _accounts(money, fees)), ZERO)


def _expected_of(money: DayMoney, fees: Fees, coupons: Fees, method: str, merchant: str) -> Money:
    if not merchant:
        return ZERO  # a mock's money is nowhere
    sums = sum(_of_account(money, method, merchant).values(), Sums())
    sums += money.surplus.get((method, merchant), Sums())
    kept = fees.get((method, merchant), ZERO) + coupons.get((method, merchant), ZERO)
    return sums.receipts - sums.refunds - kept


def _cell_told(cell: Cell, sums: Sums) -> dict[str, Any]:
    return {
        "method": cell.method,
        "merchant": cell.merchant,
        "order_type": cell.order_type,
        "service": cell.service,
        **sums_told(sums),
    }


def cells_of(figures: Figures) -> dict[Cell, Sums]:
    """What ``figures`` say of receipts and refunds, to count with."""
    return {
        Cell(told["method"], told["merchant"], told["order_type"], told["service"]): sums_of(told)
        for told in figures["cells"]
    }


def fees_of(figures: Figures) -> Fees:
    return _by_account(figures, "fees")


def coupons_of(figures: Figures) -> Fees:
    return _by_account(figures, "coupons")


def _by_account(figures: Figures, name: str) -> Fees:
    """Days that were signed long ago tell of no coupons."""
    found = {
        (told["method"], told["merchant"]): Decimal(told.get(name, "0.00"))
        for told in figures["by_merchant"]
    }
    return {key: yuan for key, yuan in found.items() if yuan}


def _surplus_told(surplus: Mapping[tuple[str, str], Sums]) -> dict[str, Any]:
    """Money that came late or twice, and what went back of such money."""
    sums = sum(surplus.values(), Sums())
    return {
        "surplus_in_number": sums.receipts_number,
        "surplus_in": format_money(sums.receipts),
        "surplus_out_number": sums.refunds_number,
        "surplus_out": format_money(sums.refunds),
    }


def fees_of_days(first: date, last: date) -> dict[date, Fees]:
    """What the gateways kept of each day, by their accounts where those were read."""
    days: dict[date, Fees] = {}
    for row in ReconciledDay.objects.counting(first, last).exclude(fees=0, fees_charged=None):
        if row.fees_taken:
            _add(days.setdefault(row.counting_day, {}), row, row.fees_taken)
    return days


def _add(sums: Fees, row: ReconciledDay, yuan: Money) -> None:
    key = (row.payment_method, row.merchant)
    sums[key] = sums.get(key, ZERO) + yuan


def _late_fees(day: date) -> Money:
    """What of the day's fees belongs to days that were closed before their bills came."""
    rows = ReconciledDay.objects.filter(counts_on=day)
    return sum((row.fees_taken for row in rows), ZERO)


def coupons_of_days(first: date, last: date) -> dict[date, Fees]:
    """What payers did not pay because the merchants' own coupons did: no bank receives it."""
    days: dict[date, Fees] = {}
    for row in ReconciledDay.objects.counting(first, last).exclude(coupons=0):
        _add(days.setdefault(row.counting_day, {}), row, row.coupons)
    return days


def _fees_rounding(day: date) -> Money:
    rows = ReconciledDay.objects.counting(day, day).exclude(fees_charged=None)
    return sum((row.fees_rounding for row in rows), ZERO)


# --- balances -----------------------------------------------------------------------------------


def balance_opening(day: date) -> Money:
    """What users had with us when ``day`` began, by the ledger alone: what the newest close before
    ended at, and what was moved since."""
    before = closes_between(date.min, day - ONE_DAY).last()
    held = Decimal(before.figures["balance"]["closing"]) if before else ZERO
    moved = ledger_moves(before.day + ONE_DAY if before else FIRST_DAY, day - ONE_DAY)
    return held + sum((moves.net for moves in moved.values()), ZERO)


def _balance_told(day: date) -> dict[str, Any]:
    moves = ledger_moves(day, day).get(day, LedgerMoves())
    leg = balance_leg(day)
    return {
        "opening": format_money(balance_opening(day)),
        **{name: format_money(getattr(moves, name)) for name in MOVES},
        "closing": format_money(liabilities_at(day_start(day + ONE_DAY))),
        "orders": format_money(leg.orders),
        "ledger": format_money(leg.ledger),
        "over_midnight": format_money(leg.over_midnight),
        "unexplained": leg.unexplained,
    }


def balance_gap(balance: Mapping[str, Any]) -> Money:
    """By how much the told opening and moves miss the told closing: zero in sound books."""
    return Decimal(balance["opening"]) + moves_of(balance).net - Decimal(balance["closing"])


def moves_of(balance: Mapping[str, Any]) -> LedgerMoves:
    """What the told figures say that the ledger moved; what is not told of moved nothing, as on
    days that were closed before there was such a kind."""
    return LedgerMoves(**{name: Decimal(balance.get(name, ZERO)) for name in MOVES})


@once
def balance_leg(day: date) -> BalanceLeg:
    """Every payment from the balance and every refund to it has its entry, of the same amount; an
    order and its entry are booked within a moment, which midnight may part."""
    paid, sent = _orders().filter(paid_on=day), _refunds().filter(completed_on=day)
    entries = _entries().filter(
        created_at__gte=day_start(day), created_at__lt=day_start(day + ONE_DAY)
    )
    spent, given = (entries.filter(related_type=kind) for kind in SIGNS)
    # Told apart by the database: a day may have a million of them, of which none differs.
    alone = _facts_of_orders(_without(paid, spent), _without(sent, given))
    there_alone = _facts_of_ledger(_of_none(spent, paid), _of_none(given, sent))
    entries_of = _entries().filter(related_id__in=[key for _kind, key in alone])
    theirs = _facts_of_ledger(entries_of)
    orders = _facts_of_orders(
        _orders().filter(id__in=_keys(there_alone, RelatedType.ORDER)),
        _refunds().filter(id__in=_keys(there_alone, RelatedType.REFUND)),
    )
    parted = {fact: amount for fact, amount in alone.items() if theirs.get(fact) == amount}
    parted_there = {
        fact: amount for fact, amount in there_alone.items() if orders.get(fact) == amount
    }
    return BalanceLeg(
        orders=sum_money(paid, "amount") - sum_money(sent, "refund_amount"),
        ledger=sum_money(spent, "amount") - sum_money(given, "amount"),
        over_midnight=_net(parted) - _net(parted_there),
        unexplained=len({*alone, *there_alone} - {*parted, *parted_there}),
    )


Facts = dict[tuple[str, Any], Money]


SIGNS = {RelatedType.ORDER: 1, RelatedType.REFUND: -1}


def _orders() -> QuerySet[Any]:
    return PaymentOrder.objects.filter(
        payment_method=PaymentMethod.BALANCE, paid_on__isnull=False
    ).annotate(yuan=F("amount"))


def _refunds() -> QuerySet[Any]:
    return Refund.objects.filter(
        status=RefundStatus.SUCCESS,
        transaction__payment_method=PaymentMethod.BALANCE,
        transaction__disposition=Disposition.APPLIED,
    ).annotate(yuan=F("refund_amount"))


def _entries() -> QuerySet[BalanceTransaction]:
    is_payment = Q(related_type=RelatedType.ORDER, transaction_type=EntryType.EXPENSE)
    is_refund = Q(related_type=RelatedType.REFUND, transaction_type=EntryType.INCOME)
    return BalanceTransaction.objects.filter(is_payment | is_refund)


def _without(rows: QuerySet[Any], entries: QuerySet[BalanceTransaction]) -> QuerySet[Any]:
    """Orders or refunds that have no such entry of their amount."""
    return rows.exclude(Exists(entries.filter(related_id=OuterRef("pk"), amount=OuterRef("yuan"))))


def _of_none(
    entries: QuerySet[BalanceTransaction], rows: QuerySet[Any]
) -> QuerySet[BalanceTransaction]:
    return entries.exclude(Exists(rows.filter(pk=OuterRef("related_id"), yuan=OuterRef("amount"))))


def _keys(facts: Facts, of_kind: str) -> list[Any]:
    return [key for kind, key in facts if kind == of_kind]


def _facts_of_orders(orders: QuerySet[Any], refunds: QuerySet[Any]) -> Facts:
    kinds = ((RelatedType.ORDER, orders), (RelatedType.REFUND, refunds))
    return {
        (kind, key): amount
        for kind, rows in kinds
        for key, amount in rows.values_list("pk", "yuan")
    }


def _facts_of_ledger(*entries: QuerySet[BalanceTransaction]) -> Facts:
    names = ("related_type", "related_id", "amount")
    return {
        (kind, key): amount for rows in entries for kind, key, amount in rows.values_list(*names)
    }


def _net(facts: Facts) -> Money:
    """What was paid less what went back."""
    return sum((SIGNS[RelatedType(kind)] * amount for (kind, _key), amount in facts.items()), ZERO)


# --- what was compared ----------------------------------------------------------------------------


def _cases(day: date) -> dict[str, int]:
    """Cases opened and ended in the day, and open at its end."""
    begins, ends = day_start(day), day_start(day + ONE_DAY)
    cases = PaymentException.objects.filter(opened_at__lt=ends)
    return {
        "opened": cases.filter(opened_at__gte=begins).count(),
        "mended": PaymentException.objects.filter(
            closed_at__gte=begins, closed_at__lt=ends
        ).count(),
        "open": cases.filter(Q(closed_at=None) | Q(closed_at__gte=ends)).count(),
    }


def _differences(day: date) -> dict[str, int]:
    """Between this day's bills and our books: ever found, mended since, open and doubtful now."""
    rows = Difference.objects.filter(day__in=ReconciledDay.objects.counting(day, day))
    still, doubtful = rows.open().count(), rows.doubtful().count()
    found = rows.count()
    mended = found - still - doubtful
    return {"found": found, "mended": mended, "open": still, "doubtful": doubtful}


def verified_share_of_day(day: date) -> Decimal:
    """The share (four places, never rounded up) of the day's yuan at gateways that bills verify."""
    rows = list(ReconciledDay.objects.counting(day, day))
    unverified = sum((our_yuan(merchant, day) for merchant in _without_bill(day)), ZERO)
    total = sum((row.total for row in rows), unverified)
    unverified += sum((unverified_yuan(row) for row in rows), ZERO)
    return share_of(total - unverified, total)


def _without_bill(day: date) -> list[Merchant]:
    return [one for one in merchants_of_day(day) if not has_trade_bill(one, day)]


def funds_of_day(day: date) -> FundsLeg:
    """How much of the day's money was looked for in the accounts: what the worst of them says;
    a day that moved nothing at gateways has nothing to look for."""
    rows = ReconciledDay.objects.counting(day, day)
    legs = {row.funds for row in rows if row.lines or row.fund_bill_id is not None}
    order = (FundsLeg.MISSING, FundsLeg.NOT_CHECKED, FundsLeg.CHECKED)
    return next((leg for leg in order if leg in legs), FundsLeg.NOT_CHECKED)


def bills_of_day(day: date) -> list[dict[str, str]]:
    """The bills that count, as a signature covers them; ``day``: of one that came late."""
    names = ("payment_method", "merchant", "bill_type", "sha256")
    return [
        dict(zip(("method", "merchant", "type", "sha256"), values, strict=True))
        | ({} if own == day else {"day": own.isoformat()})
        for *values, own in bills_counting(day).order_by(*names).values_list(*names, "day")
    ]


def closes_between(first: date, last: date, *, using: str = "default") -> QuerySet[DailyClose]:
    """The closes that count, of the days from ``first`` to ``last``."""
    closes = DailyClose.objects.using(using).filter(status=CloseStatus.SIGNED)
    return closes.filter(day__gte=first, day__lte=last).order_by("day")
