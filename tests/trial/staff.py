"""People of the clinic: they review refunds, repair what failed, and use the merchant console."""

import random
import time
import uuid
from contextlib import suppress

from django.db import OperationalError
from django.db.models import F

from payments.models import PaymentException, PaymentTransaction
from payments.states import Disposition, ExceptionKind
from refunds.errors import OrderNotRefundable, RefundExceedsPaid, TooManyRefunds
from refunds.models import Refund
from refunds.services.funds import funds_retry
from refunds.services.numbers import gateway_refund_no
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.retries import refund_retry
from refunds.states import RefundStatus
from tcmpay.common.actor import Actor, Role
from tcmpay.common.money import fen_to_yuan, yuan_to_fen
from tests.trial.comparison import payments_received, refunds_done, refunds_made
from tests.trial.stage import ControlRefused, Stage, StandInControl

TELL_AGAIN_SECONDS = 5.0


class Staff:
    """Asks for refunds, reviews them, repairs what failed, and works in the merchant console."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = StandInControl(stage.stand_in_port)
        self._chance = random.Random(f"{stage.plan.seed} staff")
        self._admin = Actor(id=uuid.uuid4(), role=Role.ADMIN)
        self._asked = 0
        self._told_at: dict[str, float] = {}

    def run(self) -> None:
        asked_file = self._stage.folder / "refunds-asked"
        while not self._stage.is_over:
            if self._asked >= self._stage.plan.refunds and not asked_file.exists():
                asked_file.touch()
            # Our database is busy: they got a 503 and try again.
            with suppress(OperationalError):
                self._work()
            time.sleep(0.01)

    def _work(self) -> None:
        if self._asked < self._stage.plan.refunds:
            self._ask()
        self._disturb()
        self._repair()

    def _ask(self) -> None:
        paid = list(
            payments_received()
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
        payment = payments_received().filter(refund_reserved=0).order_by("?").first()
        if payment is not None:
            self._control.ask("refund", **_trade(payment), amount_fen=1)

    def _spoil_refund(self) -> None:
        refund = (
            refunds_made()
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
            for case in PaymentException.objects.filter(
                kind=ExceptionKind.ACCOUNT_SHORT, closed_at=None
            ):
                funds_retry(actor=self._admin, exception_id=case.id, reason="已充值")
        for refund in refunds_made().filter(status=RefundStatus.FAILED)[:20]:
            with suppress(RefundExceedsPaid):
                refund_retry(actor=self._admin, refund_id=refund.id, reason="已处理，重试")
        for refund in refunds_made().filter(status=RefundStatus.PROCESSING, error_code="ABNORMAL")[
            :20
        ]:
            with suppress(ControlRefused):
                self._settle(refund, "SUCCESS")
        if self._stage.is_finishing:
            self._tell_outside_refunds()

    def _tell_outside_refunds(self) -> None:
        """No query finds a refund that was made outside; without its notice only the bill does."""
        books = self._control.read("books")
        known = {number for _method, number in refunds_done()}
        for refund in books["refunds"]:
            number = refund["out_refund_no"]
            is_due = time.monotonic() - self._told_at.get(number, 0.0) > TELL_AGAIN_SECONDS
            if refund["outside"] and number not in known and is_due:
                self._told_at[number] = time.monotonic()
                names = ("channel", "out_trade_no", "out_refund_no")
                with suppress(ControlRefused):
                    self._control.ask("notify", **{name: refund[name] for name in names})


def _trade(payment: PaymentTransaction) -> dict[str, str]:
    return {"channel": payment.payment_method, "out_trade_no": payment.out_trade_no or ""}
