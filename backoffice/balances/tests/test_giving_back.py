"""Giving a balance back, by its pages: what would go back over which payment is seen before it is
asked for, and what can't go back leads to where staff return it."""

import uuid
from decimal import Decimal

import pytest

from balances.models import UserBalance
from balances.services import balance_top_up
from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.topups import topup_create
from refunds.models import Refund
from tcmpay.common.actor import SYSTEM
from tests.authority.staff import browser_of, person_make
from tests.clinic import patient, report_paid

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = settings.TOPUPS = True


@pytest.fixture
def account() -> UserBalance:
    """Topped up by 30 and 20 yuan, and 5 by hand."""
    owner = patient()
    for amount in ("30.00", "20.00"):
        order = topup_create(actor=owner, user_id=owner.id, amount=Decimal(amount))
        pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
        report_paid(PaymentTransaction.objects.get(order=order))
    balance_top_up(user_id=owner.id, amount=Decimal("5.00"), reason="补偿", actor=SYSTEM)
    return UserBalance.objects.get(user_id=owner.id)


def step(account: UserBalance, name: str) -> str:
    return f"/admin/balances/userbalance/{account.pk}/{name}/"


def parts_of(plan) -> list[Decimal]:
    return [part for _order, _payment, part in plan["parts"]]


def test_a_plan_says_what_goes_back_over_which_payment_and_what_does_not(account):
    clerk = browser_of(person_make("finance"))
    plan = clerk.get(step(account, "give_back")).context["plan"]
    assert [part for _order, _payment, part in plan["parts"]] == [
        Decimal("30.00"),
        Decimal("20.00"),
    ]
    assert (plan["back"], plan["left"]) == (Decimal("50.00"), Decimal("5.00"))
    form = {"form_id": uuid.uuid4(), "amount": "42.00", "reason": ""}
    shown = clerk.post(step(account, "give_back"), form | {"preview": "yes"})
    plan = shown.context["plan"]
    assert [part for _order, _payment, part in plan["parts"]] == [
        Decimal("30.00"),
        Decimal("12.00"),
    ]
    assert "请填写" not in shown.content.decode(), "a preview asks for no reason"
    assert not Refund.objects.exists(), "only looked at"
    clerk.post(step(account, "give_back"), form | {"reason": "用户要求"})
    asked = Refund.objects.order_by("refund_amount").values_list("refund_amount", flat=True)
    assert list(asked) == [Decimal("12.00"), Decimal("30.00")]


def test_an_amount_that_is_none_is_refused_and_nothing_is_asked_for(account):
    clerk = browser_of(person_make("finance"))
    form = {"form_id": uuid.uuid4(), "amount": "-1", "reason": "x", "preview": "yes"}
    shown = clerk.post(step(account, "give_back"), form)
    assert shown.context["form"].errors["amount"]
    assert not Refund.objects.exists()


def test_what_can_not_go_back_leads_to_the_account_and_to_the_deduction(account):
    clerk = browser_of(person_make("finance"))
    form = {"form_id": uuid.uuid4(), "amount": "55.00", "reason": "用户要求"}
    told = clerk.post(step(account, "give_back"), form, follow=True).content.decode()
    case = PaymentException.objects.get(kind="give_back_left")
    assert f"/admin/payments/paymentexception/{case.pk}/change/" in told
    page = clerk.get(f"/admin/payments/paymentexception/{case.pk}/change/").content.decode()
    for name in ("change", "adjust"):
        assert step(account, name) in page
