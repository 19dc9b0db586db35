"""People who order and pay, or do something else."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import OperationalError, connections

from gateways.interface import Scene
from payments.errors import (
    GatewayDown,
    GatewayRefused,
    OrderExpired,
    OrderNotCancellable,
    OrderNotPayable,
)
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, PayResult, pay
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from payments.services.sweeping import order_sync
from payments.states import TransactionType
from tcmpay.common.actor import Actor, Role
from tcmpay.common.errors import RateLimited
from tcmpay.common.money import fen_to_yuan
from tests.trial.stage import ControlRefused, Stage, StandInControl

START_TRIES_MAX = 40
TRY_AGAIN_SECONDS = (0.02, 0.25)
SCENES: Mapping[str, tuple[Scene, ...]] = {
    "wechat": (Scene.NATIVE, Scene.JSAPI, Scene.MINI_PROGRAM, Scene.H5, Scene.APP),
    "alipay": (Scene.PAGE, Scene.WAP, Scene.APP, Scene.QR),
}
OTHER = {"wechat": "alipay", "alipay": "wechat"}


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
            try:
                taken = Visit(self._control, chance).run()
            except OperationalError:
                # Our database is busy: the person got a 503 and leaves as they are.
                continue
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
    owner: Actor = field(default_factory=lambda: Actor(id=uuid.uuid4(), role=Role.PATIENT))

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
        with suppress(RateLimited):
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
                time.sleep(self.chance.uniform(*TRY_AGAIN_SECONDS))
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
                time.sleep(self.chance.uniform(*TRY_AGAIN_SECONDS))
            except OrderNotCancellable:
                return None
