"""Every change that the platform was promised has its event, in the same commit."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.transaction import atomic

from gateways.interface import RefundReport, RefundState
from payments.events import ORDER_EVENTS
from payments.models import PaymentOrder
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel, orders_expire
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from payments.states import OrderStatus
from refunds.events import REFUND_EVENTS
from refunds.services.requests import refund_replace
from refunds.services.retries import refund_retry
from refunds.services.submission import refund_report_apply
from refunds.services.surplus import surplus_sweep
from refunds.states import RefundStatus
from refunds.tests import stage
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import audited_together
from tcmpay.audit.transitions import Cause, row_told
from tcmpay.common import clock
from tests.clinic import new_order, paid_order, patient
from webhooks.models import WebhookEvent
from webhooks.outbox import (
    EventOutsideTransaction,
    EventWithoutVersion,
    event_announce,
    event_record,
)
from webhooks.states import EventType

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    with clock.frozen(stage.BEGUN_AT):
        yield


def told(object_id) -> list[str]:
    events = WebhookEvent.objects.filter(object_id=object_id).order_by("object_version")
    return [f"{event.type} {event.data['status']}" for event in events]


def versions_of_trail(object_id) -> set[int]:
    trail = AuditEvent.objects.filter(object_id=str(object_id))
    return set(trail.values_list("version", flat=True))


def test_each_state_is_told_or_meant_not_to_be():
    assert set(ORDER_EVENTS) == set(OrderStatus.values)
    assert set(REFUND_EVENTS) == set(RefundStatus.values)


def test_an_order_paid_from_the_balance():
    order = paid_order()
    assert told(order.id) == ["order.created pending", "order.paid paid"]
    paid = WebhookEvent.objects.get(type="order.paid")
    assert paid.sequence is None
    assert (paid.object_type, paid.object_version) == ("order", 2)
    assert paid.data == {
        "order_no": order.order_no,
        "user_id": str(order.user_id),
        "appointment_id": None,
        "order_type": "appointment",
        "amount": "30.00",
        "currency": "CNY",
        "status": "paid",
        "payment_method": "balance",
    }


def test_an_order_paid_at_a_gateway():
    payment = stage.paid("wechat")
    assert told(payment.order_id) == ["order.created pending", "order.paid paid"]


def test_a_report_told_twice_is_one_event():
    payment = stage.paid("wechat")
    trade_report_apply(method="wechat", report=stage.trade(payment))
    assert len(told(payment.order_id)) == 2


def test_what_people_wrote_stays_inside():
    words = "李医生 针灸科 失眠"
    owner = patient()
    command = OrderCommand(
        user_id=owner.id,
        order_type="other",
        amount=Decimal("30.00"),
        description=words,
        metadata={"note": words},
    )
    order = order_create(actor=owner, command=command)
    order_cancel(actor=owner, order_id=order.id, reason=words)
    assert told(order.id) == ["order.created pending", "order.cancelled cancelled"]
    for event in WebhookEvent.objects.all():
        assert words not in str(event.data)


def test_orders_that_expire_together():
    orders = [new_order(patient()) for _number in range(3)]
    started = stage.started("alipay").order  # closed at its gateway first, by itself
    with clock.frozen(stage.BEGUN_AT + timedelta(hours=3)):
        orders_expire()
    for order in (*orders, started):
        assert told(order.id) == ["order.created pending", "order.expired expired"]


def test_a_pending_order_that_another_supersedes():
    appointment, owner = stage.OWNER.id, patient()
    first = new_order(owner, appointment_id=appointment)
    order_cancel(actor=stage.PLATFORM, order_id=first.id, reason="superseded")
    second = new_order(owner, appointment_id=appointment)
    assert told(first.id)[-1] == "order.cancelled cancelled"
    created = WebhookEvent.objects.get(object_id=second.id)
    assert created.data["appointment_id"] == str(appointment)


def test_each_part_of_a_refund_is_told_with_the_total():
    payment = stage.paid("wechat")
    refunds = [stage.done(payment) for _number in range(3)]
    events = WebhookEvent.objects.filter(type="order.refunded").order_by("object_version")
    assert [(event.data["status"], event.data["refunded_amount"]) for event in events] == [
        ("partial_refunded", "10.00"),
        ("partial_refunded", "20.00"),
        ("refunded", "30.00"),
    ]
    for refund in refunds:
        assert told(refund.id) == ["refund.requested pending", "refund.succeeded success"]


def test_a_balance_refund_is_told_in_one_unit():
    order = paid_order()
    refund = stage.refund_request(
        actor=stage.PLATFORM, order_id=order.id, amount=stage.SOME, reason="x"
    )
    stage.refund_review(actor=stage.REVIEWER, refund_id=refund.id, is_approved=True, notes="")
    assert told(refund.id) == ["refund.requested pending", "refund.succeeded success"]
    assert told(order.id)[-1] == "order.refunded partial_refunded"


@pytest.mark.parametrize(("end", "is_withdrawn"), [("rejected", False), ("withdrawn", True)])
def test_a_request_that_comes_to_nothing(end, is_withdrawn):
    refund = getattr(stage, end)(stage.paid("wechat"))
    assert told(refund.id) == ["refund.requested pending", "refund.rejected cancelled"]
    rejected = WebhookEvent.objects.get(type="refund.rejected")
    assert rejected.data["is_withdrawn"] is is_withdrawn
    assert rejected.data["refund_amount"] == "10.00"


def test_a_request_that_a_smaller_one_replaces():
    refund = stage.pending(stage.paid("wechat"))
    smaller = refund_replace(
        actor=stage.REVIEWER, refund_id=refund.id, amount=Decimal("5.00"), notes="扣手续费"
    )
    assert told(refund.id)[-1] == "refund.rejected cancelled"
    assert told(smaller.id) == ["refund.requested pending"]


def test_a_refund_that_fails_and_succeeds_after_all():
    payment = stage.paid("wechat")
    refund = stage.failed(payment)
    refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="已充值")
    report = stage.says(RefundState.SUCCESS)(
        stage.RefundRequest(
            out_trade_no=payment.out_trade_no,
            transaction_id=payment.trade_no,
            out_refund_no=refund.refund_no,
            refund_amount=stage.SOME,
            total_amount=stage.ALL,
            reason="",
        )
    )
    assert isinstance(report, RefundReport)
    refund_report_apply(refund_id=refund.id, report=report)
    assert told(refund.id) == [
        "refund.requested pending",
        "refund.failed failed",
        "refund.succeeded success",
    ]


def test_money_that_came_late_goes_back_without_touching_its_order():
    payment = stage.paid_late("wechat")
    surplus_sweep()
    assert told(payment.order_id) == ["order.created pending", "order.cancelled cancelled"]
    assert told(payment.refunds.get().id) == ["refund.requested pending"]
    case = WebhookEvent.objects.get(type="case.opened")
    assert (case.object_type, case.data["kind"], case.data["status"]) == (
        "case",
        "late_payment",
        "open",
    )
    assert case.data["order_id"] == str(payment.order_id)


def test_an_event_has_the_version_of_its_trail():
    refund = stage.done(stage.paid("wechat"))
    for object_id in (refund.id, refund.order_id):
        events = WebhookEvent.objects.filter(object_id=object_id)
        assert set(events.values_list("object_version", flat=True)) <= versions_of_trail(object_id)
    paid = AuditEvent.objects.get(action="order_paid")
    assert WebhookEvent.objects.get(type="order.paid").object_version == paid.version


def test_a_unit_that_fails_promises_nothing():
    order = new_order(patient())
    owner = stage.Actor(order.user_id, stage.Role.PATIENT)
    with pytest.raises(Exception, match="INSUFFICIENT_BALANCE"):
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    assert told(order.id) == ["order.created pending"]
    assert PaymentOrder.objects.get(id=order.id).status == "pending"


@pytest.mark.django_db(transaction=True)
def test_nothing_is_promised_outside_of_a_unit():
    with pytest.raises(EventOutsideTransaction):
        event_record(
            type=EventType.ORDER_PAID,
            object_type="order",
            object_id=patient().id,
            object_version=1,
            data={},
        )
    assert not WebhookEvent.objects.exists()


def test_nothing_is_promised_whose_version_nobody_knows_yet():
    order = new_order(patient())
    with atomic(), audited_together():
        told_later = row_told(order, Cause(actor=stage.OWNER, action="x"), order.status)
        with pytest.raises(EventWithoutVersion):
            event_announce(told_later, type=EventType.ORDER_PAID, object_type="order", data={})
