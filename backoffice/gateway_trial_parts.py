"""The parts of a gateway trial, each a process: buyers, staff, and the sweeper that also compares.

All of them live by a clock that runs ``speed`` times faster than the real one, as the stand-in's
schedules do. The web server keeps real time: gateways sign their callbacks by theirs.
"""

import io
import json
import random
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.db.models import Count, F, QuerySet

from backoffice.gateway_trial import RESULT_FILE, ControlRefused, Stage, StandInControl
from gateways.interface import Scene
from payments.errors import (
    GatewayDown,
    GatewayRefused,
    OrderExpired,
    OrderNotCancellable,
    OrderNotPayable,
    SyncTooOften,
)
from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.selectors import surplus_payments
from payments.services.attempts import PayCommand, PayResult, pay
from payments.services.callbacks import refund_notices_waiting
from payments.services.endings import order_cancel, orders_expire
from payments.services.orders import OrderCommand, order_create
from payments.services.sweeping import attempts_sweep, order_sync
from payments.states import (
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    Disposition,
    OrderStatus,
    TransactionStatus,
    TransactionType,
)
from refunds.errors import OrderNotRefundable, RefundExceedsPaid, TooManyRefunds
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.submission import gateway_refund_no, refund_retry, refunds_sweep
from refunds.services.surplus import surplus_sweep
from refunds.states import RefundCause, RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.money import fen_to_yuan, yuan_to_fen

START_TRIES_MAX = 40
ROUND_SECONDS = 30.0  # of the trial's clock: the beat of the product
SWEEPERS = 2
SHOWN_MAX = 40
SCENES: Mapping[str, tuple[Scene, ...]] = {
    "wechat": (Scene.NATIVE, Scene.JSAPI, Scene.MINI_PROGRAM, Scene.H5, Scene.APP),
    "alipay": (Scene.PAGE, Scene.WAP, Scene.APP, Scene.QR),
}
OTHER = {"wechat": "alipay", "alipay": "wechat"}


def run_clock(stage: Stage) -> None:
    """From now on the time that decides runs faster in this process."""
    start = datetime.fromtimestamp(stage.started_at, UTC)

    def now() -> datetime:
        return start + timedelta(seconds=(time.time() - stage.started_at) * stage.plan.speed)

    setattr(clock, "now", now)  # noqa: B010


def someone(role: Role) -> Actor:
    return Actor(id=uuid.uuid4(), role=role)


# --- buyers -----------------------------------------------------------------------------------


class Buyers:
    """Threads in which one person after the other orders, pays, or does something else."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self._number = number
        self._control = StandInControl(stage.stand_in_port)
        self._lock = threading.Lock()
        share, rest = divmod(stage.plan.payments, stage.plan.buyers)
        self._payments_left = share + (number < rest)
        self._failures: list[str] = []

    def run(self) -> None:
        threads = self._stage.plan.buyer_threads
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(self._shop, thread) for thread in range(threads)]:
                done.result()

    def _shop(self, thread: int) -> None:
        chance = random.Random(f"{self._stage.plan.seed} {self._number} {thread}")
        while self._may_go_on():
            taken = Visit(self._control, chance).run()
            with self._lock:
                self._payments_left -= taken
        connections.close_all()

    def _may_go_on(self) -> bool:
        with self._lock:
            return self._payments_left > 0


@dataclass
class Visit:
    """One person with one order; ``run`` tells how many payments the stand-ins took."""

    control: StandInControl
    chance: random.Random
    owner: Actor = field(default_factory=lambda: someone(Role.PATIENT))

    def run(self) -> int:
        amount = fen_to_yuan(self.chance.randint(1, 50_000))
        command = OrderCommand(
            user_id=self.owner.id or uuid.uuid4(),
            order_type="consultation",
            amount=amount,
            description="问诊",
        )
        self.order = order_create(actor=self.owner, command=command)
        ways: Mapping[Callable[[str], int], int] = {
            self._pay: 70,
            self._pay_and_ask: 6,
            self._switch: 6,
            self._pay_twice: 6,
            self._cancel: 3,
            self._cancel_while_paying: 3,
            self._walk_away: 3,
            self._fail_first: 3,
        }
        [way] = self.chance.choices([*ways], [*ways.values()])
        return way(self.chance.choice(["wechat", "alipay"]))

    # Ways to behave ------------------------------------------------------------------------

    def _pay(self, method: str) -> int:
        return self._pay_started(self._start(method))

    def _pay_and_ask(self, method: str) -> int:
        taken = self._pay(method)
        with suppress(SyncTooOften):
            order_sync(actor=self.owner, order_id=self.order.id)
        return taken

    def _fail_first(self, method: str) -> int:
        started = self._start(method)
        if started is not None:
            with suppress(ControlRefused):
                self.control.ask("fail", **self._named(started))
        return self._pay_started(started)

    def _switch(self, method: str) -> int:
        self._start(method)
        return self._pay_started(self._start(OTHER[method]))

    def _pay_twice(self, _method: str) -> int:
        """An Alipay address outlives the switch to WeChat while no buyer has opened it."""
        first = self._start("alipay", self.chance.choice(SCENES["alipay"][:3]))
        return self._pay_started(self._start("wechat")) + self._pay_started(first)

    def _cancel(self, method: str) -> int:
        started = self._start(method)
        self._give_up_order()
        return self._pay_started(started) if self.chance.random() < 0.5 else 0

    def _cancel_while_paying(self, method: str) -> int:
        started = self._start(method)
        with ThreadPoolExecutor(1) as pool:
            paying = pool.submit(self._pay_started, started)
            self._give_up_order()
            return paying.result()

    def _walk_away(self, method: str) -> int:
        self._start(method)
        return 0

    # Steps ---------------------------------------------------------------------------------

    def _start(self, method: str, scene: Scene | None = None) -> PayResult | None:
        """Ask until the gateway answers; None when the order can't be paid this way any more."""
        scene = scene or self.chance.choice(SCENES[method])
        command = PayCommand(
            order_id=self.order.id,
            payment_method=method,
            scene=scene,
            openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" if method == "wechat" else "",
            client_ip="14.23.150.211",
        )
        for _try in range(START_TRIES_MAX):
            try:
                return pay(actor=self.owner, command=command)
            except (GatewayDown, GatewayRefused):
                time.sleep(self.chance.uniform(0.05, 0.6))
            except (OrderNotPayable, OrderExpired):
                return None
        return None

    def _pay_started(self, started: PayResult | None) -> int:
        if started is None:
            return 0
        try:
            answer = self.control.ask("pay", **self._named(started))
        except ControlRefused:
            return 0
        return 0 if answer.get("already_paid") else 1

    def _named(self, started: PayResult) -> dict[str, str]:
        start = started.start
        order_string = (start.prepay_data or {}).get("order_string", "")
        attempt = (
            PaymentTransaction.objects.filter(
                order_id=self.order.id,
                payment_method=started.payment_method,
                transaction_type=TransactionType.PAYMENT,
            )
            .order_by("-initiated_at")
            .first()
        )
        return {
            "channel": str(started.payment_method),
            "out_trade_no": (attempt.out_trade_no if attempt else None) or "",
            "url": start.payment_url or order_string if started.payment_method == "alipay" else "",
        }

    def _give_up_order(self) -> None:
        for _try in range(START_TRIES_MAX):
            try:
                return order_cancel(actor=self.owner, order_id=self.order.id)
            except GatewayDown:
                time.sleep(self.chance.uniform(0.05, 0.6))
            except OrderNotCancellable:
                return None


# --- staff ------------------------------------------------------------------------------------


class Staff:
    """Asks for refunds, reviews them, repairs what failed, and works in the merchant console."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = StandInControl(stage.stand_in_port)
        self._chance = random.Random(f"{stage.plan.seed} staff")
        self._admin = someone(Role.ADMIN)
        self._asked = 0

    def run(self) -> None:
        asked_file = self._stage.folder / "refunds-asked"
        while not self._stage.is_over:
            if self._asked < self._stage.plan.refunds:
                self._ask()
            elif not asked_file.exists():
                asked_file.touch()
            self._disturb()
            self._repair()
            time.sleep(0.01)

    def _ask(self) -> None:
        paid = list(
            _payments()
            .filter(disposition=Disposition.APPLIED, refund_reserved__lt=F("amount"))
            .order_by("-completed_at")
            .select_related("order")[:200]
        )
        if not paid:
            return time.sleep(0.1)
        payment = self._chance.choice(paid)
        left = yuan_to_fen(payment.amount - payment.refund_reserved)
        fen = left if self._chance.random() < 0.5 else self._chance.randint(1, left)
        owner = Actor(id=payment.order.user_id, role=Role.PATIENT)
        with suppress(RefundExceedsPaid, OrderNotRefundable, TooManyRefunds):
            refund = refund_request(
                actor=owner, order_id=payment.order_id, amount=fen_to_yuan(fen), reason="退号"
            )
            thrown = self._chance.random()
            if thrown < 0.03:
                refund_withdraw(actor=owner, refund_id=refund.id)
                return None
            is_approved = thrown > 0.06
            refund_review(
                actor=self._admin, refund_id=refund.id, is_approved=is_approved, notes="试运行"
            )
            self._asked += is_approved
        return None

    def _disturb(self) -> None:
        if self._stage.is_finishing or self._asked >= self._stage.plan.refunds:
            return
        thrown = self._chance.random()
        with suppress(ControlRefused):
            if thrown < 0.03:
                once = {"operation": "wechat.refund", "kind": "not_found"}
                self._control.ask("faults", once=once)
            elif thrown < 0.06:
                self._refund_outside()
            elif thrown < 0.12:
                self._spoil_refund()
            elif thrown < 0.13:
                self._control.ask("settings", merchant_short=True)
            elif thrown < 0.2:
                self._control.ask("settings", merchant_short=False)

    def _refund_outside(self) -> None:
        payment = _payments().filter(refund_reserved=0).order_by("?").first()
        if payment is not None:
            self._control.ask("refund", **_trade(payment), amount_fen=1)

    def _spoil_refund(self) -> None:
        refund = (
            _refunds()
            .filter(status=RefundStatus.PROCESSING, submissions__gt=0)
            .filter(transaction__payment_method="wechat")
            .order_by("?")
            .first()
        )
        if refund is not None:
            self._settle(refund, self._chance.choice(["CLOSED", "ABNORMAL"]))

    def _settle(self, refund: Refund, status: str) -> None:
        number = gateway_refund_no(refund)
        self._control.ask(
            "settle", **_trade(refund.transaction), out_refund_no=number, status=status
        )

    def _repair(self) -> None:
        """What people do about open cases: top up and retry, pay out what came back."""
        if self._asked >= self._stage.plan.refunds:
            self._control.ask("settings", merchant_short=False)
            time.sleep(0.1)
        for refund in _refunds().filter(status=RefundStatus.FAILED)[:20]:
            with suppress(RefundExceedsPaid):
                refund_retry(actor=self._admin, refund_id=refund.id, reason="已处理，重试")
        for refund in _refunds().filter(status=RefundStatus.PROCESSING, error_code="ABNORMAL")[:20]:
            with suppress(ControlRefused):
                self._settle(refund, "SUCCESS")
        if self._stage.is_finishing:
            self._tell_outside_refunds()

    def _tell_outside_refunds(self) -> None:
        """No query finds a refund that was made outside; without its notice only the bill does."""
        books = self._control.read("books")
        known = {number for _method, number in _our_refunds()}
        for refund in books["refunds"]:
            if refund["outside"] and refund["out_refund_no"] not in known:
                names = ("channel", "out_trade_no", "out_refund_no")
                with suppress(ControlRefused):
                    self._control.ask("notify", **{name: refund[name] for name in names})


def _payments() -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.filter(
        transaction_type=TransactionType.PAYMENT, status=TransactionStatus.SUCCESS
    )


def _refunds() -> QuerySet[Refund]:
    return Refund.objects.select_related("transaction")


def _trade(payment: PaymentTransaction) -> dict[str, str]:
    return {"channel": payment.payment_method, "out_trade_no": payment.out_trade_no or ""}


# --- the sweeper, and the end -----------------------------------------------------------------


class Sweeper:
    """What beat and the worker do, by threads that know nothing of each other."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = StandInControl(stage.stand_in_port)
        self._is_settled = threading.Event()
        self._failures: list[str] = []

    def run(self) -> None:
        with ThreadPoolExecutor(SWEEPERS) as pool:
            sweeping = [pool.submit(self._sweep) for _sweeper in range(SWEEPERS)]
            self._wait_until_settled()
            self._is_settled.set()
            for done in sweeping:
                done.result()
        result = {"figures": figures(self._control), "differences": self._differences()}
        draft = self._stage.folder / "draft.json"
        draft.write_text(json.dumps(result, ensure_ascii=False))
        draft.rename(self._stage.folder / RESULT_FILE)

    def _sweep(self) -> None:
        sweeps = (attempts_sweep, orders_expire, notices_take, surplus_sweep, refunds_sweep)
        while not self._is_settled.is_set():
            began = time.monotonic()
            for sweep in sweeps:
                try:
                    sweep()
                except Exception:
                    # As a task would: the next round tries again. That it happened is a finding.
                    self._failures.append(f"{sweep.__name__}: {traceback.format_exc()}")
            pause = ROUND_SECONDS / self._stage.plan.speed - (time.monotonic() - began)
            self._is_settled.wait(max(pause, 0.005))
        connections.close_all()

    def _wait_until_settled(self) -> None:
        deadline = None
        while True:
            time.sleep(0.2)
            if not self._stage.is_finishing:
                continue
            deadline = deadline or time.monotonic() + self._stage.plan.settle_seconds_max
            if not any(self._unfinished()) or time.monotonic() > deadline:
                return

    def _differences(self) -> list[str]:
        found = [*self._failures, *self._unfinished(), *compare(self._control.read("books"))]
        said = io.StringIO()
        try:
            call_command("audit_money", strict=True, stdout=said)
        except SystemExit:
            found += [line for line in said.getvalue().splitlines() if "[提示]" not in line]
        if len(found) > SHOWN_MAX:
            return [*found[:SHOWN_MAX], f"… {len(found) - SHOWN_MAX} more"]
        return found

    def _unfinished(self) -> Iterator[str]:
        """What is under way, here or at the stand-ins."""
        open_things: Mapping[str, QuerySet[Any]] = {
            "order": PaymentOrder.objects.filter(status=OrderStatus.PENDING),
            "attempt": PaymentTransaction.objects.filter(status=TransactionStatus.PENDING),
            "refund": Refund.objects.filter(
                status__in=(RefundStatus.PENDING, RefundStatus.PROCESSING)
            ),
            "surplus": surplus_payments(),
            "notice": refund_notices_waiting(),
        }
        for name, rows in open_things.items():
            for row in rows[:5]:
                yield f"unfinished {name}: {row} {getattr(row, 'status', '')}"
        for refund in Refund.objects.filter(status=RefundStatus.FAILED):
            if (
                refund.refund_amount
                <= refund.transaction.amount - refund.transaction.refund_reserved
            ):
                yield f"unfinished refund: {refund} failed, but could be done: {refund.error_message}"
        books = self._control.read("books")
        for refund in books["refunds"]:
            if refund["status"] in ("PROCESSING", "ABNORMAL"):
                yield f"unfinished at the gateway: {refund['out_refund_no']} {refund['status']}"
        known = {number for _method, number in _our_refunds()}
        for refund in books["refunds"]:
            if refund["outside"] and refund["out_refund_no"] not in known:
                yield f"not told yet: {refund['out_refund_no']}"


def compare(books: Mapping[str, Any]) -> Iterator[str]:
    """Where the stand-in's books and ours differ, by trade and by refund, to the fen."""
    theirs = {
        (trade["channel"], trade["out_trade_no"]): trade["amount_fen"]
        for trade in books["payments"]
        if trade["paid_at"] is not None
    }
    ours = {
        (payment.payment_method, payment.out_trade_no): yuan_to_fen(payment.amount)
        for payment in _payments()
    }
    yield from _unequal("payment", theirs, ours)
    their_refunds = {
        (refund["channel"], refund["out_refund_no"]): refund["amount_fen"]
        for refund in books["refunds"]
        if refund["status"] == "SUCCESS"
    }
    yield from _unequal("refund", their_refunds, _our_refunds())
    yield from _given_back_twice(books)
    yield from _not_given_back()


def _unequal(
    what: str, theirs: Mapping[tuple[str, Any], int], ours: Mapping[tuple[str, Any], int]
) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            yield f"{what} {key}: {theirs.get(key)} fen there, {ours.get(key)} fen here"
    for channel in ("wechat", "alipay"):
        there = sum(fen for key, fen in theirs.items() if key[0] == channel)
        here = sum(fen for key, fen in ours.items() if key[0] == channel)
        if there != here:
            yield f"{what}s of {channel}: {there} fen there, {here} fen here"


def _our_refunds() -> dict[tuple[str, Any], int]:
    """Our successful refunds by the number that the gateway knows them by."""
    return {
        (refund.transaction.payment_method, _number_there(refund)): yuan_to_fen(
            refund.refund_amount
        )
        for refund in _refunds().filter(status=RefundStatus.SUCCESS)
    }


def _number_there(refund: Refund) -> str:
    if refund.cause == RefundCause.OUTSIDE:
        return str((refund.refund_response or {}).get("out_refund_no", ""))
    return gateway_refund_no(refund)


def _given_back_twice(books: Mapping[str, Any]) -> Iterator[str]:
    """One refund of ours must have moved money under one number only."""
    done = Counter(
        refund["out_refund_no"][:27]
        for refund in books["refunds"]
        if refund["status"] == "SUCCESS" and refund["out_refund_no"].startswith("RFD")
    )
    for number, count in done.items():
        if count > 1:
            yield f"refund {number}: given back {count} times"
    for trade in books["payments"]:
        if trade["refunded_fen"] > trade["amount_fen"]:
            yield f"payment {trade['out_trade_no']}: more given back than paid"


def _not_given_back() -> Iterator[str]:
    """An order keeps one payment at most: everything else went back whole."""
    paid = Counter(_payments().values_list("order_id", flat=True))
    for order in PaymentOrder.objects.filter(id__in=list(paid)):
        kept = [p for p in _payments().filter(order=order) if p.refund_reserved < p.amount]
        allowed = 1 if order.status in PAID_STATUSES else 0
        if len(kept) > allowed:
            yield f"order {order.order_no} ({order.status}): {len(kept)} payments kept"
    for payment in _payments().filter(disposition__in=SURPLUS_DISPOSITIONS):
        back = Refund.objects.filter(transaction=payment, status=RefundStatus.SUCCESS)
        fen = sum(yuan_to_fen(refund.refund_amount) for refund in back)
        if fen != yuan_to_fen(payment.amount):
            yield f"surplus {payment.transaction_no}: {fen} fen of {payment.amount} given back"


def figures(control: StandInControl) -> dict[str, Any]:
    books, faults = control.read("books"), control.read("faults")
    notices = Counter(PaymentCallback.objects.values_list("verdict", flat=True))
    return {
        "orders": _counted(PaymentOrder.objects.all(), "status"),
        "payments": _counted(_payments(), "payment_method", "disposition"),
        "refunds": _counted(_refunds(), "cause", "status"),
        "refunds under a new number": _refunds().filter(number_generation__gt=1).count(),
        "callbacks": dict(sorted(notices.items())),
        "payments asked about": PaymentTransaction.objects.filter(checks__gt=0).count(),
        "their books": books["totals"],
        "faults": dict(sorted(faults["drawn"].items())),
    }


def _counted(rows: QuerySet[Any], *names: str) -> dict[str, int]:
    found = rows.order_by().values_list(*names).annotate(Count("id"))
    return {"/".join(str(part) for part in row[:-1]): row[-1] for row in sorted(found)}


def _buyers(stage: Stage, number: int) -> None:
    run_clock(stage)
    Buyers(stage, number).run()


def _staff(stage: Stage, _number: int) -> None:
    run_clock(stage)
    Staff(stage).run()


def _sweeper(stage: Stage, _number: int) -> None:
    run_clock(stage)
    Sweeper(stage).run()


PARTS: Mapping[str, Callable[[Stage, int], None]] = {
    "buyers": _buyers,
    "staff": _staff,
    "sweeper": _sweeper,
}
