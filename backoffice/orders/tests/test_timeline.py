"""An order's story: everything is told once, in words, in order; and why it stands as it does."""

import uuid
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.transaction import atomic
from django.utils.html import strip_tags

from backoffice.orders.situation import situation
from backoffice.orders.timeline import Story, timeline
from balances.services import balance_top_up
from gateways.errors import GatewayUnknown
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.models import GatewayExchange, PaymentTransaction
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.services.closed_days import day_close, watermark_lock
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refunds_sweep
from refunds.services.surplus import surplus_sweep
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(settings) -> Actor:
    settings.MOCK_CALLBACKS = True
    return Actor(uuid.uuid4(), Role.PATIENT)


@pytest.fixture
def order(owner):
    return order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="consultation", amount=Decimal("30.00")),
    )


def told(order) -> list[str]:
    order.refresh_from_db()
    return [strip_tags(moment.what) for moment in timeline(Story.of(order))]


def why(order) -> str:
    order.refresh_from_db()
    return situation(Story.of(order)).why


def following(order) -> str:
    order.refresh_from_db()
    return " ".join(situation(Story.of(order)).next_steps)


def start(owner, order, method="wechat") -> PaymentTransaction:
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method=method))
    return PaymentTransaction.objects.get(order=order, payment_method=method)


def paid(attempt: PaymentTransaction) -> TradeReport:
    return TradeReport(attempt.out_trade_no, TradeState.PAID, "T1", attempt.amount)


def test_a_new_order_waits_for_its_payer(order):
    assert told(order) == ["创建订单，应付 30.00 元"]
    assert "还没有发起支付" in why(order)
    assert "自动过期" in following(order)


def test_a_call_to_a_gateway_is_told_with_its_answer(owner, order):
    attempt = start(owner, order)
    attempt_check(attempt.id)
    story = told(order)
    assert story[1].startswith("发起微信支付 30.00 元，商户订单号 ORD")
    assert story[2:] == ["向微信支付下单：已答复", "向微信支付查询支付结果：尚未支付"]
    assert "网关还没有确认收款" in why(order)
    assert "系统会在" in following(order)


def test_a_gateway_that_gave_no_answer_is_told_too(owner, order, monkeypatch):
    attempt = start(owner, order)

    def silence(self, number):
        raise GatewayUnknown("read timeout", code="TIMEOUT")

    monkeypatch.setattr(MockGateway, "query_payment", silence)
    with pytest.raises(GatewayUnknown):
        attempt_check(attempt.id)
    assert told(order)[-1] == "向微信支付查询支付结果：结果未知（TIMEOUT）"
    kept = GatewayExchange.objects.get(kind="query")
    assert (kept.outcome, kept.message) == ("unknown", "read timeout")


def test_an_exchange_that_can_not_be_kept_does_not_decide(owner, order, monkeypatch):
    from django.db import DatabaseError

    attempt = start(owner, order)

    def refuse(self, **options):
        raise DatabaseError("disk full")

    monkeypatch.setattr(GatewayExchange, "save", refuse)
    assert attempt_check(attempt.id) is TradeState.UNPAID


def test_a_paid_and_partly_refunded_order_says_who_and_how_much(owner, order):
    balance_top_up(user_id=owner.id, amount=Decimal("100.00"), reason="开户", actor=SYSTEM)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    refund = refund_request(actor=owner, order_id=order.id, amount=Decimal("10.00"), reason="缺药")
    assert f"退款 {refund.refund_no}（10.00 元）等待审核，还需 1 人批准" in following(order)
    reviewer = Actor(uuid.uuid4(), Role.ADMIN, name="林审核")
    refund_review(actor=reviewer, refund_id=refund.id, is_approved=True, notes="同意")
    assert "其中 10.00 元已退回付款人" in why(order)
    story = told(order)
    assert "支出 30.00 元，余额 100.00 → 70.00 元" in story
    assert "收入 10.00 元，余额 70.00 → 80.00 元" in story
    assert story.index("申请退款 10.00 元，退款单号 " + refund.refund_no) < story.index(
        "批准退款 10.00 元"
    )
    people = [moment.who for moment in timeline(Story.of(order)) if "批准" in moment.what]
    assert "林审核" in people[0]


def test_money_after_the_end_is_told_with_what_becomes_of_it(owner, order, settings):
    attempt = start(owner, order)
    order_cancel(actor=owner, order_id=order.id)
    trade_report_apply(method="wechat", report=paid(attempt), is_mock=True)
    assert any("订单已结束，微信支付 仍到账 30.00 元" in line for line in told(order))
    assert "会自动原路退回" in following(order)
    assert "差错等待财务" in following(order)
    settings.LATE_PAYMENT_POLICY = "hold"
    assert "请在“差错”中退回" in following(order)


def test_things_of_one_moment_stay_in_their_order(owner):
    with clock.frozen(clock.now() - timedelta(days=1)):
        order = order_create(
            actor=owner,
            command=OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("1.00")),
        )
        start(owner, order)
        order_cancel(actor=owner, order_id=order.id)
    story = told(order)
    assert story[0].startswith("创建订单")
    assert story[-1] == "取消订单"


# --- money that came beside ---------------------------------------------------------------------


def report(attempt, trade_no="T1"):
    trade = TradeReport(attempt.out_trade_no, TradeState.PAID, trade_no, attempt.amount)
    trade_report_apply(method=attempt.payment_method, report=trade, is_mock=True)


def test_late_money_and_its_return_are_told(owner, order, settings):
    settings.LATE_PAYMENT_POLICY = "refund"
    attempt = start(owner, order)
    order_cancel(actor=owner, order_id=order.id)
    assert "又收到" not in why(order)
    report(attempt)
    assert "又收到微信支付 30.00 元，没有用于订单：还没有退回。" in why(order)
    surplus_sweep()
    text = why(order)
    refund = order.refunds.get()
    assert "订单在付款前被取消" in text
    assert "没有用于订单：正在原路退回付款人" in text
    refunds_sweep()
    assert f"原路退回付款人（{refund.refund_no}）" in why(order)
    assert "已于" in why(order)


def test_a_second_payment_and_its_return_are_told(owner, order):
    attempt = start(owner, order)
    balance_top_up(user_id=owner.id, amount=Decimal("30.00"), reason="充值", actor=SYSTEM)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    report(attempt)
    assert "重复收到微信支付 30.00 元，没有用于订单：还没有退回。" in why(order)
    surplus_sweep()
    refunds_sweep()
    assert "重复收到微信支付 30.00 元，没有用于订单：已于" in why(order)


def test_money_that_we_heard_of_later_stands_where_it_moved_and_where_it_was_booked(owner, order):
    attempt = start(owner, order)
    paid_at = clock.now().replace(microsecond=0) + timedelta(minutes=1)
    with clock.frozen(paid_at + timedelta(days=1)):
        trade_report_apply(method="wechat", report=replace(paid(attempt), paid_at=paid_at))
    order.refresh_from_db()
    moments = [(strip_tags(moment.what), moment.at) for moment in timeline(Story.of(order))]
    assert ("网关时间：用户付款 30.00 元", paid_at) in moments
    assert ("订单已支付", paid_at + timedelta(days=1)) in moments


def test_the_pages_show_the_moment_of_booking_beside_the_gateways(owner, order, client):
    attempt = start(owner, order)
    paid_at = clock.now().replace(microsecond=0) + timedelta(minutes=1)
    booked_at = paid_at + timedelta(days=1, minutes=7)
    with clock.frozen(booked_at):
        trade_report_apply(method="wechat", report=replace(paid(attempt), paid_at=paid_at))
        refund_request(actor=owner, order_id=order.id, amount=Decimal("1.00"), reason="x")
    user = StaffUser.objects.create_superuser(id=uuid.uuid4(), username="head")
    client.force_login(user)
    for path in (
        f"/admin/payments/paymentorder/{order.pk}/change/",
        f"/admin/payments/paymenttransaction/{attempt.pk}/change/",
    ):
        page = client.get(path).content.decode()
        assert "入账时间" in page
        for moment in (paid_at, booked_at):
            local = moment.astimezone(clock.SHANGHAI)
            assert f"{local:%Y-%m-%d %H:%M}" in page


def test_the_page_says_in_which_day_money_of_a_closed_day_counts(owner, order, client):
    attempt = start(owner, order)
    paid_at = clock.now().replace(microsecond=0) + timedelta(minutes=1)
    day = clock.business_day(paid_at)
    with clock.frozen(paid_at + timedelta(days=2)):
        with atomic():
            day_close(watermark_lock(), day)
        trade_report_apply(method="wechat", report=replace(paid(attempt), paid_at=paid_at))
    client.force_login(StaffUser.objects.create_superuser(id=uuid.uuid4(), username="head"))
    page = client.get(f"/admin/payments/paymentorder/{order.pk}/change/").content.decode()
    assert f"{day + timedelta(days=1)}（{day} 已日结，之后才入账）" in page
