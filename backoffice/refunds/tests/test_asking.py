"""Staff ask for a refund of an order: what is proposed, and that it waits for somebody else."""

import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from refunds.models import Refund, RefundPolicyRule
from refunds.services.requests import refund_request
from tcmpay.accounts.models import StaffUser
from tests.clinic import new_order, paid_order, patient, staff_actor_of

pytestmark = pytest.mark.django_db


def words(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page)


@pytest.fixture
def chen() -> StaffUser:
    made = StaffUser.objects.create_user(username="chen", is_staff=True)
    made.groups.set([Group.objects.get(name="finance")])
    return made


@pytest.fixture
def desk(chen) -> Client:
    browser = Client()
    browser.force_login(chen)
    return browser


def address(order) -> str:
    return f"/admin/payments/paymentorder/{order.pk}/refund/"


def form_id(page: str) -> str:
    return re.search(r'name="form_id" value="([^"]+)"', page)[1]


def test_the_orders_page_leads_to_a_request_in_the_askers_name(desk, chen):
    order = paid_order()
    assert address(order) in desk.get(f"/admin/payments/paymentorder/{order.pk}/change/").text
    page = desk.get(address(order)).text
    sent = {"form_id": form_id(page), "amount": "12.50", "reason": "医生停诊"}
    preview = desk.post(address(order), sent | {"step": "preview"}).text
    assert "申请退款 12.50 元" in words(preview)
    assert not Refund.objects.exists()
    answer = desk.post(address(order), sent | {"step": "confirm"})
    refund = Refund.objects.get()
    assert answer.url == f"/admin/refunds/refund/{refund.pk}/change/"
    assert (refund.requested_by, refund.user_id, refund.status, refund.refund_amount) == (
        chen.pk, order.user_id, "pending", Decimal("12.50"),
    )  # fmt: skip
    desk.post(address(order), sent | {"step": "confirm"})
    assert Refund.objects.count() == 1, "a double click is one request"


def test_the_rules_propose_the_amount_and_all_that_is_left_is_the_bound(desk, chen):
    RefundPolicyRule.objects.update(is_active=False)
    RefundPolicyRule.objects.create(percentage=50)
    order = paid_order()
    assert 'name="amount" value="15.00"' in desk.get(address(order)).text
    refund_request(
        actor=staff_actor_of(chen), order_id=order.id, amount=Decimal("20.00"), reason="x"
    )
    page = desk.get(address(order)).text
    assert 'name="amount" value="10.00"' in page, "the rule's share is taken: what is left"
    sent = {"form_id": form_id(page), "amount": "10.01", "reason": "x", "step": "confirm"}
    assert "不能大于可退金额 10.00 元" in desk.post(address(order), sent).text
    assert Refund.objects.count() == 1


def test_an_order_without_money_offers_none(desk):
    order = new_order(patient())
    assert address(order) not in desk.get(f"/admin/payments/paymentorder/{order.pk}/change/").text
    assert desk.get(address(order)).status_code == 302
