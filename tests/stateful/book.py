"""A gateway in memory. It does what it is asked, forgets nothing, and says what it has said."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from config.gateways.versions import version_in_force
from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import (
    CloseState,
    Json,
    PaymentStart,
    RefundReport,
    RefundRequest,
    RefundState,
    TradeReport,
    TradeState,
)
from gateways.mock import MockGateway
from payments.channels import Channel


def trade_key(method: str, number: str) -> str:
    """Two gateways may know different trades by one number."""
    return f"{method} {number}"


class Mood(StrEnum):
    """How a gateway answers for a while."""

    FINE = "fine"
    SILENT = "silent"  # nothing arrives there
    CUT = "cut"  # what was asked is done, the answer is lost
    REFUSING = "refusing"  # a definite no to refunds
    SLOW = "slow"  # refunds stay in process until somebody ends them


@dataclass
class Trade:
    amount: Decimal
    state: TradeState = TradeState.UNPAID
    refunds: dict[str, tuple[Decimal, RefundState]] = field(default_factory=dict)

    @property
    def refunded(self) -> Decimal:
        done = (amount for amount, state in self.refunds.values() if state is RefundState.SUCCESS)
        return sum(done, Decimal("0.00"))


@dataclass
class Book:
    """What one gateway knows. ``said`` is every answer since it was last read."""

    method: str
    mood: Mood = Mood.FINE
    trades: dict[str, Trade] = field(default_factory=dict)
    said: list[tuple[str, str, Any]] = field(default_factory=list)

    def say(self, call: str, number: str, answer: Any) -> None:
        is_refund = call in {"refund", "query_refund"}
        self.said.append((call, number if is_refund else trade_key(self.method, number), answer))

    def pay(self, number: str) -> bool:
        """The buyer pays; Alipay's trade begins only now."""
        trade = self.trades.get(number)
        if trade is None or trade.state is not TradeState.UNPAID:
            return False
        trade.state = TradeState.PAID
        return True

    def close(self, number: str) -> bool:
        """The gateway closes a trade by itself, as when its time is over; none that is paid."""
        trade = self.trades.get(number)
        if trade is None or trade.state is TradeState.PAID:
            return False
        trade.state = TradeState.CLOSED
        return True

    def report(self, number: str) -> TradeReport:
        trade = self.trades[number]
        return TradeReport(number, TradeState.PAID, f"T{number}", trade.amount)


BOOKS: dict[str, Book] = {}


class BookGateway(MockGateway):
    """Speaks for the book of its method. Not a mock: its numbers count."""

    is_mock = False

    @property
    def _book(self) -> Book:
        return BOOKS[self.method]

    def create_payment(self, prepared: Json) -> PaymentStart:
        number = prepared["out_trade_no"]
        self._arrive("create", number)
        trade = self._book.trades.setdefault(number, Trade(Decimal(prepared["total_amount"])))
        if trade.state is TradeState.PAID:
            self._book.say("create", number, RejectReason.ALREADY_PAID)
            raise GatewayRejected("paid", code="PAID", reason=RejectReason.ALREADY_PAID)
        if trade.state is TradeState.CLOSED:
            self._book.say("create", number, RejectReason.NUMBER_USED)
            raise GatewayRejected("closed", code="CLOSED", reason=RejectReason.NUMBER_USED)
        self._leave("create", number)
        self._book.say("create", number, "done")
        return super().create_payment(prepared)

    def query_payment(self, out_trade_no: str) -> TradeReport:
        self._arrive("query", out_trade_no)
        self._leave("query", out_trade_no)
        trade = self._book.trades.get(out_trade_no)
        state = trade.state if trade else TradeState.NOT_FOUND
        self._book.say("query", out_trade_no, state)
        if state is TradeState.PAID:
            return self._book.report(out_trade_no)
        return TradeReport(out_trade_no, state)

    def close_payment(self, out_trade_no: str) -> CloseState:
        self._arrive("close", out_trade_no)
        trade = self._book.trades.get(out_trade_no)
        answer = CloseState.NOT_FOUND
        if trade is not None:
            if trade.state is TradeState.UNPAID:
                trade.state = TradeState.CLOSED
            is_paid = trade.state is TradeState.PAID
            answer = CloseState.ALREADY_PAID if is_paid else CloseState.CLOSED
        self._leave("close", out_trade_no)
        self._book.say("close", out_trade_no, answer)
        return answer

    def refund(self, request: RefundRequest) -> RefundReport:
        self._arrive("refund", request.out_refund_no)
        trade = self._book.trades[request.out_trade_no]
        if request.out_refund_no not in trade.refunds:
            if self._book.mood is Mood.REFUSING:
                self._book.say("refund", request.out_refund_no, RejectReason.OTHER)
                raise GatewayRejected("no", code="TRADE_ERROR", reason=RejectReason.OTHER)
            is_slow = self._book.mood is Mood.SLOW
            state = RefundState.PROCESSING if is_slow else RefundState.SUCCESS
            trade.refunds[request.out_refund_no] = request.refund_amount, state
        self._leave("refund", request.out_refund_no)
        return self._refund_report("refund", request)

    def query_refund(self, request: RefundRequest) -> RefundReport:
        self._arrive("query_refund", request.out_refund_no)
        self._leave("query_refund", request.out_refund_no)
        return self._refund_report("query_refund", request)

    def _refund_report(self, call: str, request: RefundRequest) -> RefundReport:
        refunds = self._book.trades[request.out_trade_no].refunds
        amount, state = refunds.get(request.out_refund_no, (None, RefundState.NOT_FOUND))
        self._book.say(call, request.out_refund_no, state)
        number = request.out_refund_no
        return RefundReport(number, state, refund_id=f"M{number}", amount=amount)

    def _arrive(self, call: str, number: str) -> None:
        if self._book.mood is Mood.SILENT:
            self._book.say(call, number, Mood.SILENT)
            raise GatewayUnknown("silent")

    def _leave(self, call: str, number: str) -> None:
        if self._book.mood is Mood.CUT:
            self._book.say(call, number, Mood.CUT)
            raise GatewayUnknown("cut")


def channel(method: str) -> Channel:
    return Channel(BookGateway(method), version_in_force(method).id)


def gateway_of(payment: Any) -> BookGateway:
    return BookGateway(payment.payment_method)
