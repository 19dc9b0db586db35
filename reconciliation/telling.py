"""What a line is that our books of the day do not have, and what ours is that the bill lacks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.gateways.merchants import Merchant
from gateways.interface import BillRow, FundKind, FundRow
from payments.models import PaymentTransaction
from payments.states import TransactionStatus, TransactionType
from reconciliation.found import Found, Held, number_of_row, of_row
from reconciliation.funds import REFUNDS
from reconciliation.late_money import Unexplained
from reconciliation.matching import FAILED, SUCCESS, Rates, fee_due
from reconciliation.merchants import Accounts, apps_of
from reconciliation.models import BillFile, Difference
from reconciliation.our_books import OurBooks, moved_at, number_of
from reconciliation.selectors import day_of
from reconciliation.states import DifferenceType
from refunds.models import Refund
from refunds.services.numbers import refund_no_in
from refunds.states import RefundStatus
from tcmpay.common.clock import ONE_DAY, business_day, day_start
from tcmpay.common.ids import is_attempt_number
from tcmpay.common.invariants import batches
from tcmpay.common.money import fen_to_yuan, yuan_to_fen

BATCH = 500
# Refunds that their gateway knows of, and may know more of than we do.
WITH_GATEWAY = frozenset({RefundStatus.PROCESSING, RefundStatus.FAILED})
# So near midnight the gateway may have it in another day's bill.
DOUBTFUL_WITHIN = timedelta(minutes=60)
MOVED = gettext_lazy("资金账单有这笔%(kind)s，交易账单没有")
MOVED_AGAIN = gettext_lazy("这个单号在资金账单里又有一笔%(kind)s")


@dataclass(frozen=True, slots=True)
class Ours:
    """What our books hold of a number, whatever its state."""

    number: str  # that the gateway knows
    out_trade_no: str  # the payment's, also of a refund
    held: Held
    fen: int
    is_done: bool
    status: str
    state_text: str
    moved_at: datetime | None
    merchant: Merchant | None  # None: a mock's

    @property
    def day(self) -> date | None:
        return business_day(self.moved_at) if self.moved_at else None


class Holdings:
    """Our attempts and refunds by the numbers of a bill's lines."""

    def __init__(self, merchant: Merchant) -> None:
        self._method = merchant.method
        self._accounts = Accounts((merchant.method,))

    def payments(self, rows: Sequence[BillRow]) -> list[Ours | None]:
        """For each line of a payment what is ours: by our number, else by the gateway's."""
        by_number = self._attempts(out_trade_no__in={row.out_trade_no for row in rows})
        rest = {row.transaction_id for row in rows if row.out_trade_no not in by_number}
        by_gateway = {
            one.external_transaction_id: one
            for one in self._attempts(external_transaction_id__in=rest - {""}).values()
        }
        found = [
            by_number.get(row.out_trade_no) or by_gateway.get(row.transaction_id) for row in rows
        ]
        return [self._of_attempt(one) if one else None for one in found]

    def payment_of(self, row: BillRow) -> PaymentTransaction | None:
        """The payment of ours that a refund's line gives back."""
        found = self._attempts(out_trade_no=row.out_trade_no)
        if not found and row.transaction_id:
            found = self._attempts(external_transaction_id=row.transaction_id)
        return next(iter(found.values()), None)

    def refunds(self, rows: Sequence[BillRow]) -> list[Ours | None]:
        """For each line of a refund what is ours: by our number, else by the gateway's."""
        numbers = {row.number: refund_no_in(row.out_refund_no) for row in rows}
        by_number = self._refunds("refund_no", set(numbers.values()))
        by_gateway = self._refunds("external_refund_id", {row.refund_id for row in rows})
        found = [
            by_number.get(numbers[row.number]) or by_gateway.get(row.refund_id) for row in rows
        ]
        return [self.of_refund(one) if one else None for one in found]

    def numbered(self, numbers: Iterable[str]) -> Iterator[Ours]:
        """The attempts of ours that go by ``numbers``."""
        for one in self._attempts(out_trade_no__in=set(numbers)).values():
            yield self._of_attempt(one)

    def _attempts(self, **wanted: Any) -> dict[str | None, PaymentTransaction]:
        rows = PaymentTransaction.objects.filter(
            payment_method=self._method, transaction_type=TransactionType.PAYMENT, **wanted
        ).defer("request_data", "response_data", "callback_data")
        return {row.out_trade_no: row for row in rows}

    def _of_attempt(self, attempt: PaymentTransaction) -> Ours:
        is_done = attempt.status == TransactionStatus.SUCCESS
        return Ours(
            number=attempt.out_trade_no or "",
            out_trade_no=attempt.out_trade_no or "",
            held=Held(attempt.order_id, attempt.id),
            fen=yuan_to_fen(attempt.amount),
            is_done=is_done,
            status=attempt.status,
            state_text=str(attempt.get_status_display()),
            moved_at=attempt.completed_at if is_done else None,
            merchant=self._merchant_of(attempt),
        )

    def _refunds(self, field_name: str, wanted: set[str]) -> dict[str | None, Refund]:
        rows = Refund.objects.select_related("transaction").filter(
            transaction__payment_method=self._method, **{f"{field_name}__in": wanted - {""}}
        )
        return {getattr(row, field_name): row for row in rows}

    def of_refund(self, refund: Refund) -> Ours:
        is_done = refund.status == RefundStatus.SUCCESS
        return Ours(
            number=number_of(refund),
            out_trade_no=refund.transaction.out_trade_no or "",
            held=Held(refund.order_id, refund.transaction_id, refund.id),
            fen=yuan_to_fen(refund.refund_amount),
            is_done=is_done,
            status=refund.status,
            state_text=str(refund.get_status_display()),
            moved_at=moved_at(self._method, refund) if is_done else None,
            merchant=self._merchant_of(refund.transaction),
        )

    def _merchant_of(self, attempt: PaymentTransaction) -> Merchant | None:
        return self._accounts.of(self._method, attempt.config_version_id, attempt.is_mock)


@dataclass(slots=True)
class Telling:
    """Tells the lines and the rows of one merchant's day apart that do not agree."""

    merchant: Merchant
    day: date
    bill: BillFile | None
    books: OurBooks
    found: list[Found] = field(default_factory=list)
    agreed: int = 0  # lines without a pair of the day that agree all the same
    _holdings: Holdings = field(init=False)
    # Numbers that a line has had already: what we hold unpaid, or on another day.
    _had: set[str] = field(default_factory=set)
    _own_days: dict[date, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._holdings = Holdings(self.merchant)

    # -- the bill's lines -----------------------------------------------------------------------

    def lines(self, rows: Iterable[BillRow]) -> None:
        """Lines whose number is not, or no longer, in our books of the day."""
        for batch in batches(rows, BATCH):
            payments = [row for row in batch if not row.is_refund]
            for row, ours in zip(payments, self._holdings.payments(payments), strict=True):
                self._payment(row, ours)
            refunds = [row for row in batch if row.is_refund]
            for row, ours in zip(refunds, self._holdings.refunds(refunds), strict=True):
                self._refund(row, ours)

    def of_another_app(self, row: BillRow) -> None:
        apps = ", ".join(sorted(apps_of(self.merchant)))
        text = _("属于应用 %(app)s，不是我方配置的应用（%(ours)s）")
        self._add(DifferenceType.FOREIGN, row, text % {"app": row.app_id[:40], "ours": apps[:200]})

    def _payment(self, row: BillRow, ours: Ours | None) -> None:
        if ours is None:
            self._unheld(row, is_our_form=is_attempt_number(row.out_trade_no))
        elif ours.merchant is not None and ours.merchant != self.merchant:
            self._of_another_merchant(row, ours)
        elif not ours.is_done or ours.merchant is None or row.state != SUCCESS:
            self._not_done(row, ours)
        else:
            self._done(row, ours, self.books.payments)

    def _refund(self, row: BillRow, ours: Ours | None) -> None:
        if ours is None:
            self._unheld_refund(row)
        elif ours.merchant is not None and ours.merchant != self.merchant:
            self._of_another_merchant(row, ours)
        elif ours.is_done and row.state == FAILED and row.out_refund_no in self.books.refunds:
            del self.books.refunds[row.out_refund_no]
            self.state(row, ours)
        elif (
            ours.is_done
            and row.state != FAILED
            and (row.state == SUCCESS or ours.number == row.out_refund_no)
        ):
            self._done(row, ours, self.books.refunds)
        elif row.state != SUCCESS and (ours.is_done or ours.status in WITH_GATEWAY):
            # It failed, or goes on, here and there; or a number that was closed and followed by
            # another one. A line is not changed later.
            self.agreed += 1
        else:
            self._not_done(row, ours)

    def _unheld(self, row: BillRow, *, is_our_form: bool) -> None:
        if is_our_form:
            self._add(DifferenceType.THEIRS_ONLY, row, _("我方没有这个单号"))
        else:
            self._add(DifferenceType.FOREIGN, row, _("不是我方的单号"))

    def _unheld_refund(self, row: BillRow) -> None:
        if row.state == FAILED:  # nothing moved
            self.agreed += 1
            return
        payment = self._holdings.payment_of(row)
        if payment is not None:
            held = Held(payment.order_id, payment.id)
            text = _("这是我方付款 %(number)s 的退款，我方没有这笔退款")
            text %= {"number": payment.out_trade_no}
            self._add(DifferenceType.THEIRS_ONLY, row, text, held=held)
        else:
            self._unheld(row, is_our_form=bool(refund_no_in(row.out_refund_no)))

    def _of_another_merchant(self, row: BillRow, ours: Ours) -> None:
        number = ours.merchant.number if ours.merchant else ""
        text = _("我方这笔属于商户号 %(number)s") % {"number": number}
        self._add(DifferenceType.FOREIGN, row, text, held=ours.held, ours_fen=ours.fen)

    def _done(self, row: BillRow, ours: Ours, books: dict[str, int]) -> None:
        """A line of what is done in our books, too: of another number, day, or once more."""
        if ours.number in books:  # found by the gateway's number
            fen = books.pop(ours.number)
            if fen == row.amount_fen:
                self.agreed += 1
                self._fee_by_rate(row, ours.held)
            else:
                self.amount(row, fen, ours.held)
        elif ours.day == self.day or self._stands_in_its_own(ours) or ours.number in self._had:
            self._again(row, ours)
        else:
            self._had.add(ours.number)
            self.found.append(paired(row, ours, self.bill, self.day))
            self._fee_by_rate(row, ours.held)

    def _not_done(self, row: BillRow, ours: Ours) -> None:
        if ours.number in self._had:
            self._again(row, ours)
        else:
            self._had.add(ours.number)
            self.state(row, ours)

    def _again(self, row: BillRow, ours: Ours) -> None:
        text = _("这个单号在账单里已有一行")
        self._add(DifferenceType.DUPLICATE, row, text, held=ours.held)

    def _stands_in_its_own(self, ours: Ours) -> bool:
        """Whether the bill of the day in which we have it has it, too."""
        day = ours.day
        if day is None:
            return False
        if day not in self._own_days:
            row = day_of(self.merchant, day)
            self._own_days[day] = row is not None and row.trade_bill_id is not None
        missed = Difference.objects.found().filter(
            day__payment_method=self.merchant.method,
            day__merchant=self.merchant.number,
            day__day=day,
            difference_type__in=(DifferenceType.OURS_ONLY, DifferenceType.WRONG_DAY),
            transaction_id=ours.held.transaction_id,
            refund_id=ours.held.refund_id,
        )
        return self._own_days[day] and not missed.exists()

    # -- lines of numbers that we have that day -------------------------------------------------

    def amount(self, row: BillRow, ours_fen: int, held: Held | None) -> None:
        self.found.append(amount_differs(row, ours_fen, held, self.bill))

    def state(self, row: BillRow, ours: Ours) -> None:
        texts = {"ours": ours.state_text, "theirs": row.state}
        text = _("账单写 %(theirs)s，我方记为“%(ours)s”") % texts
        self._add(DifferenceType.STATE, row, text, ours_fen=ours.fen, held=ours.held)

    def held_of(self, rows: Sequence[BillRow]) -> Iterator[tuple[BillRow, Ours]]:
        """Lines with what our books have of them."""
        for is_refund in (False, True):
            part = [row for row in rows if row.is_refund is is_refund]
            for batch in batches(part, BATCH):
                read = self._holdings.refunds if is_refund else self._holdings.payments
                for row, ours in zip(batch, read(batch), strict=True):
                    if ours is not None:
                        yield row, ours

    def fee(self, row: BillRow, held: Held | None, reason: str, *, due: int, taken: int) -> None:
        """A fee (hundred-thousandths of a yuan) that is not the one that was due."""
        found = of_row(DifferenceType.FEE, row, self.bill, reason, held=held)
        self.found.append(replace(found, ours=_fee_yuan(due), theirs=_fee_yuan(taken)))

    def fee_off(self, row: BillRow, held: Held | None, due: int) -> None:
        texts = {"rate": row.fee_rate[:16], "due": fee_text(due)}
        text = _("费率 %(rate)s 应为 %(due)s 元") % texts
        self.fee(row, held, text, due=due, taken=row.fee)

    def _fee_by_rate(self, row: BillRow, held: Held) -> None:
        """The fee of a line whose pair is not in the books of the day under its number."""
        if (due := fee_due(row, Rates())) is not None:
            self.fee_off(row, held, due)

    def _add(self, kind: DifferenceType, row: BillRow, reason: str, **other: Any) -> None:
        self.found.append(of_row(kind, row, self.bill, reason, **other))

    # -- money that no line of a trade bill explains --------------------------------------------

    def moves(self, moved: Sequence[Unexplained]) -> None:
        """Lines of a fund bill. ``theirs`` is what moved."""
        lines = [_line_of(one.row) for one in moved]
        held = dict(self.held_of(lines))
        for one, line in zip(moved, lines, strict=True):
            ours = held.get(line)
            if one.row.kind is FundKind.REFUND_CLOSED and ours is not None:
                self._came_back(line, ours)
                continue
            kind, links = self._moved_as(line, ours, is_again=one.is_again)
            text = MOVED_AGAIN if kind is DifferenceType.DUPLICATE else MOVED
            self._add(
                kind,
                line,
                text % {"kind": one.row.kind_text[:32]},
                fact=f"{one.row.kind}/{number_of_row(line)}",
                held=links,
            )

    def _came_back(self, line: BillRow, ours: Ours) -> None:
        """A refund of an earlier day that its gateway could not pay out: wrong where we hold it as
        done, and as it has to be where we know."""
        if ours.is_done:
            text = _("退款已关闭，资金退回账户，我方记为“%(ours)s”") % {"ours": ours.state_text}
            fact = f"{FundKind.REFUND_CLOSED}/{number_of_row(line)}"
            facts: dict[str, Any] = {"fact": fact, "ours_fen": ours.fen, "held": ours.held}
            self._add(DifferenceType.STATE, line, text, **facts)

    def _moved_as(
        self, line: BillRow, ours: Ours | None, *, is_again: bool
    ) -> tuple[DifferenceType, Held | None]:
        payment = self._holdings.payment_of(line) if ours is None and line.is_refund else None
        held = Held(payment.order_id, payment.id) if payment else None
        if ours is not None:
            held = ours.held
        if is_again:
            return DifferenceType.DUPLICATE, held
        if ours is None:
            is_our_form = is_attempt_number(line.out_trade_no) or refund_no_in(line.out_refund_no)
            is_ours = payment is not None or is_our_form
            return DifferenceType.THEIRS_ONLY if is_ours else DifferenceType.FOREIGN, held
        if ours.merchant is not None and ours.merchant != self.merchant:
            return DifferenceType.FOREIGN, held
        if not ours.is_done:
            return DifferenceType.STATE, held
        is_again = ours.day != self.day and self._stands_in_its_own(ours)
        return DifferenceType.DUPLICATE if is_again else DifferenceType.THEIRS_ONLY, held

    # -- what the bill lacks --------------------------------------------------------------------

    def left_over(self) -> Iterator[Ours]:
        """Ours of the day that no line of its bill has."""
        for batch in batches(list(self.books.payments), BATCH):
            yield from self._holdings.numbered(batch)
        numbers = list(self.books.refunds)
        for batch in batches(numbers, BATCH):
            yield from self._refunds_left(batch)

    def _refunds_left(self, numbers: list[str]) -> Iterator[Ours]:
        wanted = set(numbers)
        own = {refund_no_in(number) for number in numbers} - {""}
        rows = Refund.objects.select_related("transaction").filter(
            transaction__payment_method=self.merchant.method
        )
        found = list(rows.filter(refund_no__in=own))
        others = wanted - {number_of(refund) for refund in found}
        if others:
            begins = day_start(self.day) - ONE_DAY
            outside = rows.filter(
                sent_at=None, completed_at__gte=begins, completed_at__lt=begins + 3 * ONE_DAY
            )
            found += [refund for refund in outside if number_of(refund) in others]
        for refund in found:
            if number_of(refund) in wanted:
                yield self._holdings.of_refund(refund)


def _line_of(row: FundRow) -> BillRow:
    """What moved, in the words of a trade bill."""
    is_refund = row.kind in REFUNDS
    return BillRow(
        number=row.number,
        is_refund=is_refund,
        out_trade_no=row.out_trade_no,
        transaction_id=row.transaction_id,
        out_refund_no=row.out_refund_no,
        refund_id=row.transaction_id if row.out_refund_no else "",
        amount_fen=abs(row.change_fen),
        settled_fen=abs(row.change_fen),
        fee=0,
        fee_rate="",
        moment=row.moment,
        state=SUCCESS,
        app_id="",
        merchant="",
    )


def fee_text(fee: int) -> str:
    """A fee (hundred-thousandths of a yuan) in yuan."""
    return f"{fee / 100_000:.2f}"


def _fee_yuan(fee: int) -> Any:
    return fen_to_yuan(round(fee / 1000))


def amount_differs(row: BillRow, ours_fen: int, held: Held | None, bill: BillFile | None) -> Found:
    texts = {"ours": fen_to_yuan(ours_fen), "theirs": fen_to_yuan(row.amount_fen)}
    return of_row(
        DifferenceType.AMOUNT,
        row,
        bill,
        _("我方 %(ours)s 元，账单 %(theirs)s 元") % texts,
        ours_fen=ours_fen,
        held=held,
    )


def paired(row: BillRow, ours: Ours, bill: BillFile | None, bill_day: date) -> Found:
    """A line in another day's bill than the day in which we have it."""
    if row.amount_fen != ours.fen:
        return amount_differs(row, ours.fen, ours.held, bill)
    texts = {"ours": ours.day, "theirs": bill_day}
    text = _("我方在 %(ours)s，账单在 %(theirs)s") % texts
    return of_row(DifferenceType.WRONG_DAY, row, bill, text, ours_fen=ours.fen, held=ours.held)


def lacking(ours: Ours, *, is_doubtful: bool) -> Found:
    """Ours that no bill has, or none yet."""
    text = _("午夜前后一小时内，可能在相邻一天的账单里") if is_doubtful else _("账单里没有这笔")
    is_refund = ours.held.refund_id is not None
    return Found(
        difference_type=DifferenceType.OURS_ONLY,
        fact=ours.number,
        reason=text,
        out_trade_no=ours.out_trade_no,
        refund_no=ours.number[:64] if is_refund else "",
        ours=fen_to_yuan(ours.fen),
        is_doubtful=is_doubtful,
        **ours.held.links,
    )


def about(found: Found, ours: Ours) -> Found:
    """The difference of a line that nobody can read, which names ours."""
    is_refund = ours.held.refund_id is not None
    return replace(
        found,
        out_trade_no=ours.out_trade_no,
        refund_no=ours.number[:64] if is_refund else "",
        ours=fen_to_yuan(ours.fen),
        **ours.held.links,
    )


def is_near_midnight(moment: datetime) -> bool:
    begins = day_start(business_day(moment))
    return min(moment - begins, begins + ONE_DAY - moment) <= DOUBTFUL_WITHIN
