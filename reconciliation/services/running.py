"""Comparing one merchant's day: three legs, told as differences, figures and cases."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from gateways.interface import BillRow, OpenedBill
from reconciliation.contents import bill_opened, lines_of
from reconciliation.errors import BillsChanged, NothingToCompare
from reconciliation.found import Found, of_funds, of_odd_lines, of_row
from reconciliation.funds import Funds, compare_funds, moves_money, read_funds, rows_left
from reconciliation.late_money import FUNDS_LATE_DAYS, still_missing, unexplained
from reconciliation.matching import Matched, match
from reconciliation.merchants import apps_of
from reconciliation.models import BillFile, Difference, ReconciledDay
from reconciliation.our_books import OurBooks, our_books
from reconciliation.selectors import (
    bill_current,
    day_of,
    has_trade_bill,
    sum_of_ours,
    yuan_named,
)
from reconciliation.services.differences import cases_follow, differences_write
from reconciliation.services.importing import day_lock, ensure_day_over
from reconciliation.services.missing import missing_settle
from reconciliation.states import BillType, DifferenceType
from reconciliation.telling import Ours, Telling, about, fee_text, is_near_midnight, lacking, paired
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.money import ZERO, Money, fen_to_yuan, yuan_to_fen

AUDIT_OBJECT = "reconciled_day"
# What no gateway takes in a number.
_NO_NUMBER = re.compile(r"[^0-9A-Za-z_*|@-]+")
# What a further bill of another day may answer.
ANSWERED_ELSEWHERE = (
    DifferenceType.OURS_ONLY,
    DifferenceType.THEIRS_ONLY,
    DifferenceType.WRONG_DAY,
    DifferenceType.DUPLICATE,
    DifferenceType.AMOUNT,
    DifferenceType.FUND_MISSING,
    DifferenceType.FUND_GAP,
)


def day_reconcile(*, actor: Actor, merchant: Merchant, day: date) -> ReconciledDay:
    """Compare the day with the bills that count now, and the days that wait for its bills.

    Told again it changes nothing twice; what it no longer finds is gone, and its cases are settled.
    Raises:
        BillNotReady: the day is not over.
        NothingToCompare: there is no bill of the day.
        BillsChanged: others came to count, or other runs wrote, meanwhile, again and again.
        BillRefused: the file of a kept bill is not what it was.
    """
    ensure_day_over(day)
    row = _compare(actor, merchant, day)
    for other in _waiting_days(row):
        _compare(actor, merchant, other)
    return ReconciledDay.objects.get(id=row.id)


def _compare(actor: Actor, merchant: Merchant, day: date) -> ReconciledDay:
    for last in (False, False, True):
        run = _Run(merchant, day)
        try:
            figures = run.compare()
            row = _write(actor, run, figures)
        except BillsChanged:
            if last:
                raise
            continue
        cases_follow(row, actor)
        missing_settle(merchant, day)
        return row
    raise AssertionError("unreachable")


def _waiting_days(row: ReconciledDay) -> list[date]:
    """The days that this day's bills may have answered something of."""
    around = FUNDS_LATE_DAYS * ONE_DAY
    first, last = row.day - around, row.day + around
    others = ReconciledDay.objects.filter(
        payment_method=row.payment_method, merchant=row.merchant, day__gte=first, day__lte=last
    )
    others = others.exclude(id=row.id).exclude(run_at=None)
    asking = Difference.objects.found().filter(
        Q(difference_type__in=ANSWERED_ELSEWHERE, day__day__lte=row.day + ONE_DAY)
        | Q(bill__bill_type=BillType.FUND),
        day__in=others,
    )
    days = set(asking.values_list("day__day", flat=True))
    following = others.filter(day=row.day + ONE_DAY).first()
    if following is not None and row.funds_closing is not None:
        is_gap = following.funds_opening not in (None, row.funds_closing)
        days |= {following.day} if is_gap else set()
    return sorted(days)


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    books: OurBooks
    matched: Matched
    funds: Funds
    agreed: int
    found: list[Found]


class _Run:
    """One comparison, without a transaction open: it only reads."""

    def __init__(self, merchant: Merchant, day: date) -> None:
        self.merchant, self.day = merchant, day
        before = day_of(merchant, day)
        self.runs_before = before.runs if before else 0
        self.asked_at = before.compare_at if before else None
        self.trade = bill_current(merchant, day, BillType.TRADE)
        self.fund = bill_current(merchant, day, BillType.FUND)
        is_nothing = before is not None and before.is_without_movement
        self.is_without_movement = self.trade is None and is_nothing
        if self.trade is None and self.fund is None and not self.is_without_movement:
            raise NothingToCompare()
        self._found: list[Found] = []

    def compare(self) -> Figures:
        with ExitStack() as files:
            trade = files.enter_context(bill_opened(self.trade)) if self.trade else None
            fund = files.enter_context(bill_opened(self.fund)) if self.fund else None
            matched, agreed, books = self._first_leg(trade)
            funds = self._funds(fund, trade)
            if self.fund is not None and fund is not None:
                self._found += of_odd_lines(self.fund, fund.odd_lines)
            self._found = _with_texts(self._found, [(self.trade, trade), (self.fund, fund)])
        return Figures(books, matched, funds, agreed, self._found)

    # -- trade bill ↔ our books -----------------------------------------------------------------

    def _first_leg(self, trade: OpenedBill | None) -> tuple[Matched, int, OurBooks]:
        if trade is None and not self.is_without_movement:
            return Matched(), 0, OurBooks()
        books = our_books(self.merchant, self.day)
        matched = match(trade.pieces() if trade else (), books, apps_of(self.merchant))
        telling = Telling(self.merchant, self.day, self.trade, books)
        self._tell(telling, matched)
        rest = list(telling.left_over())
        self._found = telling.found
        if self.trade is not None and trade is not None:
            rest = self._odd_lines(self.trade, trade, rest)
        self._left_over(rest)
        return matched, telling.agreed, books

    def _tell(self, telling: Telling, matched: Matched) -> None:
        for row in matched.of_another_app:
            telling.of_another_app(row)
        telling.lines(matched.unknown)
        held = {row.number: ours for row, ours in telling.held_of(_rows_of(matched))}
        for row, fen in matched.amounts:
            ours = held.get(row.number)
            telling.amount(row, fen, ours.held if ours else None)
        for row, _fen in matched.states:
            if row.number in held:
                telling.state(row, held[row.number])
        for row, due in matched.fees_off:
            ours = held.get(row.number)
            telling.fee_off(row, ours.held if ours else None, due)

    def _left_over(self, rest: Sequence[Ours]) -> None:
        if not rest:
            return
        elsewhere = self._in_neighbours({one.number for one in rest})
        is_next_in = has_trade_bill(self.merchant, self.day + ONE_DAY)
        for ours in rest:
            if ours.number in elsewhere:
                bill, row = elsewhere[ours.number]
                self._found.append(paired(row, ours, bill, bill.day))
            else:
                is_near = ours.moved_at is not None and is_near_midnight(ours.moved_at)
                is_doubtful = is_near and not is_next_in
                self._found.append(lacking(ours, is_doubtful=is_doubtful))

    def _in_neighbours(self, numbers: set[str]) -> dict[str, tuple[BillFile, BillRow]]:
        found: dict[str, tuple[BillFile, BillRow]] = {}
        for day in (self.day - ONE_DAY, self.day + ONE_DAY):
            bill = bill_current(self.merchant, day, BillType.TRADE)
            if bill is None:
                continue
            with bill_opened(bill) as opened:
                for row in opened.rows():
                    number = row.out_refund_no if row.is_refund else row.out_trade_no
                    if number in numbers and moves_money(row):
                        found.setdefault(number, (bill, row))
        return found

    # -- fund bill ------------------------------------------------------------------------------

    def _funds(self, fund: OpenedBill | None, trade: OpenedBill | None) -> Funds:
        if fund is None or self.fund is None:
            return Funds()
        funds = read_funds(fund.fund_rows(), self._closing_before())
        for gap in funds.gaps:
            self._found.append(of_funds(gap.row, self.fund, expected_fen=gap.expected_fen))
        if trade is not None or self.is_without_movement:
            self._third_leg(trade, funds)
            moved = rows_left(fund.fund_rows(), funds)
            telling = Telling(self.merchant, self.day, self.fund, OurBooks())
            telling.moves(unexplained(self.merchant, self.day, trade, moved))
            self._found += telling.found
        return funds

    def _third_leg(self, trade: OpenedBill | None, funds: Funds) -> None:
        # A line of another day's payment may lack its money, too.
        differ = {
            one.line_number
            for one in self._found
            if one.bill == self.trade and one.difference_type != DifferenceType.WRONG_DAY
        }
        compared = compare_funds(trade.rows() if trade else (), funds, differ)
        missing = still_missing(self.merchant, self.day, compared.missing)
        telling = Telling(self.merchant, self.day, self.trade, OurBooks())
        rows = [*missing, *(row for row, _fen in (*compared.amounts, *compared.fees))]
        held = {row.number: ours.held for row, ours in telling.held_of(rows)}
        for row in missing:
            text = _("交易账单有这笔，资金账单没有")
            found = of_row(
                DifferenceType.FUND_MISSING,
                row,
                self.trade,
                text,
                ours_fen=row.settled_fen,
                held=held.get(row.number),
            )
            self._found.append(replace(found, theirs=None))
        for row, fen in compared.amounts:
            due, moved = fen_to_yuan(row.settled_fen), fen_to_yuan(fen)
            text = _("应结算 %(due)s 元，资金账单变动 %(moved)s 元") % {"due": due, "moved": moved}
            kind, ours = DifferenceType.AMOUNT, held.get(row.number)
            found = of_row(kind, row, self.trade, text, ours_fen=row.settled_fen, held=ours)
            self._found.append(replace(found, theirs=moved))
        for row, taken in compared.fees:
            fees = {"taken": fee_text(taken), "line": fee_text(row.fee)}
            text = _("交易账单写手续费 %(line)s 元，资金账单扣 %(taken)s 元") % fees
            # What the rate gives is due; without a rate, what was really taken.
            fee, other = (row.fee, taken) if row.fee_rate else (taken, row.fee)
            telling.fee(row, held.get(row.number), text, due=fee, taken=other)
        self._found += telling.found

    def _closing_before(self) -> int | None:
        """Where the account stood (fen) after the day before, where its fund bill says so."""
        before = day_of(self.merchant, self.day - ONE_DAY)
        if before is None or before.fund_bill_id is None or before.funds_closing is None:
            return None
        return yuan_to_fen(before.funds_closing)

    # -- lines that nobody can read -------------------------------------------------------------

    def _odd_lines(self, bill: BillFile, opened: OpenedBill, rest: list[Ours]) -> list[Ours]:
        """Tell of the lines that can't be read; those of ``rest`` that none of them names."""
        if not opened.odd_lines:
            return rest
        # A refund's line names its payment too: it is the refund's.
        named = {one.number: one for one in sorted(rest, key=lambda one: not one.held.refund_id)}
        for found in of_odd_lines(bill, opened.odd_lines):
            words = set(_NO_NUMBER.split(found.line_text))
            number = next((number for number in named if number in words), None)
            ours = named.pop(number) if number is not None else None
            self._found.append(about(found, ours) if ours else found)
        return list(named.values())


def _rows_of(matched: Matched) -> list[BillRow]:
    return [row for row, _fen in (*matched.amounts, *matched.states, *matched.fees_off)]


def _with_texts(
    found: list[Found], files: Sequence[tuple[BillFile | None, OpenedBill | None]]
) -> list[Found]:
    """Each difference with the line that it is about, as it stands in the file."""
    texts: dict[tuple[Any, int | None], str] = {}
    for bill, opened in files:
        if bill is None or opened is None:
            continue
        numbers = {
            one.line_number
            for one in found
            if one.bill == bill and one.line_number and _is_readable(one)
        }
        for number, text in lines_of(opened, numbers).items():
            texts[bill.id, number] = text
    return [
        replace(one, line_text=texts.get((one.bill.id, one.line_number), ""))
        if one.bill and _is_readable(one)
        else one
        for one in found
    ]


def _is_readable(found: Found) -> bool:
    """Whether its line is one of columns; of one that is not all of the text is kept."""
    return found.difference_type != DifferenceType.LINE


# --- what a run writes --------------------------------------------------------------------------


@money_unit
def _write(actor: Actor, run: _Run, figures: Figures) -> ReconciledDay:
    """Write what a run came to, while the bills are those that it read and no other run wrote
    meanwhile, which may have read more of our books. Raises BillsChanged."""
    row = day_lock(run.merchant, run.day)
    if row.runs != run.runs_before:
        raise BillsChanged()
    for bill_type, bill in ((BillType.TRADE, run.trade), (BillType.FUND, run.fund)):
        if bill_current(run.merchant, run.day, bill_type) != bill:
            raise BillsChanged()
    differences_write(row, figures.found)
    # Whoever asked since this run began may know what it did not read.
    still_asked = row.compare_at if row.compare_at != run.asked_at else None
    now = {"runs": row.runs + 1, "run_at": clock.now(), "compare_at": still_asked}
    columns_write(row, **_columns(run, figures), **now)
    columns_write(row, **_yuan(row))
    found = row.differences.found()
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=row.id,
        action="day_reconciled",
        actor=actor,
        details={
            "day": run.day.isoformat(),
            "payment_method": run.merchant.method,
            "merchant": run.merchant.number,
            "trade_bill": run.trade.sha256 if run.trade else "",
            "fund_bill": run.fund.sha256 if run.fund else "",
            "lines": row.lines,
            "matched": row.matched,
            "differences": found.filter(is_doubtful=False).count(),
            "doubtful": found.filter(is_doubtful=True).count(),
        },
    )
    return row


def _columns(run: _Run, figures: Figures) -> dict[str, Any]:
    matched, books, funds = figures.matched, figures.books, figures.funds
    quarantined = run.trade.quarantined if run.trade else 0
    return {
        "trade_bill": run.trade,
        "fund_bill": run.fund,
        "is_without_movement": run.is_without_movement,
        "lines": matched.lines + quarantined,
        "matched": _agreeing(run, figures),
        "their_payments": matched.their_payments,
        "their_receipts": fen_to_yuan(matched.their_receipts_fen),
        "their_refunds": matched.their_refunds,
        "their_refunded": fen_to_yuan(matched.their_refunded_fen),
        "our_payments": books.our_payments,
        "our_receipts": fen_to_yuan(books.our_receipts_fen),
        "our_refunds": books.our_refunds,
        "our_refunded": fen_to_yuan(books.our_refunded_fen),
        "fees": Decimal(matched.fees).scaleb(-5),
        "coupons": fen_to_yuan(matched.coupons_fen),
        "fees_charged": fen_to_yuan(funds.charged_fen) if run.fund else None,
        "funds_opening": _yuan_or_none(funds.opening_fen),
        "funds_closing": _yuan_or_none(funds.closing_fen),
    }


def _agreeing(run: _Run, figures: Figures) -> int:
    """Lines that agree in everything: those that no difference is about."""
    differing = {one.line_number for one in figures.found if run.trade and one.bill == run.trade}
    quarantined = run.trade.quarantined if run.trade else 0
    return figures.matched.lines + quarantined - len(differing)


def _yuan(row: ReconciledDay) -> dict[str, Money]:
    """The day's yuan of both sides, and what of it no difference names."""
    found = list(row.differences.found())
    theirs = row.their_receipts + row.their_refunded
    total = theirs + sum_of_ours(row, found)
    return {"total": total, "verified": max(total - yuan_named(row, found), ZERO)}


def _yuan_or_none(fen: int | None) -> Money | None:
    return None if fen is None else fen_to_yuan(fen)


@money_unit
def day_without_movement(*, actor: Actor, merchant: Merchant, day: date) -> None:
    """Note the gateway's word that nothing moved on the day: there is no file.

    Raises BillNotReady: something may move yet.
    """
    ensure_day_over(day)
    row = day_lock(merchant, day)
    if not row.is_without_movement and bill_current(merchant, day, BillType.TRADE) is None:
        columns_write(row, is_without_movement=True)
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=row.id,
            action="day_without_movement",
            actor=actor,
            details={
                "day": day.isoformat(),
                "payment_method": merchant.method,
                "merchant": merchant.number,
            },
        )
