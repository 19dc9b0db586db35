"""Cases of money: one owner, the actions of their kind, endings by one or by two."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.transaction import atomic

from backoffice.cases.actions import offered
from backoffice.cases.words import EXCEPTION_ADVICE, EXCEPTION_STORY
from gateways.interface import TradeReport, TradeState
from gateways.mock import MockGateway
from payments.errors import (
    ActionNotOffered,
    ExceptionClosed,
    ExceptionTaken,
    NotConfirmedByGateway,
    OrderDoesNotFit,
    SelfConfirmation,
    WriteOffWaits,
)
from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import (
    exception_assign,
    exception_claim,
    exception_close,
    exception_open,
    exception_release,
    exception_write_off_ask,
)
from payments.services.matching import exception_match, exception_query
from payments.services.stuck import attempts_stuck_report
from payments.states import EXCEPTION_ACTIONS, ExceptionAction, ExceptionKind
from refunds.models import Refund
from refunds.services.cases import case_give_back, case_retry, case_write_off_decide
from refunds.services.stuck import refunds_stuck_report
from refunds.services.submission import refunds_sweep
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.clinic import (
    late_case,
    new_order,
    patient,
    report_paid,
    started_attempt,
    unknown_case,
    wrong_amount_case,
)

pytestmark = pytest.mark.django_db
LIN = Actor(uuid.UUID(int=1), Role.STAFF, "林")
WANG = Actor(uuid.UUID(int=2), Role.STAFF, "王")


@pytest.fixture(autouse=True)
def mock_gateways(settings):
    settings.MOCK_CALLBACKS = True
    settings.LATE_PAYMENT_POLICY = "hold"


def outside_case():
    """A refund made in the merchant console: it holds nothing any more."""
    exception_open(ExceptionKind.OUTSIDE_REFUND, method="wechat", fact="1", amount=Decimal("5.00"))
    return PaymentException.objects.get()


def last_actions(case):
    events = AuditEvent.objects.filter(object_type="payment_exception", object_id=str(case.pk))
    return list(events.order_by("version").values_list("action", flat=True))


def test_every_kind_has_its_words_and_actions():
    assert (
        set(EXCEPTION_ACTIONS)
        == set(EXCEPTION_ADVICE)
        == set(EXCEPTION_STORY)
        == set(ExceptionKind)
    )


# --- whose it is --------------------------------------------------------------------------------


def test_one_person_owns_a_case_until_it_is_given_back():
    case = outside_case()
    exception_claim(actor=LIN, exception_id=case.pk)
    exception_claim(actor=LIN, exception_id=case.pk)
    with pytest.raises(ExceptionTaken) as refusal:
        exception_claim(actor=WANG, exception_id=case.pk)
    assert refusal.value.facts["owner"] == LIN.id
    with pytest.raises(ExceptionTaken):
        exception_release(actor=WANG, exception_id=case.pk)
    with pytest.raises(ExceptionTaken):
        exception_close(actor=WANG, exception_id=case.pk, resolution="x")
    exception_release(actor=LIN, exception_id=case.pk)
    exception_close(actor=WANG, exception_id=case.pk, resolution="已退")
    assert last_actions(case) == [
        "exception_opened", "exception_claimed", "exception_released", "exception_claimed",
        "exception_closed",
    ]  # fmt: skip
    with pytest.raises(ExceptionClosed):
        exception_claim(actor=LIN, exception_id=case.pk)


def test_it_can_be_handed_to_somebody_else():
    case = outside_case()
    exception_claim(actor=LIN, exception_id=case.pk)
    exception_assign(actor=LIN, exception_id=case.pk, owner_id=WANG.id)
    with pytest.raises(ExceptionTaken):
        exception_close(actor=LIN, exception_id=case.pk, resolution="x")


# --- writing off --------------------------------------------------------------------------------


def test_a_write_off_takes_two_people():
    case = unknown_case()
    exception_write_off_ask(actor=LIN, exception_id=case.pk, reason="其他系统")
    with pytest.raises(SelfConfirmation):
        case_write_off_decide(actor=LIN, exception_id=case.pk, is_confirmed=True, notes="")
    with pytest.raises(WriteOffWaits):
        exception_close(actor=LIN, exception_id=case.pk, resolution="x")
    case_write_off_decide(actor=WANG, exception_id=case.pk, is_confirmed=True, notes="同意")
    case.refresh_from_db()
    assert (case.outcome, case.closed_by, case.write_off_by, case.resolution) == (
        "written_off", WANG.id, LIN.id, "其他系统；同意",
    )  # fmt: skip


@pytest.mark.parametrize("held_case", [unknown_case, wrong_amount_case, late_case])
def test_nobody_ends_a_case_alone_while_money_is_held(held_case):
    case = held_case()
    with pytest.raises(ActionNotOffered):
        exception_close(actor=LIN, exception_id=case.pk, resolution="已在商户平台退回")
    case.refresh_from_db()
    assert (case.closed_at, case.owner_id) == (None, None)


def test_no_kind_offers_a_close_beside_a_write_off():
    for kind, actions in EXCEPTION_ACTIONS.items():
        assert not {ExceptionAction.WRITE_OFF, ExceptionAction.CLOSE} <= set(actions), kind
        assert {ExceptionAction.WRITE_OFF, ExceptionAction.CLOSE} & set(actions), kind


def test_a_declined_write_off_goes_on():
    case = unknown_case()
    exception_write_off_ask(actor=LIN, exception_id=case.pk, reason="其他系统")
    case_write_off_decide(actor=WANG, exception_id=case.pk, is_confirmed=False, notes="再查")
    case.refresh_from_db()
    assert (case.closed_at, case.write_off_by, case.owner_id) == (None, None, LIN.id)
    with pytest.raises(ActionNotOffered):
        case_write_off_decide(actor=WANG, exception_id=case.pk, is_confirmed=True, notes="")


def test_what_a_kind_does_not_offer_is_refused():
    case = unknown_case()
    with pytest.raises(ActionNotOffered):
        case_give_back(actor=LIN, exception_id=case.pk, reason="x")
    with pytest.raises(ActionNotOffered):
        exception_query(actor=LIN, exception_id=case.pk, reason="x")
    assert Refund.objects.count() == 0


# --- giving back --------------------------------------------------------------------------------


def test_held_money_goes_back_once_and_the_case_settles_itself():
    case = late_case()
    refund = case_give_back(actor=LIN, exception_id=case.pk, reason="退回")
    with pytest.raises(ExceptionTaken):
        case_give_back(actor=WANG, exception_id=case.pk, reason="退回")
    refunds_sweep()
    case.refresh_from_db()
    refund.refresh_from_db()
    assert (refund.status, str(refund.refund_amount), case.outcome) == (
        "success", "30.00", "settled",
    )  # fmt: skip


# --- matching -----------------------------------------------------------------------------------


def confirm_at_gateway(monkeypatch, case, **wrong):
    told = {
        "out_trade_no": case.out_trade_no,
        "state": TradeState.PAID,
        "transaction_id": case.external_transaction_id,
        "amount": case.amount,
        "paid_at": clock.now(),
        **wrong,
    }
    monkeypatch.setattr(MockGateway, "query_payment", lambda self, number: TradeReport(**told))


def test_confirmed_money_is_matched_to_a_pending_order(monkeypatch):
    case, order = unknown_case(), new_order(patient())
    confirm_at_gateway(monkeypatch, case)
    exception_match(
        actor=LIN, exception_id=case.pk, order_no=order.order_no.lower(), reason="凭证相符"
    )
    case.refresh_from_db()
    order.refresh_from_db()
    assert (order.status, case.outcome, case.order_id) == ("paid", "matched", order.pk)
    assert PaymentTransaction.objects.get(order=order).out_trade_no == case.out_trade_no


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": TradeState.UNPAID},
        {"amount": Decimal("29.99")},
        {"transaction_id": "other"},
        {"out_trade_no": "ORD0"},
    ],
)
def test_what_the_gateway_does_not_confirm_is_never_applied(monkeypatch, wrong):
    case, order = unknown_case(), new_order(patient())
    confirm_at_gateway(monkeypatch, case, **wrong)
    with pytest.raises(NotConfirmedByGateway):
        exception_match(actor=LIN, exception_id=case.pk, order_no=order.order_no, reason="x")
    order.refresh_from_db()
    case.refresh_from_db()
    assert (order.status, case.closed_at) == ("pending", None)
    assert PaymentTransaction.objects.count() == 0


def test_a_refused_match_is_in_the_trail_with_its_order_and_reason(monkeypatch):
    case, order = unknown_case(), new_order(patient())
    confirm_at_gateway(monkeypatch, case, state=TradeState.UNPAID)
    with pytest.raises(NotConfirmedByGateway):
        exception_match(actor=LIN, exception_id=case.pk, order_no=order.order_no, reason="凭证")
    assert last_actions(case)[-2:] == ["exception_action", "exception_action_refused"]
    events = AuditEvent.objects.filter(object_type="payment_exception", object_id=str(case.pk))
    refused, began = events.order_by("-version")[:2]
    assert began.details["order"] == order.order_no
    assert refused.details["code"] == "NOT_CONFIRMED"
    assert order.order_no in refused.reason
    assert "网关查询没有确认这笔款项" in refused.reason


@pytest.mark.parametrize("amount", ["29.00", "31.00"])
def test_an_order_of_another_amount_does_not_fit(monkeypatch, amount):
    case, order = unknown_case(), new_order(patient(), amount)
    confirm_at_gateway(monkeypatch, case)
    with pytest.raises(OrderDoesNotFit):
        exception_match(actor=LIN, exception_id=case.pk, order_no=order.order_no, reason="x")


def test_a_query_ends_a_wrong_amount_only_when_the_right_one_is_proven(monkeypatch):
    case = wrong_amount_case()
    exception_query(actor=LIN, exception_id=case.pk, reason="查")
    case.refresh_from_db()
    assert case.closed_at is None
    confirm_at_gateway(monkeypatch, case, amount=Decimal("30.00"))
    exception_query(actor=LIN, exception_id=case.pk, reason="再查")
    case.refresh_from_db()
    assert (case.outcome, case.order.status) == ("matched", "paid")


# --- stuck --------------------------------------------------------------------------------------


def test_a_stuck_attempt_becomes_one_case_and_settles_with_its_end():
    attempt = started_attempt()
    assert attempt.gateway_expires_at is not None
    late = attempt.gateway_expires_at + timedelta(minutes=31)
    with clock.frozen(late - timedelta(minutes=2)):
        attempts_stuck_report()
    assert PaymentException.objects.count() == 0
    with clock.frozen(late):
        assert attempts_stuck_report() == 1
        assert attempts_stuck_report() == 0
        case = PaymentException.objects.get()
        assert case.kind == ExceptionKind.STUCK_PAYMENT
        report_paid(attempt)
        attempts_stuck_report()
    case.refresh_from_db()
    assert case.outcome == "settled"


def test_a_refund_in_doubt_becomes_a_case_and_is_asked_about_again():
    case = late_case()
    refund = case_give_back(actor=LIN, exception_id=case.pk, reason="退回")
    assert refunds_stuck_report() == 0
    later = clock.now() + timedelta(hours=1)
    Refund.objects.update(submissions=8, error_code="UNKNOWN", next_check_at=later)
    assert refunds_stuck_report() == 1
    assert refunds_stuck_report() == 0
    stuck = PaymentException.objects.get(kind=ExceptionKind.STUCK_REFUND)
    assert refunds_sweep() == 0, "its next question lies in the future"
    case_retry(actor=WANG, exception_id=stuck.pk, reason="再问")
    assert refunds_sweep() == 1
    stuck.refresh_from_db()
    refund.refresh_from_db()
    assert (refund.status, stuck.outcome) == ("success", "settled")


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def sign_in(client):
    def make(role):
        person = StaffUser.objects.create_user(username=role, last_name=role, is_staff=True)
        person.groups.set([Group.objects.get(name=role)])
        client.force_login(person)
        return person

    return make


def test_each_is_offered_what_they_may_do_about_the_case_now(sign_in):
    case = late_case()
    lin = StaffUser.objects.create_superuser(id=LIN.id, username="lin")

    def names(person=lin):
        case.refresh_from_db()
        return [name for name, _action in offered(case, person)]

    assert (names(), names(sign_in("finance"))) == (["refund", "write_off"], [])
    exception_claim(actor=WANG, exception_id=case.pk)
    assert names() == [], "somebody else is at it"
    exception_assign(actor=WANG, exception_id=case.pk, owner_id=LIN.id)
    exception_write_off_ask(actor=LIN, exception_id=case.pk, reason="x")
    assert names() == [], "a second person has to confirm"
    case_write_off_decide(actor=LIN, exception_id=case.pk, is_confirmed=False, notes="x")
    assert names() == ["refund", "write_off"]
    case_give_back(actor=LIN, exception_id=case.pk, reason="x")
    assert names() == [], "its money is on its way"
    refunds_sweep()
    assert names() == [], "it has ended"


@pytest.mark.parametrize(
    "action", ["claim", "release", "assign", "refund", "write_off", "confirm", "close"]
)
def test_finance_may_look_and_do_nothing(client, sign_in, action):
    case = late_case()
    sign_in("finance")
    address = f"/admin/payments/paymentexception/{case.pk}/"
    assert client.get(f"{address}change/").status_code == 200
    answer = client.post(f"{address}act/", {"action": action, "reason": "x"})
    assert answer.status_code == 403
    case.refresh_from_db()
    assert (case.owner_id, case.closed_at, Refund.objects.count()) == (None, None, 0)


def test_only_a_post_with_a_reason_acts(client, sign_in):
    case = late_case()
    sign_in("reviewer")
    address = f"/admin/payments/paymentexception/{case.pk}/act/"
    assert client.get(address, {"action": "close", "reason": "x"}).status_code == 405
    client.post(address, {"action": "close", "reason": "  "})
    client.post(address, {"action": "refund"})
    assert client.post(address, {"action": "unknown"}).status_code == 403
    assert client.post(address, {"action": "assign", "owner": str(LIN.id)}).status_code == 403
    case.refresh_from_db()
    assert (case.closed_at, Refund.objects.count()) == (None, 0)


@pytest.mark.parametrize("second", [LIN.id, None])
def test_the_database_itself_refuses_a_write_off_by_one(second):
    case = unknown_case()
    with pytest.raises(IntegrityError), atomic():
        PaymentException.objects.filter(pk=case.pk).update(
            outcome="written_off", closed_at=clock.now(), closed_by=second, write_off_by=LIN.id
        )
