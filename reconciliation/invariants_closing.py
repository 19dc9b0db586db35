"""Closed days (T4): signed by two people, one after the other, and still what the rows say."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from balances.selectors import LedgerMoves, ledger_moves, liabilities_at
from payments.models import ClosedDay
from reconciliation.figures import (
    Figures,
    balance_gap,
    cells_of,
    closes_between,
    grouped_told,
    moves_of,
    sums_told,
)
from reconciliation.models import BillFile, DailyClose, DayReopening
from reconciliation.money import Cell, DayMoney, Sums, money_of_days
from reconciliation.services.closing import MAC_KIND, signature_verdict
from reconciliation.states import CloseStatus, ReopeningStatus
from tcmpay.audit.macs import Verdict
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.stories import stories
from tcmpay.common.clock import ONE_DAY, business_day, day_start
from tcmpay.common.invariants import Scope, Violation, in_chunks
from tcmpay.common.money import ZERO, format_money

CODE = "T4"
CLOSE = DailyClose.AUDIT_OBJECT
DAYS_AT_ONCE = 31
SIGNED = (CloseStatus.SIGNED, CloseStatus.REOPENED)


def check_closes(scope: Scope) -> Iterator[Violation]:
    """Each close is what was told of it, its signature holds, and it follows the day before's."""
    periods = KeyPeriods(MAC_KIND, using=scope.using)
    signatures = set(_closes(scope).values_list("day", "signature"))
    for model in (DailyClose, DayReopening):
        yield from _check_told(scope, model)
    for close in in_chunks(_closes(scope).filter(status__in=SIGNED), "id"):
        problem = periods.problem(signature_verdict(close), close.signature, close.decided_at)
        if problem:
            # What else it says can't be believed, nor read.
            yield _violation(close, _("签名：%(problem)s") % {"problem": problem})
            continue
        before = (close.day - ONE_DAY, close.previous_signature)
        if close.previous_signature and before not in signatures:
            yield _violation(close, _("与前一天的日结不衔接"))
        for bill in close.bills:
            kept = BillFile.objects.using(scope.using).filter(
                payment_method=bill["method"],
                merchant=bill["merchant"],
                day=bill.get("day", close.day),
                bill_type=bill["type"],
                sha256=bill["sha256"],
            )
            if not kept.exists():
                yield _violation(close, _("签名所依据的账单已不存在"))


def _closes(scope: Scope) -> Any:
    return DailyClose.objects.using(scope.using).order_by("id")


def _check_told(scope: Scope, model: type[DailyClose] | type[DayReopening]) -> Iterator[Violation]:
    rows: list[Any] = list(model._default_manager.using(scope.using).order_by("id"))
    began = digests_began(scope.using)
    told = stories(scope.using, model.AUDIT_OBJECT, [row.id for row in rows])
    for row in rows:
        story = told.get(str(row.id))
        problem = row_problem(row, story, began)
        if not problem and story is not None and story.state != row.status:
            problem = _("状态与审计记录不一致")
        if problem:
            yield Violation("E9", model.AUDIT_OBJECT, str(row.id), f"{row}: {problem}")
    yield from lost_objects(scope, model.AUDIT_OBJECT, model)


def check_closed_by_two(scope: Scope) -> Iterator[Violation]:
    """Exactly the days that were signed are closed for bookings, from and to the same moments."""
    booked = Counter(
        ClosedDay.objects.using(scope.using).values_list("day", "closed_at", "reopened_at")
    )
    reopened = dict(
        DayReopening.objects.using(scope.using)
        .filter(status=ReopeningStatus.APPROVED)
        .values_list("close_id", "decided_at")
    )
    signed = Counter(
        (close.day, close.decided_at, reopened.get(close.id))
        for close in _closes(scope).filter(status__in=SIGNED)
    )
    for day, _closed_at, _reopened_at in sorted((booked - signed) + (signed - booked), key=str):
        text = _("日结记录与入账关闭的日期或时间不一致")
        yield Violation(CODE, CLOSE, day.isoformat(), text)


def check_closed_figures(scope: Scope) -> Iterator[Violation]:
    """A closed day's figures are still those of its rows: what came late went elsewhere."""
    first = date.min if scope.since is None else business_day(scope.since)
    closes = [
        close
        for close in closes_between(first, date.max, using=scope.using)
        if signature_verdict(close) is Verdict.HOLDS
    ]
    for place in range(0, len(closes), DAYS_AT_ONCE):
        some = closes[place : place + DAYS_AT_ONCE]
        money = money_of_days(some[0].day, some[-1].day, using=scope.using)
        moves = ledger_moves(some[0].day, some[-1].day, using=scope.using)
        for close in some:
            problem = _money_problem(close.figures, money.get(close.day, DayMoney()))
            problem = problem or _moves_problem(
                close.figures["balance"], moves.get(close.day, LedgerMoves())
            )
            if problem:
                yield _violation(close, problem)
    yield from _check_balances(scope, closes)


def _money_problem(figures: Figures, money: DayMoney) -> str:
    # Not by merchant number: under which one an account goes is configuration, which changes.
    def told(cells: dict[Cell, Sums]) -> dict[str, Any]:
        return grouped_told(cells, lambda cell: f"{cell.method}:{cell.order_type}:{cell.service}")

    if told(cells_of(figures)) != told(money.cells):
        return _("收款或退款与日结时不同")
    totals = sums_told(money.total)
    if any(figures[name] != total for name, total in totals.items()):
        return _("合计与日结的明细不符")
    surplus = sum(money.surplus.values(), Sums())
    if (figures["surplus_in"], figures["surplus_out"]) != (
        format_money(surplus.receipts),
        format_money(surplus.refunds),
    ):
        return _("多收款项与日结时不同")
    return "" if figures["late"] == sums_told(money.late) else _("迟到的款项与日结时不同")


def _moves_problem(balance: dict[str, Any], moves: LedgerMoves) -> str:
    if moves_of(balance) != moves:
        return _("余额变动与日结时不同")
    return _("余额负债的期初加变动不等于期末") if balance_gap(balance) else ""


def _check_balances(scope: Scope, closes: list[DailyClose]) -> Iterator[Violation]:
    """Each day begins where the one before ended, and the newest ends at the ledger."""
    ended: DailyClose | None = None
    for close in closes:
        if (
            ended is not None
            and close.figures["balance"]["opening"] != (ended.figures["balance"]["closing"])
        ):
            yield _violation(close, _("余额负债的期初不是前一天的期末"))
        ended = close
    if ended is not None:
        held = liabilities_at(day_start(ended.day + ONE_DAY), using=scope.using)
        if Decimal(ended.figures["balance"]["closing"]) - held != ZERO:
            yield _violation(ended, _("余额负债的期末与余额流水不符"))


def _violation(close: DailyClose, problem: str) -> Violation:
    return Violation(CODE, CLOSE, str(close.id), f"{close}: {problem}")


CHECKS = (check_closes, check_closed_by_two, check_closed_figures)
