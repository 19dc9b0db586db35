"""The product and a stand-in gateway in one process, and the time that passes for both."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.core.management import call_command

from backoffice.ops.audit import audit
from gateways.errors import GatewayUnknown
from gateways.transport import HttpAnswer
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from payments.tasks import expire_orders, sweep_attempts
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.tasks import sweep as sweep_refunds
from simulator import books, cashier
from simulator.app import answer
from simulator.machine import Machine
from simulator.store import Trade as TheirTrade
from simulator.web import Request
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope
from webhooks.tasks import sweep as sweep_events

CHANNELS = ("wechat", "alipay")
SCENES = {"wechat": "native", "alipay": "page"}
PRICE, PART = Decimal("10.00"), Decimal("4.00")
ADMIN = Actor(new_id(), Role.ADMIN)
# What a gateway forbids whoever asks, after the deed was done.
FORBIDDEN = {
    "wechat": (403, b'{"code":"NO_AUTH","message":"no"}'),
    "alipay": (200, b'{"error_response":{"code":"40006","msg":"no","sub_code":"isv.no"}}'),
}


@dataclass
class Wire:
    """In the place of the transport: the stand-in answers in this process.

    ``forbidding`` names operations after whose deed everybody is told that they may not.
    """

    machine: Machine
    forbidding: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def send(
        self, verb: str, url: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        given = Message()
        for name, value in headers.items():
            given[name] = value
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        said = answer(self.machine, Request(verb, target, given, body))
        if said.cut:
            raise GatewayUnknown("connection cut", code="TRANSPORT")
        if number := self._forbidden(f"{target} {body.decode()}"):
            channel = "wechat" if parts.path.startswith("/v3/") else "alipay"
            self.forbidding[channel].discard(number)
            status, content = FORBIDDEN[channel]
            return HttpAnswer(status, {}, content)
        names = {name.lower(): value for name, value in said.headers.items()}
        return HttpAnswer(said.status, names, said.body)

    def _forbidden(self, sent: str) -> str:
        numbers = (number for numbers in self.forbidding.values() for number in numbers)
        return next((number for number in numbers if number in sent), "")


class Stage:
    """What people, beat and the gateway do. ``now`` is the product's time."""

    def __init__(self, machine: Machine, wire: Wire) -> None:
        self.machine = machine
        self.wire = wire
        self.now: datetime = clock.now()

    def at(self):
        return clock.frozen(self.now)

    # What people do ---------------------------------------------------------------------------

    def order(self) -> PaymentOrder:
        owner = Actor(new_id(), Role.PATIENT)
        with self.at():
            command = OrderCommand(user_id=owner.id, order_type="other", amount=PRICE)
            return order_create(actor=owner, command=command)

    def start(self, order: PaymentOrder, channel: str, scene: str = "") -> str:
        """Begin to pay; the refusal's code, if it is refused."""
        command = PayCommand(
            order_id=order.id, payment_method=channel, scene=scene or SCENES[channel]
        )
        with self.at():
            try:
                result = pay(actor=Actor(order.user_id, Role.PATIENT), command=command)
            except Exception as error:
                code = getattr(error, "code", None)
                if not code:
                    raise
                return str(code)
        if result.start.payment_url and channel == "alipay":
            cashier.open_address(self.machine, result.start.payment_url)
        return ""

    def payer_pays(self, order: PaymentOrder, channel: str) -> None:
        """The code that the payer was shown first is paid; nobody is told."""
        theirs = self.their_trade(channel, order.order_no)
        books.pay(self.machine, books.open_cashier(self.machine, theirs))

    def refund(self, order: PaymentOrder, amount: Decimal = PART) -> UUID:
        """Asked for by the owner, approved by staff."""
        owner = Actor(order.user_id, Role.PATIENT)
        with self.at():
            refund = refund_request(actor=owner, order_id=order.id, amount=amount, reason="退号")
            refund_review(actor=ADMIN, refund_id=refund.id, is_approved=True, notes="")
        return refund.id

    def paid(self, channel: str) -> PaymentOrder:
        order = self.order()
        assert self.start(order, channel) == ""
        self.payer_pays(order, channel)
        return order

    # What beat and the worker do ----------------------------------------------------------------

    def sweep(self) -> None:
        with self.at():
            expire_orders()
            sweep_attempts()
            sweep_refunds()
            sweep_events()

    def pass_time(self, *, minutes: float, every_seconds: float = 60) -> None:
        ends_at = self.now + timedelta(minutes=minutes)
        while self.now < ends_at:
            self.now += timedelta(seconds=every_seconds)
            self.sweep()

    # What the gateway does ------------------------------------------------------------------------

    def order_faults(self, *faults: Mapping[str, Any]) -> None:
        self.machine.faults.change({"once": [dict(fault) for fault in faults]})

    def recover(self) -> None:
        """The gateway answers as it should, and whatever it had under way is done."""
        self.machine.faults.change({"clear": True})
        self.wire.forbidding.clear()
        for refund in books.everything(self.machine)["refunds"]:
            if refund["status"] == "PROCESSING":
                self.their_settling(refund)

    def their_settling(self, shown: Mapping[str, Any]) -> None:
        trade = self.their_trade(shown["channel"], shown["out_trade_no"])
        for refund in self.machine.store.refunds_of(trade):
            if refund.status == "PROCESSING":
                books.refund_settle(self.machine, refund, "SUCCESS")

    def their_trade(self, channel: str, number: str) -> TheirTrade:
        trade = books.find_trade(self.machine, channel, number)
        assert trade is not None, f"{channel} does not know {number}"
        return trade

    def their_refunds(self, channel: str, number: str) -> list[int]:
        """What went back of a trade, refund by refund (fen)."""
        trade = books.find_trade(self.machine, channel, number)
        rows = self.machine.store.refunds_of(trade) if trade else []
        return [row.amount_fen for row in rows if row.status in ("SUCCESS", "PROCESSING")]

    # What must be true in the end -----------------------------------------------------------------

    def problems(self, orders: Collection[PaymentOrder], channel: str) -> dict[UUID, str]:
        """What is wrong with each order, by comparing both books."""
        found = {}
        for order in PaymentOrder.objects.filter(id__in=[order.id for order in orders]):
            if problem := "；".join(self._problems_of(order, channel)):
                found[order.id] = problem
        return found

    def _problems_of(self, order: PaymentOrder, channel: str) -> Iterator[str]:
        if order.status == "pending":
            yield "the order is still pending"
        for attempt in PaymentTransaction.objects.filter(order=order, transaction_type="payment"):
            theirs = books.find_trade(self.machine, channel, attempt.out_trade_no or "")
            is_paid = theirs is not None and theirs.paid_at is not None
            if is_paid != (attempt.status == "success"):
                yield f"{attempt.out_trade_no} is {attempt.status}, paid there: {is_paid}"
            done = Refund.objects.filter(transaction=attempt, status="success")
            ours = sorted(int(refund.refund_amount * 100) for refund in done)
            if ours != sorted(self.their_refunds(channel, attempt.out_trade_no or "")):
                yield f"refunds {ours}, theirs {self.their_refunds(channel, attempt.out_trade_no)}"
            if is_paid and attempt.disposition != "applied" and sum(ours) != attempt.amount * 100:
                yield f"{attempt.disposition} money was kept"
        wanted = Refund.objects.filter(order=order, cause="requested").first()
        back = sum(self.their_refunds(channel, order.order_no))
        if wanted is not None and back != wanted.refund_amount * 100:
            yield f"{wanted.refund_amount} was wanted, {back} fen went back"
        for refund in Refund.objects.filter(order=order, status__in=("pending", "processing")):
            yield f"refund {refund.status} ({refund.error_code})"

    def audit(self) -> list[str]:
        with self.at():
            return [
                f"{finding.code} {finding.message}"
                for _check, findings in audit(Scope())
                for finding in findings
                if not finding.is_notice
            ]


@contextmanager
def configured(folder: Path) -> Iterator[None]:
    """Both channels lead to the stand-in whose keys lie in ``folder``."""
    call_command(
        "load_gateway_config",
        str(folder / "config.json"),
        notify_base="http://127.0.0.1:9",
        verbosity=0,
        stdout=(folder / "load.log").open("a"),
    )
    yield
