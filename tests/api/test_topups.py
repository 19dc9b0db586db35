"""Topping a balance up (CONTRACT 11): what is made, what it brings, and what goes back instead."""

from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.db.transaction import atomic

from backoffice.ops.audit import audit
from balances.models import BalanceTransaction
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.endings import orders_expire
from refunds.models import Refund
from tcmpay.audit.models import AuditEvent
from tcmpay.common.invariants import Scope
from tests.api.kit import nothing_moves, run_sql
from tests.api.test_orders import ORDER_FIELDS
from webhooks.models import WebhookEvent


def found() -> list[str]:
    """What the audit says of what is done, in words."""
    told = (one for _check, found in audit(Scope()) for one in found)
    return [one.message for one in told if not (one.is_notice or one.is_unfinished)]


def ask(api, person, amount="100.00", **more):
    return api.post(f"balance/{person.name}/topups", {"amount": amount}, by=person, **more)


# --- asking -----------------------------------------------------------------------------------


def test_it_makes_an_order_of_its_own_type(api, patient):
    answer = ask(api, patient)
    order = answer.created()
    assert answer.message == "充值订单创建成功"
    assert set(order) >= ORDER_FIELDS
    told = {name: order[name] for name in ("order_type", "amount", "status", "user_id")}
    expected = {"order_type": "topup", "amount": "100.00", "status": "pending"}
    assert told == {**expected, "user_id": patient.name}
    assert api.get("orders?order_type=topup", by=patient).accepted()["total"] == 1


def test_the_same_key_asks_once(api, doctor):
    first, again = (ask(api, doctor, key="k1") for _time in range(2))
    assert first.created()["id"] == again.created()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_the_call_for_orders_names_this_one_instead(api, patient):
    body = {"user_id": patient.name, "order_type": "topup", "amount": "100.00"}
    with nothing_moves():
        refused = api.post("orders", body, by=patient).invalid("order_type")
    assert "/topups" in refused.errors["order_type"][0]


def test_nobody_tops_up_while_it_is_off(api, patient, settings):
    settings.TOPUPS = False
    with nothing_moves():
        ask(api, patient).refused(403, "TOPUPS_OFF")


@pytest.mark.parametrize("amount", ["0.99", "500.01"])
def test_amounts_out_of_bounds_are_named(api, patient, amount):
    with nothing_moves():
        ask(api, patient, amount).invalid("amount")


def test_amounts_at_the_bounds_are_fine(api, patient):
    ask(api, patient, "1.00").created()
    ask(api, patient, "500.00").created()


def test_a_day_has_a_bound_that_waiting_orders_count_in(api, story, clock, patient):
    story.topped_up(patient, "400.00")
    waiting = ask(api, patient, "399.99").created()
    assert "0.01" in ask(api, patient, "1.00").refused(400, "TOPUP_DAY_LIMIT").message
    story.cancel(waiting, patient)
    ask(api, patient, "400.00").created()
    clock.advance(hours=24)
    orders_expire()
    ask(api, patient, "500.00").created()


def test_a_balance_has_a_bound_that_frozen_money_and_waiting_orders_count_in(api, story, patient):
    story.fund(patient, "700.00")
    ask(api, patient, "299.00").created()
    assert "1.00" in ask(api, patient, "2.00").refused(400, "BALANCE_LIMIT").message
    ask(api, patient, "1.00").created()


def test_a_balance_under_review_is_not_topped_up(api, story, patient):
    story.fund(patient, "10.00")
    run_sql("UPDATE user_balances SET balance = 11")
    ask(api, patient).refused(409, "BALANCE_UNDER_REVIEW")


# --- paying ------------------------------------------------------------------------------------


def test_it_is_not_paid_from_the_balance(api, story, rich_patient):
    order = story.topup(rich_patient)
    body = {"order_id": order["id"], "payment_method": "balance"}
    with nothing_moves():
        api.post("pay", body, by=rich_patient).refused(400, "UNSUPPORTED_METHOD")


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_paid_it_is_on_the_balance_once(story, patient, method):
    order = story.topped_up(patient, "88.80", method)
    story.gateway_reports(order, method=method)
    assert story.status(order, patient) == "paid"
    assert story.balance(patient)["balance"] == "88.80"
    (entry,) = story.entries(patient)
    told = {name: entry[name] for name in ("transaction_type", "amount", "related_type")}
    assert told == {"transaction_type": "income", "amount": "88.80", "related_type": "topup"}
    assert entry["related_id"] == order["id"]
    assert found() == []


def test_the_platform_is_told_with_the_payment(story, patient):
    order = story.topped_up(patient, "88.80")
    story.gateway_reports(order)
    events = WebhookEvent.objects.filter(object_id=order["id"]).order_by("object_version", "type")
    told = [(one.type, one.object_type, one.object_version) for one in events]
    assert told == [
        ("order.created", "order", 1),
        ("order.paid", "order", 2),
        ("topup.succeeded", "topup", 2),
    ]
    assert events.last().data == {
        "order_id": order["id"],
        "order_no": order["order_no"],
        "user_id": patient.name,
        "amount": "88.80",
        "currency": "CNY",
        "status": "succeeded",
    }


def test_the_database_refuses_a_second_credit(story, patient):
    order = story.topped_up(patient)
    entry = BalanceTransaction.objects.get(related_id=order["id"])
    entry.pk, entry.sequence = None, 2
    with pytest.raises(IntegrityError), atomic():
        entry.save(force_insert=True)


def test_the_database_refuses_a_topup_from_the_balance(story, patient):
    order = story.topped_up(patient)
    with pytest.raises(IntegrityError), atomic():
        PaymentOrder.objects.filter(id=order["id"]).update(payment_method="balance")


def test_money_for_a_cancelled_or_expired_topup_goes_back(story, clock, patient):
    cancelled, expired = story.topup(patient), story.topup(patient)
    for order in (cancelled, expired):
        story.pay(order, patient, "alipay")
    story.cancel(cancelled, patient)
    clock.advance(minutes=130)
    orders_expire()
    for order in (cancelled, expired):
        story.gateway_reports(order)
    story.worker_runs()
    assert Refund.objects.filter(status="success", cause="late_payment").count() == 2
    assert story.balance(patient)["balance"] == "0.00"
    assert found() == []


def test_a_second_payment_goes_back(story, patient):
    order = story.topup(patient)
    story.pay(order, patient, "wechat")
    wechat = PaymentTransaction.objects.get(order_id=order["id"])
    PaymentTransaction.objects.filter(id=wechat.id).update(is_close_owed=True)
    story.pay(order, patient, "alipay")
    story.gateway_reports(order, method="alipay")
    story.gateway_reports(order, method="wechat")
    story.worker_runs()
    assert Refund.objects.get().cause == "second_payment"
    assert story.balance(patient)["balance"] == "100.00"
    assert story.status(order, patient) == "paid"


def test_what_the_balance_can_t_take_any_more_goes_back(story, patient):
    order = story.topup(patient, "500.00")
    story.pay(order, patient, "alipay")
    story.fund(patient, "500.01")
    story.gateway_reports(order)
    assert story.status(order, patient) == "cancelled"
    cancelled = AuditEvent.objects.get(object_id=order["id"], action="order_cancelled")
    assert (cancelled.details["code"], "1000.00" in cancelled.reason) == ("BALANCE_LIMIT", True)
    story.worker_runs()
    refund = Refund.objects.get()
    assert (refund.status, refund.cause) == ("success", "late_payment")
    assert refund.refund_amount == Decimal("500.00")
    assert story.balance(patient)["balance"] == "500.01"
    assert found() == []


def test_what_fits_to_the_cent_is_credited(story, patient):
    order = story.topup(patient, "500.00")
    story.pay(order, patient, "alipay")
    story.fund(patient, "500.00")
    story.gateway_reports(order)
    assert story.balance(patient)["balance"] == "1000.00"


def test_money_for_a_balance_under_review_goes_back(story, patient):
    story.fund(patient, "10.00")
    order = story.topup(patient)
    story.pay(order, patient, "alipay")
    run_sql("UPDATE user_balances SET balance = 11")
    story.gateway_reports(order)
    story.worker_runs()
    assert story.status(order, patient) == "cancelled"
    assert Refund.objects.get().status == "success"


def test_one_that_was_made_is_paid_though_they_are_off_by_now(story, patient, settings):
    order = story.topup(patient)
    settings.TOPUPS = False
    story.pay(order, patient, "alipay")
    story.gateway_reports(order)
    assert story.balance(patient)["balance"] == "100.00"


# --- figures -----------------------------------------------------------------------------------


def test_statistics_count_money_where_it_is_spent(api, story, patient, admin):
    story.topped_up(patient, "100.00")
    story.paid_from_balance(patient, "30.00")
    for query, by in (("statistics", patient), ("statistics", admin)):
        told = api.get(query, by=by).accepted()
        assert (told["total_orders"], told["total_amount"]) == (1, "30.00")
        assert (told["paid_orders"], told["paid_amount"]) == (1, "30.00")


# --- the audit ---------------------------------------------------------------------------------


def test_the_audit_misses_the_income_of_a_paid_topup(story, patient):
    story.topped_up(patient)
    run_sql("UPDATE balance_transactions SET related_type = 'adjustment'")
    assert any("充值应恰有一条" in text for text in found())


def test_the_audit_finds_income_of_an_unpaid_topup(story, patient):
    paid, waiting = story.topped_up(patient), story.topup(patient)
    entry = BalanceTransaction.objects.get(related_id=paid["id"])
    BalanceTransaction.objects.filter(id=entry.id).update(related_id=waiting["id"])
    assert sum("充值应恰有一条" in text for text in found()) == 2


def test_the_audit_finds_a_topup_of_no_order_and_nobody(story, patient):
    story.fund(patient, "10.00")
    assert found() == []
    run_sql("UPDATE audit_events SET details = '{}' WHERE action = 'balance_topped_up'")
    assert any("既没有充值订单" in text for text in found())
