"""``refundable_amount`` is what a request would be granted now: asked of the service itself."""

import random
import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from balances.models import RelatedType
from balances.services import Related, balance_debit, balance_freeze
from payments.answers import orders_told
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.topups import topup_create
from refunds.models import Refund
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.services.retries import refund_retry
from refunds.tests import stage
from refunds.tests.stage import PLATFORM, REVIEWER, WANG, write_off
from tcmpay.common.actor import Role
from tcmpay.common.errors import DomainError
from tcmpay.common.money import ZERO
from tests.api.kit import nothing_moves, run_sql, someone
from tests.clinic import paid_order, patient, report_paid

pytestmark = pytest.mark.django_db
FEN = Decimal("0.01")


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = settings.TOPUPS = True
    settings.REFUND_SECOND_APPROVAL_OVER = None


def told(order: PaymentOrder) -> Decimal:
    return Decimal(orders_told.one(order.pk)["refundable_amount"])


def ask(order: PaymentOrder, amount: Decimal) -> Refund:
    return refund_request(actor=PLATFORM, order_id=order.pk, amount=amount, reason="x")


def ensure_exact(order: PaymentOrder) -> None:
    """A fen more is refused; the very amount is granted, where there is one."""
    amount = told(order)
    with nothing_moves(), pytest.raises(DomainError):
        ask(order, amount + FEN)
    if amount:
        refund_withdraw(actor=PLATFORM, refund_id=ask(order, amount).pk)
    assert told(order) == amount


def topped_up(amount: str = "80.00") -> PaymentOrder:
    owner = patient()
    order = topup_create(actor=owner, user_id=owner.id, amount=Decimal(amount))
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    report_paid(PaymentTransaction.objects.get(order=order))
    return order


def spent(order: PaymentOrder, amount: str) -> None:
    balance_debit(
        user_id=order.user_id,
        amount=Decimal(amount),
        related=Related(RelatedType.ORDER, uuid.uuid4()),
        description="x",
        actor=REVIEWER,
    )


def frozen(order: PaymentOrder, amount: str) -> None:
    balance_freeze(
        actor=REVIEWER,
        user_id=order.user_id,
        amount=Decimal(amount),
        reason="x",
    )


def case() -> PaymentException:
    return PaymentException.objects.filter(kind="refund_refused", closed_at=None).latest("id")


# --- one by one -----------------------------------------------------------------------------------


def test_of_what_was_paid_requests_take_their_part():
    order = paid_order()
    assert told(order) == Decimal("30.00")
    ask(order, Decimal("10.00"))
    assert told(order) == Decimal("20.00")
    ensure_exact(order)


@pytest.mark.parametrize("is_confirmed", [True, False], ids=["written off", "asked"])
def test_what_was_written_off_as_given_back_is_no_more(is_confirmed):
    payment = stage.paid("wechat")
    stage.failed(payment)
    stage.failed(payment)
    order = payment.order
    assert told(order) == stage.ALL
    write_off(case(), is_confirmed=is_confirmed)
    assert told(order) == stage.ALL - stage.SOME
    ensure_exact(order)


def test_what_of_a_top_up_was_spent_or_frozen_is_no_more():
    order = topped_up()
    assert told(order) == Decimal("80.00")
    spent(order, "50.00")
    assert told(order) == Decimal("30.00")
    frozen(order, "10.00")
    assert told(order) == Decimal("20.00")
    ensure_exact(order)


def test_of_a_balance_under_review_nothing():
    order = topped_up()
    run_sql("UPDATE user_balances SET balance = balance + 1 WHERE user_id = %s", str(order.user_id))
    assert told(order) == ZERO
    ensure_exact(order)


def test_beyond_ten_that_wait_nothing_until_one_is_decided():
    payment = stage.paid("alipay")
    refunds = [ask(payment.order, FEN) for _number in range(10)]
    assert told(payment.order) == ZERO
    ensure_exact(payment.order)
    refund_review(actor=REVIEWER, refund_id=refunds[0].pk, is_approved=True, notes="x")
    assert told(payment.order) == stage.ALL - 10 * FEN
    ensure_exact(payment.order)


# --- at random --------------------------------------------------------------------------------


def some_deed(order: PaymentOrder, payment: PaymentTransaction) -> None:
    amount = FEN * random.randrange(1, 1500)
    pending = Refund.objects.filter(order=order, status="pending").first()
    failed = Refund.objects.filter(order=order, status="failed").first()
    deeds: list[Callable[[], object]] = [
        lambda: ask(order, amount),
        lambda: stage.failed(payment),
        lambda: stage.done(payment),
    ]
    if pending is not None:
        key = pending.pk
        for is_approved in (True, False):
            deeds.append(
                lambda says=is_approved: refund_review(
                    actor=REVIEWER, refund_id=key, is_approved=says, notes="x"
                )
            )
    if failed is not None:
        deeds.append(lambda: write_off(case(), is_confirmed=random.random() < 0.5))
        deeds.append(lambda: refund_retry(actor=WANG, refund_id=failed.pk, reason="x"))
    if order.order_type == "topup":
        deeds.append(lambda: spent(order, str(amount)))
        deeds.append(lambda: frozen(order, str(amount)))
    random.choice(deeds)()


@pytest.mark.parametrize("walk", range(4))
def test_after_whatever_happens_it_is_what_would_be_granted(walk):
    if walk % 2:
        order = topped_up("60.00")
        payment = PaymentTransaction.objects.get(applied_order_id=order.pk)
    else:
        payment = stage.paid(("wechat", "alipay")[walk // 2])
        order = payment.order
    for _step in range(8):
        try:
            some_deed(order, payment)
        except (DomainError, PaymentException.DoesNotExist):
            continue
        ensure_exact(order)


# --- over the API, with a mark --------------------------------------------------------------------


def test_a_known_answer_is_new_when_the_amount_is_another_one(api):
    order = topped_up()
    owner = someone(Role.PATIENT, order.user_id)
    path = f"orders/{order.pk}"
    etag = api.raw("GET", path, by=owner)["ETag"]
    known = {"If-None-Match": etag}
    assert api.raw("GET", path, by=owner, headers=known).status_code == 304
    spent(order, "50.00")
    answer = api.raw("GET", path, by=owner, headers=known)
    assert (answer.status_code, answer.json()["data"]["refundable_amount"]) == (200, "30.00")


def test_a_write_off_makes_the_answer_another_one(api):
    payment = stage.paid("wechat")
    stage.failed(payment)
    owner = someone(Role.PATIENT, payment.order.user_id)
    path = f"orders/{payment.order_id}"
    etag = api.raw("GET", path, by=owner)["ETag"]
    write_off(case(), is_confirmed=False)
    assert api.raw("GET", path, by=owner, headers={"If-None-Match": etag}).status_code == 200
