"""Receipts and refund slips: what they say, and who gets one."""

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from backoffice.orders.receipts import amount_in_words
from balances.services import balance_top_up
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from refunds.services.requests import refund_request, refund_review
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import SYSTEM, Actor, Role


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0.01", "壹分"),
        ("0.10", "壹角整"),
        ("0.56", "伍角陆分"),
        ("1.00", "壹元整"),
        ("10.05", "壹拾元零伍分"),
        ("30.00", "叁拾元整"),
        ("105.60", "壹佰零伍元陆角整"),
        ("1000.00", "壹仟元整"),
        ("1006.78", "壹仟零陆元柒角捌分"),
        ("10000.00", "壹万元整"),
        ("10001.00", "壹万零壹元整"),
        ("100500.00", "壹拾万零伍佰元整"),
        ("1234567.89", "壹佰贰拾叁万肆仟伍佰陆拾柒元捌角玖分"),
        ("20000000.00", "贰仟万元整"),
        ("20000300.04", "贰仟万零叁佰元零肆分"),
        ("99999999.99", "玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分"),
        ("100000001.00", "壹亿零壹元整"),
    ],
)
def test_amounts_in_words(amount, words):
    assert amount_in_words(Decimal(amount)) == words


@pytest.fixture
def world(client, db, settings):
    settings.CLINIC_NAME = "杏林<中医>馆"
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="finance", is_staff=True)
    user.groups.set(Group.objects.filter(name="finance"))
    client.force_login(user)
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    balance_top_up(user_id=owner.id, amount=Decimal("99.00"), reason="x", actor=SYSTEM)
    order = order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="consultation", amount=Decimal("30.00")),
    )
    return owner, order


def test_only_a_paid_order_has_a_receipt(client, world):
    owner, order = world
    address = f"/admin/orders/{order.id}/receipt/"
    change = f"/admin/payments/paymentorder/{order.id}/change/"
    assert client.get(address).status_code == 404
    assert address not in client.get(change).content.decode()
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    assert address in client.get(change).content.decode()
    page = client.get(address).content.decode()
    for text in ("收款收据", order.order_no, "叁拾元整", "30.00", "余额支付", "杏林&lt;中医&gt;馆"):
        assert text in page
    assert "<中医>" not in page
    assert client.post(address).status_code == 405


def test_only_a_finished_refund_has_a_slip_and_the_receipt_says_what_went_back(client, world):
    owner, order = world
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    refund = refund_request(
        actor=owner, order_id=order.id, amount=Decimal("10.00"), reason="<b>缺药</b>"
    )
    address = f"/admin/refunds/{refund.id}/slip/"
    assert client.get(address).status_code == 404
    refund_review(
        actor=Actor(uuid.uuid4(), Role.ADMIN), refund_id=refund.id, is_approved=True, notes="好"
    )
    page = client.get(address).content.decode()
    for text in ("退款单", refund.refund_no, order.order_no, "壹拾元整", "余额支付原路退回"):
        assert text in page
    assert "<b>" not in page
    receipt = client.get(f"/admin/orders/{order.id}/receipt/").content.decode()
    assert "其中已退款" in receipt
    assert "已退 10.00 元" in receipt
    assert f"/admin/refunds/refund/{refund.id}/change/" in page


def test_a_receipt_says_when_all_of_it_went_back_and_leads_back_to_the_order(client, world):
    owner, order = world
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    address = f"/admin/orders/{order.id}/receipt/"
    receipt = client.get(address).content.decode()
    assert "slip-notice" not in receipt
    assert f"/admin/payments/paymentorder/{order.id}/change/" in receipt
    refund = refund_request(
        actor=owner, order_id=order.id, amount=Decimal("30.00"), reason="未就诊"
    )
    refund_review(
        actor=Actor(uuid.uuid4(), Role.ADMIN), refund_id=refund.id, is_approved=True, notes="好"
    )
    assert "已全额退款" in client.get(address).content.decode()


@pytest.mark.parametrize("what", ["orders/{}/receipt", "refunds/{}/slip"])
def test_nobody_without_the_right_sees_one(client, world, what):
    address = "/admin/" + what.format(world[1].id) + "/"
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="nobody", is_staff=True)
    client.force_login(user)
    assert client.get(address).status_code == 403
    client.logout()
    assert client.get(address).status_code == 302


@pytest.mark.parametrize("key", ["x", "%00", "0192f0c1-0000-7000-8000-000000000101"])
def test_an_unknown_number_is_not_found(client, world, key):
    assert client.get(f"/admin/orders/{key}/receipt/").status_code == 404
    assert client.get(f"/admin/refunds/{key}/slip/").status_code == 404
