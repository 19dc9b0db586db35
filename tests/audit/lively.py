"""Books of a clinic in which everything has happened once, at gateways that are not mocks."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Group
from django.db.transaction import atomic
from django.test import override_settings

from backoffice.today.services import day_totals_catch_up
from balances.adjustments import (
    adjustment_approve,
    adjustment_reject,
    adjustment_request,
    adjustment_withdraw,
)
from balances.models import Direction
from balances.services import balance_freeze, balance_top_up, balance_unfreeze
from gateways.interface import (
    CallbackNotice,
    CallbackRequest,
    RefundReport,
    RefundState,
    TradeReport,
    TradeState,
)
from payments.day_figures import CREATED, PAID
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.services.callbacks import Incoming, callback_handle, untrusted_record
from payments.services.day_figures import keep
from payments.services.endings import order_cancel, orders_expire
from payments.services.exceptions import (
    exception_assign,
    exception_claim,
    exception_close,
    exception_write_off_ask,
)
from payments.services.matching import exception_match
from payments.services.orders import OrderCommand, order_create
from payments.services.topups import topup_create
from reconciliation.services.closing import (
    close_propose,
    close_reject,
    close_sign,
    reopening_approve,
    reopening_request,
)
from refunds.bulk_plan import Wanted
from refunds.day_figures import REFUNDED
from refunds.models import Refund, RefundNote, RefundPolicyRule
from refunds.services.batches import batch_confirm, batch_run
from refunds.services.bulk_runs import bulk_run
from refunds.services.bulks import bulk_approve, bulk_request
from refunds.services.cases import case_write_off_decide
from refunds.services.notices import notices_take
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.rules import note_save, rule_save
from refunds.services.submission import refund_submit, refunds_sweep
from refunds.services.surplus import surplus_sweep
from refunds.states import BatchDecision, BulkSource
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tests.events.receiver import listening
from tests.stateful.book import BOOKS, Book, Mood, Trade, channel, gateway_of
from webhooks.services.endpoints import endpoint_add
from webhooks.services.turns import turn_take

METHODS = ("wechat", "alipay")
SECOND_APPROVAL_OVER = Decimal("100.00")


@dataclass
class Clinic:
    """Who comes and who works there; its deeds make the books."""

    patient: Actor = field(default_factory=lambda: Actor(uuid.uuid4(), Role.PATIENT))
    admins: tuple[Actor, ...] = field(
        default_factory=lambda: tuple(
            Actor(uuid.uuid4(), Role.ADMIN, name) for name in ("林", "王", "赵")
        )
    )

    # --- deeds ---

    def order(self, amount: str = "30.00", **more: Any) -> PaymentOrder:
        command = OrderCommand(
            user_id=self.patient.id,
            order_type=more.pop("order_type", "consultation"),
            amount=Decimal(amount),
            **more,
        )
        return order_create(actor=self.patient, command=command)

    def begin(self, order: PaymentOrder, method: str) -> PaymentTransaction:
        pay(actor=self.patient, command=PayCommand(order_id=order.id, payment_method=method))
        found = PaymentTransaction.objects.filter(order=order, payment_method=method)
        return found.order_by("-initiated_at", "-id")[0]

    def tell(self, attempt: PaymentTransaction, **differently: Any) -> None:
        """A verified notice that the attempt was paid."""
        number = attempt.out_trade_no or ""
        report = TradeReport(
            differently.get("number", number),
            TradeState.PAID,
            differently.get("trade_no", f"T{number}"),
            Decimal(differently.get("amount", attempt.amount)),
            paid_at=clock.now(),
            raw={"out_trade_no": number, "payer": {"openid": "o-1"}},
        )
        self.hear(attempt.payment_method, CallbackNotice("n-1", "TRADE_SUCCESS", trade=report))

    def hear(self, method: str, notice: CallbackNotice) -> None:
        body = f'{{"id": "{uuid.uuid4()}"}}'.encode()
        request = CallbackRequest(
            {"Wechatpay-Serial": "70C3"}, body, "application/json", clock.now()
        )
        incoming = Incoming(method, request, "203.0.113.9")
        callback_handle(incoming=incoming, notice=notice, is_mock=False)

    def paid(self, method: str, amount: str = "30.00") -> PaymentOrder:
        order = self.order(amount)
        attempt = self.begin(order, method)
        if method != "balance":
            BOOKS[method].pay(attempt.out_trade_no or "")
            self.tell(attempt)
        return order

    def asked_back(self, order: PaymentOrder, amount: str) -> Refund:
        return refund_request(
            actor=self.patient, order_id=order.id, amount=Decimal(amount), reason="预约冲突 3 次"
        )

    def approved(self, refund: Refund, *admins: Actor) -> Refund:
        for admin in admins or self.admins[:1]:
            refund_review(actor=admin, refund_id=refund.id, is_approved=True, notes="核对 1 次")
        return refund

    # --- chapters ---

    def accounts(self) -> None:
        user = self.patient.id
        balance_top_up(user_id=user, amount=Decimal("900.00"), reason="开户", actor=SYSTEM)
        balance_freeze(user_id=user, amount=Decimal("7.00"), reason="核对", actor=SYSTEM)
        balance_unfreeze(user_id=user, amount=Decimal("2.00"), reason="核对", actor=SYSTEM)
        asker, decider, _third = self.admins
        asked = [
            adjustment_request(
                actor=asker,
                request_id=uuid.uuid4(),
                user_id=user,
                direction=direction,
                amount=Decimal("3.00"),
                reason=f"更正 {number}",
            )
            for number, direction in enumerate([*Direction, *Direction], start=1)
        ]
        adjustment_approve(actor=decider, adjustment_id=asked[0].id, notes="同意 1")
        adjustment_reject(actor=decider, adjustment_id=asked[1].id, notes="不同意 2")
        adjustment_withdraw(actor=asker, adjustment_id=asked[2].id, notes="写错 3")

    def orders(self) -> None:
        self.order(description="咨询 12", metadata={"doctor": "王 7", "slots": [1, 2]})
        appointed = self.order(
            order_type="appointment",
            appointment_id=uuid.uuid4(),
            metadata={"appointment_time": "2026-03-01T10:00:00+08:00"},
        )
        self.begin(appointed, "wechat")
        order_cancel(actor=self.patient, order_id=self.order().id)
        self.begin(self.order(), "alipay")
        untrusted = CallbackRequest({}, b"{}", "application/json", clock.now())
        untrusted_record(incoming=Incoming("wechat", untrusted, "203.0.113.8"), reason="签名 1")

    def payments(self) -> None:
        for method in ("balance", *METHODS):
            self.paid(method)
        asked = self.begin(self.order(), "alipay")
        BOOKS["alipay"].pay(asked.out_trade_no or "")
        attempt_check(asked.id)

    def refunds(self) -> None:
        order = self.paid("balance", "60.00")
        self.approved(self.asked_back(order, "10.00"))
        self.asked_back(order, "5.00")
        rejected, withdrawn = self.asked_back(order, "6.00"), self.asked_back(order, "7.00")
        refund_review(actor=self.admins[1], refund_id=rejected.id, is_approved=False, notes="否 1")
        refund_withdraw(actor=self.patient, refund_id=withdrawn.id)
        large = self.paid("balance", "130.00")
        self.approved(self.asked_back(large, "120.00"), *self.admins[:2])
        self.approved(self.asked_back(self.paid("balance", "140.00"), "140.00"))
        for method, mood in (
            ("wechat", Mood.FINE),
            ("alipay", Mood.SLOW),
            ("wechat", Mood.REFUSING),
        ):
            self.send(self.approved(self.asked_back(self.paid(method), "9.00")), method, mood)
        paid = self.paid("wechat")
        attempt = PaymentTransaction.objects.get(order=paid)
        outside = RefundReport(
            "CONSOLE-1",
            RefundState.SUCCESS,
            refund_id="M-CONSOLE-1",
            out_trade_no=attempt.out_trade_no or "",
            transaction_id=attempt.trade_no or "",
            amount=Decimal("4.00"),
            completed_at=clock.now(),
            raw={"out_refund_no": "CONSOLE-1"},
        )
        self.hear("wechat", CallbackNotice("n-2", "REFUND.SUCCESS", refund=outside))
        notices_take()

    @staticmethod
    def send(refund: Refund, method: str, mood: Mood) -> None:
        BOOKS[method].mood = mood
        refund_submit(refund_id=refund.id)
        if mood is Mood.REFUSING:
            # Only later is the gateway believed that it knows of no refund.
            Refund.objects.filter(id=refund.id).update(
                sent_at=clock.now() - timedelta(minutes=2), next_check_at=clock.now()
            )
            refund_submit(refund_id=refund.id)
        BOOKS[method].mood = Mood.FINE

    def batches(self) -> None:
        person = StaffUser.objects.create_user(username="batches", password="x", is_staff=True)
        person.groups.set(Group.objects.filter(name="reviewer"))
        asked = [self.asked_back(self.paid("balance", "8.00"), "8.00") for _number in range(3)]
        for refunds, is_run in ((asked[:2], True), (asked[2:], False)):
            batch = batch_confirm(
                actor=person.as_actor(),
                batch_id=uuid.uuid4(),
                refund_ids=[refund.id for refund in refunds],
                decision=BatchDecision.APPROVE,
                notes="医生停诊 1 天",
            )
            if is_run:
                batch_run(batch_id=batch.id)
        self.bulks()
        with atomic():
            rule = RefundPolicyRule(hours_from=1, hours_to=24, percentage=80, description="当天 1")
            rule_save(actor=self.admins[0], rule=rule)
            note_save(actor=self.admins[0], note=RefundNote(decision="approve", text="同意 1"))

    def bulks(self) -> None:
        """One carried out, of which one order could not be refunded, and one that goes on."""
        asker, decider, _third = self.admins
        for orders in (
            [self.paid("balance", "8.00"), self.order()],
            [self.paid("balance", "9.00")],
        ):
            bulk = bulk_request(
                actor=asker,
                wanted=[Wanted(order.order_no) for order in orders],
                reason="停诊 1 天",
                source=BulkSource.ORDERS,
            )
            bulk_approve(actor=decider, bulk_id=bulk.id, notes="已核对 1 次")
            if len(orders) > 1:
                bulk_run(bulk_id=bulk.id)

    def surplus(self) -> None:
        late = self.order()
        attempt = self.begin(late, "wechat")
        order_cancel(actor=self.patient, order_id=late.id)
        self.tell(attempt)
        BOOKS["wechat"].trades[attempt.out_trade_no or ""].state = TradeState.PAID
        twice = self.order()
        first = self.begin(twice, "wechat")
        BOOKS["wechat"].mood = Mood.SILENT
        second = self._second_attempt(twice)
        BOOKS["wechat"].mood = Mood.FINE
        for paid in (first, second):
            BOOKS[paid.payment_method].pay(paid.out_trade_no or "")
            self.tell(paid)
            self.tell(paid)
        surplus_sweep()
        for refund in Refund.objects.filter(cause="late_payment"):
            refund_submit(refund_id=refund.id)

    def _second_attempt(self, order: PaymentOrder) -> PaymentTransaction:
        with patch("payments.services.attempts.close_open_attempts"):
            PaymentTransaction.objects.filter(order=order).update(is_close_owed=True)
            return self.begin(order, "alipay")

    def cases(self) -> None:
        lin, wang, zhao = self.admins
        wrong = self.begin(self.order(), "wechat")
        self.tell(wrong, amount="29.00")
        case = PaymentException.objects.get(transaction=wrong)
        exception_assign(actor=lin, exception_id=case.id, owner_id=wang.id)
        exception_write_off_ask(actor=wang, exception_id=case.id, reason="已在商户平台退回 1")
        case_write_off_decide(actor=zhao, exception_id=case.id, is_confirmed=True, notes="核对 2")
        asked = self.begin(self.order(), "wechat")
        self.tell(asked, amount="28.00")
        waiting = PaymentException.objects.get(transaction=asked)
        exception_write_off_ask(actor=lin, exception_id=waiting.id, reason="已退回 3")
        outside = PaymentException.objects.get(kind="outside_refund")
        exception_close(actor=lin, exception_id=outside.id, resolution="财务退的 1")
        self._unknown("SHOP1", lin)
        self._unknown("SHOP2", None)

    def _unknown(self, number: str, matcher: Actor | None) -> None:
        """Money under another system's number; matched to one of our orders, or only claimed."""
        order = self.order("33.00")
        report = TradeReport(number, TradeState.PAID, f"T{number}", Decimal("33.00"))
        self.hear("wechat", CallbackNotice("n-3", "TRANSACTION.SUCCESS", trade=report))
        case = PaymentException.objects.get(out_trade_no=number)
        if matcher is None:
            exception_claim(actor=self.admins[1], exception_id=case.id)
            return
        BOOKS["wechat"].trades[number] = Trade(Decimal("33.00"), TradeState.PAID)
        exception_match(
            actor=matcher, exception_id=case.id, order_no=order.order_no, reason="患者来电 1"
        )

    def topups(self) -> None:
        """Two are paid and go back in part: done, waiting, refused by the gateway; one waits."""
        for method, mood in (("wechat", Mood.FINE), ("alipay", Mood.REFUSING), ("", Mood.FINE)):
            user_id, amount = self.patient.id, Decimal("80.00")
            order = topup_create(actor=self.patient, user_id=user_id, amount=amount)
            if not method:
                continue
            attempt = self.begin(order, method)
            BOOKS[method].pay(attempt.out_trade_no or "")
            self.tell(attempt)
            self.send(self.approved(self.asked_back(order, "20.00")), method, mood)
            self.asked_back(order, "5.00")

    def closes(self) -> None:
        """Yesterday is closed, opened again and closed anew; somebody wants it open once more, and
        money of yesterday is told of today."""
        lin, wang, zhao = (replace(admin, role=Role.STAFF) for admin in self.admins)
        day = clock.today() - timedelta(days=1)
        close_reject(
            actor=wang, close_id=close_propose(actor=lin, day=day, notes="交 1").id, notes="差 2"
        )
        close_sign(actor=wang, close_id=close_propose(actor=lin, day=day).id, notes="核对 3")
        asked = reopening_request(actor=zhao, day=day, reason="漏记 4")
        reopening_approve(actor=lin, reopening_id=asked.id, notes="同意 5")
        close_sign(actor=lin, close_id=close_propose(actor=zhao, day=day).id)
        reopening_request(actor=wang, day=day, reason="漏记 6")

    def late(self, attempt: PaymentTransaction, paid_at: datetime) -> None:
        """The gateway tells today that an attempt of yesterday was paid then."""
        number = attempt.out_trade_no or ""
        BOOKS[attempt.payment_method].pay(number)
        report = TradeReport(number, TradeState.PAID, f"T{number}", attempt.amount, paid_at=paid_at)
        self.hear(attempt.payment_method, CallbackNotice("n-4", "TRADE_SUCCESS", trade=report))


@contextmanager
def gateways() -> Iterator[None]:
    """Both gateways, in memory and not mocks."""
    BOOKS.clear()
    BOOKS.update({method: Book(method) for method in METHODS})
    with ExitStack() as stack:
        for name in ("attempts", "matching"):
            stack.enter_context(patch(f"payments.services.{name}.channel_for_new_attempt", channel))
        stack.enter_context(patch("payments.services.attempts.channel_of", gateway_of))
        for name in ("submission", "checking"):
            stack.enter_context(patch(f"refunds.services.{name}.refund_channel_of", gateway_of))
        yield
    BOOKS.clear()


def lively_books() -> None:
    """Yesterday's business, whose totals are kept, and today's."""
    with (
        override_settings(
            MOCK_CALLBACKS=False,
            LATE_PAYMENT_POLICY="refund",
            ORDER_PRICE_POLICY="open",
            REFUND_SECOND_APPROVAL_OVER=SECOND_APPROVAL_OVER,
        ),
        gateways(),
    ):
        clinic = Clinic()
        yesterday = clock.day_start(clock.today()) - timedelta(hours=6)
        with clock.frozen(yesterday):
            clinic.accounts()
            clinic.payments()
            clinic.refunds()
        with clock.frozen(yesterday + timedelta(hours=3)):
            orders_expire()
            clinic.surplus()
            clinic.cases()
            late = clinic.begin(clinic.order(), "wechat")
        day_totals_catch_up()
        for source in (CREATED, PAID, REFUNDED):
            keep(source)
        clinic.closes()
        clinic.late(late, yesterday + timedelta(hours=3))
        orders_expire()
        refunds_sweep()
        clinic.orders()
        clinic.payments()
        clinic.batches()


def lively_topups() -> None:
    """Balances that are topped up and given back, beside; and every event has its number. The
    platform is told of the top-ups."""
    with override_settings(DEBUG=True, MOCK_CALLBACKS=False, TOPUPS=True), listening() as receiver:
        endpoint_add(actor=SYSTEM, url=receiver.url, types=["topup.succeeded"])
        with gateways():
            Clinic().topups()
        turn_take(linger_seconds=0)
        assert len(receiver.got) == 2
