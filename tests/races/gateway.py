"""A gateway that all processes of a race share. What it knows lies in a folder, as links: making
one is atomic, so that a trade is either paid or closed, whoever comes first.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

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

DIRECTORY_VARIABLE = "RACE_GATEWAY_DIR"
PAID, CLOSED, OPEN = "paid", "closed", "open"
REFUSALS = {PAID: RejectReason.ALREADY_PAID, CLOSED: RejectReason.NUMBER_USED}


def _nobody_watches(_point: str) -> None: ...


class SharedGateway(MockGateway):
    """The mock, with a memory. ``passing`` is told before and after what a real one does."""

    passing: Callable[[str], None] = staticmethod(_nobody_watches)

    @property
    def _directory(self) -> Path:
        # Two gateways may know different trades by the same number.
        directory = Path(os.environ[DIRECTORY_VARIABLE], self.method)
        directory.mkdir(exist_ok=True)
        return directory

    def create_payment(self, prepared: Json) -> PaymentStart:
        number = prepared["out_trade_no"]
        self._wait_for_answer("create_payment", number)
        end = _recall(self._directory / f"{number}.end")
        if end is not None:
            raise GatewayRejected(end, code=end, reason=REFUSALS[end])
        _remember(self._directory / f"{number}.{OPEN}", prepared["total_amount"])
        self.passing("after create_payment")
        return super().create_payment(prepared)

    def query_payment(self, out_trade_no: str) -> TradeReport:
        self._wait_for_answer("query_payment", out_trade_no)
        number, amount = out_trade_no, self._amount(out_trade_no)
        end = _recall(self._directory / f"{number}.end")
        if amount is None:
            return TradeReport(number, TradeState.NOT_FOUND)
        if end == CLOSED:
            return TradeReport(number, TradeState.CLOSED)
        if end == PAID:
            return TradeReport(number, TradeState.PAID, f"T{number}", amount)
        return TradeReport(number, TradeState.UNPAID)

    def close_payment(self, out_trade_no: str) -> CloseState:
        self._wait_for_answer("close_payment", out_trade_no)
        if self._amount(out_trade_no) is None:
            return CloseState.NOT_FOUND
        end = _remember(self._directory / f"{out_trade_no}.end", CLOSED)
        self.passing("after close_payment")
        return CloseState.ALREADY_PAID if end == PAID else CloseState.CLOSED

    def refund(self, request: RefundRequest) -> RefundReport:
        self._wait_for_answer("refund", request.out_trade_no)
        if _recall(self._directory / f"{request.out_trade_no}.refuses") is not None:
            raise GatewayRejected("no", code="NO")
        name = f"{request.out_trade_no}~{request.out_refund_no}"
        _remember(self._directory / name, str(request.refund_amount))
        self.passing("after refund")
        return super().refund(request)

    def query_refund(self, request: RefundRequest) -> RefundReport:
        self._wait_for_answer("query_refund", request.out_trade_no)
        name = f"{request.out_trade_no}~{request.out_refund_no}"
        if _recall(self._directory / name) is None:
            return RefundReport(request.out_refund_no, RefundState.NOT_FOUND)
        return super().refund(request)

    def go_silent(self, out_trade_no: str) -> None:
        """Leave every call about this trade without an answer, until ``speak_again``."""
        _remember(self._directory / f"{out_trade_no}.silent", "yes")

    @contextmanager
    def refusing_refunds(self, out_trade_no: str) -> Iterator[None]:
        """Say a definite no to every refund of this trade, for a while."""
        link = self._directory / f"{out_trade_no}.refuses"
        _remember(link, "yes")
        try:
            yield
        finally:
            link.unlink()

    def speak_again(self) -> None:
        for link in self._directory.glob("*.silent"):
            link.unlink()

    def _wait_for_answer(self, call: str, out_trade_no: str) -> None:
        self.passing(f"before {call}")
        if _recall(self._directory / f"{out_trade_no}.silent") is not None:
            raise GatewayUnknown("no answer")

    def buyer_pays(self, out_trade_no: str) -> bool:
        """Whether the trade is paid now: a closed one can't be."""
        return _remember(self._directory / f"{out_trade_no}.end", PAID) == PAID

    def is_known(self, out_trade_no: str) -> bool:
        return self._amount(out_trade_no) is not None

    def is_paid(self, out_trade_no: str) -> bool:
        return _recall(self._directory / f"{out_trade_no}.end") == PAID

    def refunded(self, out_trade_no: str) -> Decimal:
        """What the gateway has given back of a trade (yuan)."""
        links = self._directory.glob(f"{out_trade_no}~*")
        return sum((Decimal(_recall(link) or 0) for link in links), Decimal("0.00"))

    def _amount(self, out_trade_no: str) -> Decimal | None:
        text = _recall(self._directory / f"{out_trade_no}.{OPEN}")
        return None if text is None else Decimal(text)


def shared_gateway(method: str, *_ignored: Any, **_options: Any) -> SharedGateway:
    """In the place of ``gateways.registry.build_gateway``: every configuration leads here."""
    return SharedGateway(method)


def _remember(link: Path, text: str) -> str:
    """What ``link`` says from now on: ``text``, or what somebody else wrote before."""
    try:
        os.symlink(text, link)
    except FileExistsError:
        return os.readlink(link)
    return text


def _recall(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return None
