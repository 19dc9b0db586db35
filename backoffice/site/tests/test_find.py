"""One box finds everything by any of its numbers."""

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from balances.services import balance_top_up
from gateways.interface import TradeReport, TradeState
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from payments.services.settlement import trade_report_apply
from refunds.services.requests import refund_request
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(client, settings):
    settings.MOCK_CALLBACKS = True
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="finance", is_staff=True)
    user.groups.set(Group.objects.filter(name="finance"))
    client.force_login(user)
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    balance_top_up(user_id=owner.id, amount=Decimal("9.00"), reason="x", actor=SYSTEM)
    orders = [
        order_create(
            actor=owner,
            command=OrderCommand(
                user_id=owner.id,
                order_type="other",
                amount=Decimal("3.00"),
                appointment_id=uuid.uuid4(),
            ),
        )
        for _number in range(2)
    ]
    order = orders[0]
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="alipay"))
    attempt = PaymentTransaction.objects.get(order=order)
    report = TradeReport(attempt.out_trade_no, TradeState.PAID, "2026112522001", Decimal("3.00"))
    trade_report_apply(method="alipay", report=report, is_mock=False)
    refund = refund_request(actor=owner, order_id=order.id, amount=Decimal("1.00"), reason="x")
    return {"owner": owner, "order": order, "attempt": attempt, "refund": refund}


NUMBERS = {
    "order_no": lambda world: world["order"].order_no,
    "in small letters": lambda world: world["order"].order_no.lower(),
    "with spaces": lambda world: f"  {world['order'].order_no} ",
    "transaction_no": lambda world: world["attempt"].transaction_no,
    "out_trade_no": lambda world: world["attempt"].out_trade_no,
    "the gateway's number": lambda world: "2026112522001",
    "appointment": lambda world: str(world["order"].appointment_id),
    "id": lambda world: str(world["order"].id),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_of_an_order_leads_to_its_page(client, world, name):
    answer = client.get("/admin/find/", {"q": NUMBERS[name](world)})
    assert answer.status_code == 302
    assert answer.headers["Location"] == (
        f"/admin/payments/paymentorder/{world['order'].id}/change/"
    )


def test_a_refunds_number_leads_to_the_refund(client, world):
    answer = client.get("/admin/find/", {"q": world["refund"].refund_no})
    assert answer.headers["Location"] == f"/admin/refunds/refund/{world['refund'].id}/change/"


def test_what_belongs_to_several_is_listed(client, world):
    answer = client.get("/admin/find/", {"q": str(world["owner"].id)})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert world["order"].order_no in page
    assert "用户余额" in page


@pytest.mark.parametrize("term", ["", "nothing", "%", "'; drop table", "药" * 300, "\x00", "<b>x"])
def test_what_is_not_there_is_said_so(client, world, term):
    answer = client.get("/admin/find/", {"q": term})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert ("没有找到" in page) is bool(term)
    assert "<b>x" not in page


def test_it_shows_only_what_one_may_see(client, world):
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="nobody", is_staff=True)
    client.force_login(user)
    page = client.get("/admin/find/", {"q": world["order"].order_no}).content.decode()
    assert "没有找到" in page


def test_the_box_is_on_every_page(client, world):
    for address in ("/admin/", "/admin/payments/paymentorder/", "/admin/refunds/refund/"):
        assert 'action="/admin/find/"' in client.get(address).content.decode()


def test_what_a_users_number_finds_says_enough_to_choose(client, world):
    content = client.get("/admin/find/", {"q": str(world["owner"].id)}).content.decode()
    assert content.index("用户余额") < content.index(world["order"].order_no)
    line = content[content.index(world["order"].order_no) :].partition("</li>")[0]
    assert "已支付" in line
    assert "3.00" in line
