"""The back office as its roles use it: what opens, what is refused, what a click changes."""

import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from balances.services import balance_top_up
from payments.models import PaymentOrder
from payments.services.attempts import PayCommand, pay
from payments.services.orders import OrderCommand, order_create
from refunds.models import Refund
from refunds.services.requests import refund_request
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db

LISTS = {
    "/admin/": {"finance", "reviewer", "administrator"},
    "/admin/payments/paymentorder/": {"finance", "reviewer", "administrator"},
    "/admin/payments/paymenttransaction/": {"finance", "reviewer", "administrator"},
    "/admin/payments/paymentcallback/": {"finance", "reviewer", "administrator"},
    "/admin/payments/paymentexception/": {"finance", "reviewer", "administrator"},
    "/admin/refunds/refund/": {"finance", "reviewer", "administrator"},
    "/admin/balances/userbalance/": {"finance", "reviewer", "administrator"},
    "/admin/balances/balancetransaction/": {"finance", "reviewer", "administrator"},
    "/admin/config/priceconfig/": {"finance", "reviewer", "administrator"},
    "/admin/config/paymentconfig/": {"administrator"},
    "/admin/accounts/staffuser/": {"administrator"},
    "/admin/audit/auditevent/": {"finance", "reviewer", "administrator"},
}
ROLES = ("finance", "reviewer", "administrator")
OUTSIDE = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//(?!testserver)""")
ENGLISH = ("Dashboard", "Search", "Filters", "Save", "Log in", "Username", "Password", "Delete")


@pytest.fixture
def staff(client):
    def sign_in(role: str, user_id: uuid.UUID | None = None) -> StaffUser:
        user = StaffUser.objects.create_user(
            id=user_id or uuid.uuid4(), username=f"{role}-{uuid.uuid4()}", is_staff=True
        )
        user.groups.set(Group.objects.filter(name=role))
        client.force_login(user)
        return user

    return sign_in


@pytest.fixture
def refund() -> Refund:
    """Paid from the balance, asked back, waiting for review."""
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    balance_top_up(user_id=owner.id, amount=Decimal("100.00"), reason="开户", actor=SYSTEM)
    order = order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("30.00")),
    )
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    return refund_request(
        actor=owner, order_id=order.id, amount=Decimal("30.00"), reason="<b>未就诊</b>"
    )


def visible_text(page: str) -> str:
    page = re.sub(r"<(script|style|template).*?</\1>", " ", page, flags=re.DOTALL)
    page = re.sub(r'class="material-symbols-outlined[^"]*"[^>]*>[^<]*<', "><", page)
    return re.sub(r"<[^>]+>", " ", page)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("address", LISTS)
def test_each_page_opens_for_its_roles_only(client, staff, refund, address, role):
    staff(role)
    assert client.get(address).status_code == (200 if role in LISTS[address] else 403)


@pytest.mark.parametrize("address", LISTS)
def test_pages_load_nothing_from_outside_and_speak_chinese(client, staff, refund, address):
    staff("administrator")
    page = client.get(address).content.decode()
    assert OUTSIDE.findall(page) == []
    text = visible_text(page)
    assert [word for word in ENGLISH if re.search(rf"\b{word}\b", text)] == []


def test_nobody_gets_in_without_signing_in(client):
    for address in LISTS:
        assert client.get(address).status_code == 302


def test_details_open(client, staff, refund):
    staff("finance")
    for address in (
        f"/admin/refunds/refund/{refund.id}/change/",
        f"/admin/payments/paymentorder/{refund.order_id}/change/",
        f"/admin/payments/paymenttransaction/{refund.transaction_id}/change/",
    ):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "<b>未就诊</b>" not in answer.content.decode(), "a client's text is escaped"


def test_a_reviewer_approves_and_the_money_is_back(client, staff, refund):
    reviewer = staff("reviewer")
    address = f"/admin/refunds/refund/{refund.id}/review/"
    page = client.get(address)
    assert page.status_code == 200
    refund.refresh_from_db()
    assert refund.status == "pending", "looking decides nothing"
    client.post(address, {"decision": "approve", "notes": "同意退款"})
    refund.refresh_from_db()
    order = PaymentOrder.objects.get(id=refund.order_id)
    assert (refund.status, refund.reviewed_by, order.status) == (
        "success",
        reviewer.id,
        "refunded",
    )


def test_finance_may_look_but_not_review(client, staff, refund):
    staff("finance")
    address = f"/admin/refunds/refund/{refund.id}/review/"
    assert client.post(address, {"decision": "approve", "notes": "x"}).status_code == 403
    refund.refresh_from_db()
    assert refund.status == "pending"


def test_a_reviewer_can_not_pay_themself(client, staff, refund):
    staff("reviewer", user_id=refund.user_id)
    address = f"/admin/refunds/refund/{refund.id}/review/"
    client.post(address, {"decision": "approve", "notes": "x"})
    refund.refresh_from_db()
    assert refund.status == "pending"


@pytest.mark.parametrize(
    "address",
    [
        "/admin/payments/paymentorder/add/",
        "/admin/balances/userbalance/add/",
        "/admin/refunds/refund/add/",
    ],
)
def test_nobody_adds_money_rows_by_hand(client, staff, address):
    staff("administrator")
    assert client.get(address).status_code == 403


def test_a_row_whose_user_is_no_uuid_breaks_no_page(client, staff):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO user_balances (id, user_id, balance)"
            " VALUES (%s, 'test-user-uuid', 100.00)",
            [str(uuid.uuid4())],
        )
    staff("finance")
    answer = client.get("/admin/balances/userbalance/")
    assert answer.status_code == 200
    assert "test-user-uuid" in answer.content.decode()
    assert client.get("/admin/balances/balancetransaction/").status_code == 200
