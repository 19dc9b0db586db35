"""A top-up's refund that was written off went back by another way: confirming takes its money off
the balance, and nothing that a gateway says later takes it off again.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from balances.models import UserBalance
from balances.services import balance_freeze
from gateways.errors import GatewayRejected, RejectReason
from gateways.interface import RefundReport, RefundRequest, RefundState
from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.topups import topup_create
from refunds.errors import MoneyGivenBack, WriteOffBeyondBalance
from refunds.invariants import check_payments, check_refunds
from refunds.invariants_give_back import CHECKS
from refunds.models import Refund
from refunds.services.balance_give_back import balance_give_back
from refunds.services.cases import case_write_off_decide
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_report_apply
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, REVIEWER, WANG, Gateway, write_off
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.ids import new_id
from tcmpay.common.invariants import Scope, Violation
from tests.api.kit import run_sql
from tests.clinic import patient, report_paid

pytestmark = pytest.mark.django_db

EIGHTY = Decimal("80.00")
REFUSED = stage.fails(GatewayRejected("no", code="TRADE_ERROR", reason=RejectReason.OTHER))


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = settings.TOPUPS = True
    settings.REFUND_SECOND_APPROVAL_OVER = None
    with clock.frozen(BEGUN_AT):
        yield


def says(state: RefundState):
    def answer(request: RefundRequest) -> RefundReport:
        return RefundReport(
            request.out_refund_no,
            state,
            refund_id="G1",
            out_trade_no=request.out_trade_no,
            transaction_id=request.transaction_id,
            amount=request.refund_amount,
            total_amount=request.total_amount,
        )

    return answer


def given_back(gateway: Gateway) -> Refund:
    """The approved refund of a top-up of 80 yuan, as ``gateway`` takes it."""
    owner = patient()
    order = topup_create(actor=owner, user_id=owner.id, amount=EIGHTY)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    report_paid(PaymentTransaction.objects.get(order=order))
    refund = refund_request(actor=owner, order_id=order.id, amount=EIGHTY, reason="x")
    refund_review(actor=REVIEWER, refund_id=refund.id, is_approved=True, notes="")
    gateway.sweep_at(1, 100, 400, 800)
    return Refund.objects.get()


def held(refund: Refund) -> tuple[Decimal, Decimal]:
    account = UserBalance.objects.get(user_id=refund.user_id)
    return account.balance, account.frozen_balance


def found() -> list[Violation]:
    checks = (check_payments, check_refunds, *CHECKS)
    return [one for check in checks for one in check(Scope())]


GONE = (Decimal("0.00"), Decimal("0.00"))


def test_one_that_failed_comes_off_what_is_available():
    refund = given_back(Gateway(REFUSED))
    case = PaymentException.objects.get(kind="refund_refused")
    write_off(case, is_confirmed=False)
    assert held(refund) == (EIGHTY, Decimal("0.00")), "nothing moves before two people agree"
    case_write_off_decide(actor=REVIEWER, exception_id=case.id, is_confirmed=True, notes="")
    assert (refund.status, held(refund)) == ("failed", GONE)
    assert found() == []


def test_one_that_can_not_reach_its_payer_comes_off_what_is_frozen():
    gateway = Gateway(says(RefundState.ABNORMAL), says(RefundState.ABNORMAL))
    refund = given_back(gateway)
    assert held(refund) == (Decimal("0.00"), EIGHTY)
    write_off(PaymentException.objects.get(kind="refund_abnormal"))
    gateway.query = says(RefundState.CLOSED)
    gateway.sweep_at(40 * 86400, 80 * 86400)
    refund.refresh_from_db()
    assert (refund.status, held(refund)) == ("processing", GONE)
    assert found() == []


@pytest.mark.parametrize("first", [REFUSED, says(RefundState.ABNORMAL)], ids=["failed", "abnormal"])
def test_what_the_gateway_proves_afterwards_takes_nothing_off_again(first):
    gateway = Gateway(first, first if first is not REFUSED else stage.says_nothing)
    refund = given_back(gateway)
    write_off(PaymentException.objects.get())
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        report = RefundReport(
            refund.refund_no,
            RefundState.SUCCESS,
            refund_id="G1",
            amount=EIGHTY,
            total_amount=EIGHTY,
        )
        refund_report_apply(refund_id=refund.id, report=report)
    refund.refresh_from_db()
    assert (refund.status, held(refund)) == ("success", GONE)
    assert PaymentException.objects.filter(kind="refunded_twice", closed_at=None).exists()
    assert found() == []


def test_it_is_not_confirmed_while_the_money_is_not_there():
    refund = given_back(Gateway(REFUSED))
    balance_freeze(user_id=refund.user_id, amount=Decimal("0.01"), reason="x", actor=SYSTEM)
    case = PaymentException.objects.get()
    with pytest.raises(WriteOffBeyondBalance, match="INSUFFICIENT_BALANCE"):
        write_off(case)
    case.refresh_from_db()
    assert case.is_waiting, "it can be confirmed later, or declined"
    assert held(refund) == (Decimal("79.99"), Decimal("0.01"))


def test_its_topup_gives_nothing_back_any_more():
    refund = given_back(Gateway(REFUSED))
    write_off(PaymentException.objects.get(), is_confirmed=False)
    with clock.frozen(BEGUN_AT + timedelta(hours=1)):
        with pytest.raises(MoneyGivenBack):
            refund_request(actor=WANG, order_id=refund.order_id, amount=EIGHTY, reason="x")
        given = balance_give_back(
            actor=WANG, user_id=refund.user_id, amount=EIGHTY, reason="x", request_id=new_id()
        )
    assert (given.refunds, given.left) == ([], EIGHTY)


def test_the_checks_find_what_was_spent_without_a_write_off_and_one_that_was_not_booked():
    refund = given_back(Gateway(REFUSED))
    case = PaymentException.objects.get()
    write_off(case)
    PaymentException.objects.update(outcome="settled")
    assert [(one.code, one.is_notice) for one in CHECKS[0](Scope())] == [("R3", False)]
    PaymentException.objects.update(outcome="written_off")
    run_sql("DELETE FROM balance_transactions WHERE transaction_type = 'expense'")
    assert [(one.code, one.is_notice) for one in CHECKS[0](Scope())] == [("R3", True)]
    assert refund.status == "failed"
