"""What of a top-up goes back (CONTRACT 11): frozen while under way, spent when it is there."""

import uuid
from decimal import Decimal

import pytest

from balances.errors import BalanceLimit, InsufficientBalance, InsufficientFrozenBalance
from balances.models import BalanceTransaction, EntryType, RelatedType
from balances.services import balance_freeze, balance_unfreeze
from gateways.interface import RefundReport, RefundState
from payments.models import PaymentException, PaymentTransaction
from refunds.models import Refund
from refunds.services.outside import outside_refund_record
from refunds.services.requests import refund_replace
from refunds.services.retries import refund_retry
from refunds.services.states import refund_lock
from refunds.services.submission import _fail, refund_report_apply
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.db import money_unit
from tests.api.kit import nothing_moves, run_sql
from tests.api.test_refunds import refund_body
from tests.api.test_topups import found


@pytest.fixture
def topup(story, patient):
    return story.topped_up(patient, "100.00")


@pytest.fixture
def staff():
    return Actor(uuid.uuid4(), Role.STAFF, "客服")


def held(story, person) -> tuple[str, str]:
    account = story.balance(person)
    return account["balance"], account["frozen_balance"]


def kinds(person) -> list[str]:
    entries = BalanceTransaction.objects.filter(user_id=person.id, related_type=RelatedType.REFUND)
    return list(entries.order_by("sequence").values_list("transaction_type", flat=True))


@money_unit
def fails(refund) -> None:
    """The gateway refused it for good."""
    _order, payment, locked = refund_lock(refund["id"])
    _fail(locked, payment, SYSTEM, code="X", message="拒绝")


def test_what_is_asked_back_is_frozen_and_then_spent(story, patient, admin, topup):
    refund = story.refund(topup, patient, "60.00")
    assert held(story, patient) == ("40.00", "60.00")
    assert found() == []
    story.review(refund, admin)
    assert held(story, patient) == ("40.00", "60.00")
    story.worker_runs()
    account = story.balance(patient)
    assert (account["balance"], account["frozen_balance"]) == ("40.00", "0.00")
    # What was released to be spent is neither income nor expense.
    assert (account["total_income"], account["total_expense"]) == ("100.00", "60.00")
    assert kinds(patient) == ["freeze", "unfreeze", "expense"]
    assert story.status(topup, patient) == "partial_refunded"
    assert found() == []


@pytest.mark.parametrize("way", ["withdraw", "reject"])
def test_what_is_not_given_back_is_free_again(api, story, patient, admin, topup, way):
    refund = story.refund(topup, patient, "60.00")
    if way == "withdraw":
        api.put(f"refunds/{refund['id']}/withdraw", by=patient).accepted()
    else:
        story.review(refund, admin, approved=False, notes="否")
    assert held(story, patient) == ("100.00", "0.00")
    assert found() == []


def test_no_more_goes_back_than_is_on_the_balance(api, story, patient, topup):
    story.paid_from_balance(patient, "70.00")
    with nothing_moves():
        api.post("refunds", refund_body(topup, "30.01"), by=patient).refused(
            400, "INSUFFICIENT_BALANCE"
        )
    story.refund(topup, patient, "30.00")


def test_no_more_goes_back_than_the_topup_brought(api, story, patient, topup):
    story.fund(patient, "50.00")
    api.post("refunds", refund_body(topup, "100.01"), by=patient).refused(
        400, "REFUND_EXCEEDS_PAID"
    )


def test_a_smaller_amount_instead_freezes_that(story, patient, topup, staff):
    refund = story.refund(topup, patient, "60.00")
    refund_replace(actor=staff, refund_id=refund["id"], amount=Decimal("20.00"), notes="部分")
    assert held(story, patient) == ("80.00", "20.00")
    assert found() == []


def test_a_failed_one_is_free_and_a_retry_freezes_again(story, patient, admin, staff, topup):
    refund = story.refund(topup, patient, "60.00")
    story.review(refund, admin)
    fails(refund)
    assert held(story, patient) == ("100.00", "0.00")
    assert found() == []
    refund_retry(actor=staff, refund_id=refund["id"], reason="再试")
    assert held(story, patient) == ("40.00", "60.00")
    assert found() == []
    story.worker_runs()
    assert held(story, patient) == ("40.00", "0.00")
    assert kinds(patient) == ["freeze", "unfreeze", "freeze", "unfreeze", "expense"]
    assert found() == []


def test_a_retry_waits_for_money_that_was_spent_meanwhile(story, patient, admin, staff, topup):
    refund = story.refund(topup, patient, "60.00")
    story.review(refund, admin)
    fails(refund)
    story.paid_from_balance(patient, "50.00")
    with nothing_moves(), pytest.raises(InsufficientBalance):
        refund_retry(actor=staff, refund_id=refund["id"], reason="再试")


def test_success_after_failure_takes_it_off_or_is_a_case(story, patient, admin, staff, topup):
    refund = story.refund(topup, patient, "60.00")
    story.review(refund, admin)
    fails(refund)
    story.paid_from_balance(patient, "50.00")
    report = _success(refund)
    refund_report_apply(refund_id=refund["id"], report=report)
    assert Refund.objects.get().status == "failed"
    assert "余额不足" in PaymentException.objects.get(kind="refund_abnormal").reason
    assert held(story, patient) == ("50.00", "0.00")
    story.fund(patient, "10.00")
    refund_report_apply(refund_id=refund["id"], report=report)
    assert Refund.objects.get().status == "success"
    assert held(story, patient) == ("0.00", "0.00")
    assert [text for text in found() if "没有相符的网关" not in text] == []


def _success(refund):
    stored = Refund.objects.get(id=refund["id"])
    payment = PaymentTransaction.objects.get(id=stored.transaction_id)
    return RefundReport(
        out_refund_no=stored.refund_no,
        state=RefundState.SUCCESS,
        out_trade_no=payment.out_trade_no,
        refund_id="R1",
        amount=stored.refund_amount,
    )


def test_staff_release_nothing_that_is_on_its_way(story, patient, topup):
    story.refund(topup, patient, "60.00")
    balance_freeze(user_id=patient.id, amount=Decimal("5.00"), reason="核对", actor=SYSTEM)
    with pytest.raises(InsufficientFrozenBalance):
        balance_unfreeze(user_id=patient.id, amount=Decimal("5.01"), reason="x", actor=SYSTEM)
    balance_unfreeze(user_id=patient.id, amount=Decimal("5.00"), reason="x", actor=SYSTEM)
    assert held(story, patient) == ("40.00", "60.00")


def test_a_credit_leaves_room_for_what_may_come_back(story, patient, topup, settings):
    settings.TOPUP_BOUNDS = settings.TOPUP_BOUNDS | {"TOPUP_BALANCE_MAX": Decimal("150.00")}
    story.refund(topup, patient, "60.00")
    late = story.topup(patient, "50.00")
    story.pay(late, patient, "alipay")
    story.fund(patient, "0.01")
    story.gateway_reports(late)
    assert story.status(late, patient) == "cancelled"


def test_no_credit_takes_the_room_of_what_is_frozen(story, patient, topup):
    balance_freeze(user_id=patient.id, amount=Decimal("60.00"), reason="核对", actor=SYSTEM)
    story.fund(patient, "99999899.99")
    with pytest.raises(BalanceLimit):
        story.fund(patient, "0.01")


def test_what_went_back_in_the_console_is_taken_off(story, patient, topup):
    assert outside_refund_record(*_in_the_console(topup, "60.00"))
    assert held(story, patient) == ("40.00", "0.00")
    assert kinds(patient) == ["freeze", "unfreeze", "expense"]
    assert story.status(topup, patient) == "partial_refunded"


def test_what_went_back_in_the_console_and_is_spent_waits_as_a_case(story, patient, topup):
    story.paid_from_balance(patient, "70.00")
    assert not outside_refund_record(*_in_the_console(topup, "60.00"))
    assert held(story, patient) == ("30.00", "0.00")
    assert PaymentException.objects.get().kind == "outside_refund"
    story.fund(patient, "30.00")
    assert outside_refund_record(*_in_the_console(topup, "60.00"))
    assert held(story, patient) == ("0.00", "0.00")


def _in_the_console(topup, amount):
    payment = PaymentTransaction.objects.get(order_id=topup["id"])
    report = RefundReport(
        "C1", RefundState.SUCCESS, "R9", payment.out_trade_no or "", raw={"out_refund_no": "C1"}
    )
    return payment, report, Decimal(amount)


# --- the audit ---------------------------------------------------------------------------------

BREAKS = {
    "nothing is frozen": "UPDATE balance_transactions SET transaction_type = 'income'"
    " WHERE transaction_type = 'freeze'",
    "the amount differs": "UPDATE refund_records SET refund_amount = 59.99",
    "it is done without an expense": "UPDATE refund_records SET status = 'success',"
    " completed_at = created_at",
    "it ended and is frozen still": "UPDATE refund_records SET status = 'cancelled'",
    "of another user": "UPDATE balance_transactions SET user_id = id WHERE"
    " transaction_type = 'freeze'",
}


@pytest.mark.parametrize("broken", BREAKS)
def test_the_audit_finds_a_broken_give_back(story, patient, topup, broken):
    story.refund(topup, patient, "60.00")
    run_sql(BREAKS[broken])
    assert any("退回充值" in text for text in found())


def test_the_audit_finds_what_is_frozen_for_no_give_back(story, patient, topup):
    story.refund(topup, patient, "60.00")
    run_sql("UPDATE payment_orders SET order_type = 'other' WHERE order_type = 'topup'")
    assert any("不是退回充值" in text for text in found())


def test_the_audit_finds_what_staff_released_of_a_give_back(story, patient, topup):
    story.refund(topup, patient, "60.00")
    entry = BalanceTransaction.objects.get(transaction_type=EntryType.FREEZE)
    BalanceTransaction.objects.filter(id=entry.id).update(
        transaction_type=EntryType.UNFREEZE, related_type=RelatedType.ADJUSTMENT
    )
    assert any("为退款冻结的金额" in text for text in found())
