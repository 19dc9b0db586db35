"""Staff give back money that came late or twice and was held (LATE_PAYMENT_POLICY=hold)."""

import uuid
from decimal import Decimal

import pytest

from backoffice.ops.audit import audit
from payments.models import PaymentException, PaymentTransaction
from refunds.errors import NoSurplus, PaymentNotFound, SelfReview, SurplusRefundExists
from refunds.models import Refund
from refunds.services.surplus import surplus_refund_begin, surplus_return
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import Actor, Role
from tcmpay.common.invariants import Scope
from tests.api.kit import nothing_moves

REASON = "已电话联系付款人，同意退回"


@pytest.fixture(autouse=True)
def _hold(settings):
    settings.LATE_PAYMENT_POLICY = "hold"


@pytest.fixture
def staff():
    return Actor(id=uuid.uuid4(), role=Role.STAFF, name="客服")


@pytest.fixture
def held(story, patient):
    """Money that came after its order was cancelled."""
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    story.cancel(order, patient)
    story.gateway_reports(order)
    return PaymentTransaction.objects.get(order_id=order["id"])


def test_all_of_it_goes_back_by_the_way_it_came(story, clock, patient, staff, held):
    refund = surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    assert (refund.status, refund.refund_amount, refund.cause) == (
        "processing",
        Decimal("30.00"),
        "late_payment",
    )
    story.worker_runs()
    refund.refresh_from_db()
    held.refresh_from_db()
    assert (refund.status, refund.user_id) == ("success", patient.id)
    assert held.refund_reserved == held.amount
    assert PaymentException.objects.get(kind="late_payment").closed_at is not None
    found = [violation for _check, violations in audit(Scope()) for violation in violations]
    assert found == []


def test_who_did_it_and_why_is_kept(clock, staff, held):
    refund = surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    assert (refund.requested_by, refund.reviewed_by) == (staff.id, staff.id)
    assert (refund.review_notes, refund.reviewed_at) == (REASON, clock.now)
    # What the payer sees is the cause, not what staff wrote among themselves.
    assert REASON not in refund.refund_reason
    approved = AuditEvent.objects.get(object_id=str(refund.id), action="refund_approved")
    assert (approved.actor_id, approved.reason) == (staff.id, REASON)


def test_a_second_payment_goes_back_and_the_order_stays_paid(story, rich_patient, staff):
    order = story.order(rich_patient)
    story.pay(order, rich_patient, "alipay")
    story.pay(order, rich_patient)
    story.gateway_reports(order)
    payment = PaymentTransaction.objects.get(disposition="second")
    assert surplus_return(actor=staff, transaction_id=payment.id, reason=REASON).cause == (
        "second_payment"
    )
    story.worker_runs()
    assert Refund.objects.get().status == "success"
    assert story.status(order, rich_patient) == "paid"


def test_it_goes_back_once(story, staff, held):
    surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    with nothing_moves(), pytest.raises(NoSurplus):
        surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    story.worker_runs()
    with nothing_moves(), pytest.raises(NoSurplus):
        surplus_return(actor=staff, transaction_id=held.id, reason=REASON)


def test_one_that_failed_is_retried_and_not_begun_anew(staff, held):
    refund = surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    # As after a gateway's refusal: failed, and nothing of the payment held.
    Refund.objects.filter(id=refund.id).update(status="failed", next_check_at=None)
    PaymentTransaction.objects.filter(id=held.id).update(refund_reserved=0)
    with nothing_moves(), pytest.raises(SurplusRefundExists):
        surplus_return(actor=staff, transaction_id=held.id, reason=REASON)
    with nothing_moves():
        assert surplus_refund_begin(held.id, held.order_id) is None, "nor by the sweep"


def test_money_that_belongs_to_its_order_is_no_surplus(story, patient, staff):
    order = story.paid_at_gateway(patient)
    payment = PaymentTransaction.objects.get(order_id=order["id"])
    with nothing_moves(), pytest.raises(NoSurplus):
        surplus_return(actor=staff, transaction_id=payment.id, reason=REASON)


def test_an_attempt_that_was_not_paid_is_no_surplus(story, patient, staff):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    attempt = PaymentTransaction.objects.get(order_id=order["id"])
    with nothing_moves(), pytest.raises(NoSurplus):
        surplus_return(actor=staff, transaction_id=attempt.id, reason=REASON)


def test_an_unknown_payment_is_said_to_be_so(staff):
    with pytest.raises(PaymentNotFound):
        surplus_return(actor=staff, transaction_id=uuid.uuid4(), reason=REASON)


def test_nobody_gives_money_to_themselves(patient, held):
    with nothing_moves(), pytest.raises(SelfReview):
        surplus_return(
            actor=Actor(id=patient.id, role=Role.STAFF), transaction_id=held.id, reason=REASON
        )
