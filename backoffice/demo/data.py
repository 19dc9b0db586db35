"""A small believable clinic: two weeks of orders in every state, made through the services."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import Group

from backoffice.demo.desk import notice_of_payment, seed_desk
from backoffice.today.services import day_totals_catch_up
from balances.invariants import LEDGER
from balances.services import balance_top_up
from payments.invariants_seals import CALLBACKS, EXCHANGES
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel, orders_expire
from payments.services.orders import OrderCommand, order_create
from payments.services.topups import topup_create
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refunds_sweep
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.roots import chain_seal_and_tell
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.money import Money

DEMO_PASSWORD = "tcmpay-demo"


@dataclass(frozen=True, slots=True)
class DemoStaff:
    id: uuid.UUID
    username: str
    last_name: str
    group: str
    purpose: str
    is_superuser: bool = False


@dataclass(frozen=True, slots=True)
class DemoService:
    order_type: str
    service_type: str
    description: str


def _id(number: int) -> uuid.UUID:
    """Ids that stay the same on every machine, so that documents can name them."""
    return uuid.UUID(f"0192f0c1-0000-7000-8000-{number:012d}")


PATIENT_LI = _id(101)
PATIENT_WANG = _id(102)
PATIENT_CHEN = _id(103)
DEMO_PATIENTS = (PATIENT_LI, PATIENT_WANG, PATIENT_CHEN)
PLATFORM_ADMIN = _id(901)
PLATFORM_SERVICE = _id(902)
DEMO_STAFF = (
    DemoStaff(_id(911), "admin", "管理员", "administrator", "全部 / everything", is_superuser=True),
    DemoStaff(_id(912), "reviewer", "林审核", "reviewer", "审核退款 / reviews refunds"),
    DemoStaff(_id(913), "finance", "赵会计", "finance", "差错、对账、日结 / cases, bills, closes"),
    DemoStaff(_id(914), "prices", "钱价格", "price_editor", "改价格 / edits prices"),
    DemoStaff(_id(915), "config", "孙配置", "config_editor", "配网关 / configures gateways"),
    DemoStaff(_id(916), "auditor", "周审计", "auditor", "只看 / looks, changes nothing"),
    DemoStaff(_id(917), "manager", "吴主管", "administrator", "第二个人 / the second person"),
)
ONLINE = DemoService("appointment", "appointment_online", "视频问诊")
OFFLINE = DemoService("appointment", "appointment_offline", "线下问诊")
TEXT = DemoService("consultation", "consultation", "图文咨询服务")
PRESCRIPTION = DemoService("prescription", "prescription", "处方费")
SERVICES = (TEXT, ONLINE, PRESCRIPTION, OFFLINE)
METHODS = ("wechat", "balance", "alipay", "wechat")
DAYS = 14


def is_seeded() -> bool:
    return PaymentOrder.objects.exists()


def seed() -> Iterator[str]:
    """Make the demo's data, yielding what was made, line by line."""
    yield from seed_unfinished()
    yield finish()


def seed_unfinished() -> Iterator[str]:
    """The same but for ``finish``, so that days of the past can be added to."""
    _staff()
    yield "staff"
    now = clock.now()
    start = now - timedelta(days=DAYS)
    with clock.frozen(start):
        _opening_balances()
    yield "balances"
    for day in range(DAYS):
        for number in range(2 + day % 3):
            with clock.frozen(start + timedelta(days=day, hours=1 + 2 * number)):
                _paid_order(day * 3 + number)
    yield "two weeks of orders"
    with clock.frozen(now - timedelta(hours=5)):
        order_made(PATIENT_CHEN, TEXT)
    orders_expire()
    _today()
    seed_desk(_appointment, PATIENT_WANG)
    if settings.TOPUPS:
        _topup()
    yield "orders in every state, refunds waiting for review, a case to look at"


def finish() -> str:
    """Seal and sum up what was made: nothing may be added to those days afterwards."""
    for chain in (LEDGER, TRAIL, CALLBACKS, EXCHANGES):
        chain_seal_and_tell(chain)
    day_totals_catch_up()
    return "days that are over, summed up; what is over an hour old, sealed"


def _staff() -> None:
    for person in DEMO_STAFF:
        user, is_new = StaffUser.objects.get_or_create(
            id=person.id,
            defaults={
                "username": person.username,
                "last_name": person.last_name,
                "is_staff": True,
                "is_superuser": person.is_superuser,
            },
        )
        if is_new:
            user.set_password(DEMO_PASSWORD)
            user.save()
        user.groups.set(Group.objects.filter(name=person.group))


def _opening_balances() -> None:
    amounts = {PATIENT_LI: "1200.00", PATIENT_WANG: "900.00", PATIENT_CHEN: "88.00"}
    for patient, amount in amounts.items():
        balance_top_up(user_id=patient, amount=Decimal(amount), reason="开户充值", actor=SYSTEM)


def _paid_order(number: int) -> PaymentOrder:
    patient = DEMO_PATIENTS[number % 2]
    order = order_made(patient, SERVICES[number % len(SERVICES)])
    _pay(order, METHODS[number % len(METHODS)])
    if number % 7 == 3:
        _refund(order, order.amount, "医生临时停诊")
    elif number % 9 == 4:
        _refund(order, Decimal("5.00"), "处方缺药，退部分费用")
    return order


def _today() -> None:
    order_made(PATIENT_LI, ONLINE)  # stays pending: the one to pay when trying the API
    cancelled = order_made(PATIENT_WANG, PRESCRIPTION)
    order_cancel(actor=owner_of(cancelled), order_id=cancelled.id)
    waiting = order_made(PATIENT_WANG, OFFLINE)
    _pay(waiting, "balance")
    refund_request(
        actor=owner_of(waiting),
        order_id=waiting.id,
        amount=waiting.amount,
        reason="预约时间冲突，申请取消就诊",
    )


def _topup() -> None:
    """Topped up in the app, and part of it asked back."""
    owner = Actor(id=PATIENT_WANG, role=Role.PATIENT)
    order = topup_create(actor=owner, user_id=PATIENT_WANG, amount=Decimal("200.00"))
    if settings.MOCK_CALLBACKS:
        _pay(order, "wechat")
        refund_request(
            actor=owner, order_id=order.id, amount=Decimal("50.00"), reason="充多了，申请退回一部分"
        )


def _appointment(patient: uuid.UUID, amount: Money, metadata: dict[str, str]) -> PaymentOrder:
    command = OrderCommand(
        user_id=patient,
        order_type="appointment",
        amount=amount,
        description="专家门诊",
        metadata=metadata,
    )
    order = order_create(actor=Actor(id=PLATFORM_ADMIN, role=Role.ADMIN), command=command)
    _pay(order, "balance")
    return order


def order_made(patient: uuid.UUID, service: DemoService) -> PaymentOrder:
    return order_create(
        actor=Actor(id=patient, role=Role.PATIENT),
        command=OrderCommand(
            user_id=patient,
            order_type=service.order_type,
            service_type=service.service_type,
            description=service.description,
        ),
    )


def _pay(order: PaymentOrder, method: str) -> None:
    if method != "balance" and not settings.MOCK_CALLBACKS:
        method = "balance"
    command = PayCommand(order_id=order.id, payment_method=method)
    pay(actor=owner_of(order), command=command)
    if method != "balance":
        _report_paid(order)


def _report_paid(order: PaymentOrder) -> None:
    attempt = PaymentTransaction.objects.get(order=order)
    notice_of_payment(
        attempt.payment_method,
        attempt.out_trade_no or "",
        f"DEMO{attempt.transaction_no}",
        order.amount,
    )


def _refund(order: PaymentOrder, amount: Money, reason: str) -> Refund:
    refund = refund_request(actor=owner_of(order), order_id=order.id, amount=amount, reason=reason)
    reviewer = Actor(id=DEMO_STAFF[1].id, role=Role.STAFF, name=DEMO_STAFF[1].last_name)
    refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="同意退款")
    refunds_sweep()
    return refund


def owner_of(order: PaymentOrder) -> Actor:
    return Actor(id=order.user_id, role=Role.PATIENT)
