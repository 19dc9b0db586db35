"""Adjusting a balance by hand: one person asks, another executes, the ledger says why."""

import threading
import uuid
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, connections
from django.db.transaction import atomic

from balances.adjustments import adjustment_approve, adjustment_request
from balances.errors import (
    AdjustmentDecided,
    AdjustmentExists,
    InsufficientBalance,
    MovementRepeated,
    OwnAdjustment,
    OwnBalance,
)
from balances.invariants import check_adjustment_entries, check_adjustments
from balances.models import BalanceAdjustment, BalanceTransaction, Direction, UserBalance
from balances.services import (
    balance_freeze,
    balance_top_up,
    balance_unfreeze,
    opening_adopt,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.invariants import Scope
from tcmpay.common.money import format_money

pytestmark = pytest.mark.django_db
CLERK = Actor(uuid.UUID(int=1), Role.STAFF, "clerk")
REVIEWER = Actor(uuid.UUID(int=2), Role.STAFF, "reviewer")


@pytest.fixture
def user_id() -> uuid.UUID:
    user_id = uuid.uuid4()
    balance_top_up(user_id=user_id, amount=Decimal("50.00"), reason="开户", actor=SYSTEM)
    return user_id


def ask(user_id: uuid.UUID, direction: Direction, amount: str, actor: Actor = CLERK, **more):
    return adjustment_request(
        actor=actor,
        request_id=more.get("request_id", uuid.uuid4()),
        user_id=user_id,
        direction=direction,
        amount=Decimal(amount),
        reason="对账差额",
    )


def balance(user_id: uuid.UUID) -> str:
    return format_money(UserBalance.objects.get(user_id=user_id).balance)


def found() -> list[str]:
    scope = Scope()
    return [
        violation.code
        for check in (check_adjustments, check_adjustment_entries)
        for violation in check(scope)
    ]


@pytest.mark.parametrize(
    ("direction", "after"), [(Direction.CREDIT, "62.34"), (Direction.DEBIT, "37.66")]
)
def test_asked_for_it_moves_nothing_and_approved_it_moves_once(user_id, direction, after):
    adjustment = ask(user_id, direction, "12.34")
    assert balance(user_id) == "50.00"
    entry = adjustment_approve(actor=REVIEWER, adjustment_id=adjustment.id, notes="已核对")
    assert balance(user_id) == after
    assert (entry.related_type, entry.related_id) == ("adjustment", adjustment.id)
    with pytest.raises(AdjustmentDecided):
        adjustment_approve(actor=REVIEWER, adjustment_id=adjustment.id, notes="")
    assert balance(user_id) == after
    assert BalanceTransaction.objects.filter(related_id=adjustment.id).count() == 1
    told = AuditEvent.objects.filter(object_type="balance_adjustment").order_by("version")
    assert [(event.action, event.actor_id, event.reason) for event in told] == [
        ("adjustment_requested", CLERK.id, "对账差额"),
        ("adjustment_approved", REVIEWER.id, "已核对"),
    ]
    assert found() == []


def test_nobody_approves_their_own_nor_touches_their_own_balance(user_id):
    adjustment = ask(user_id, Direction.CREDIT, "1.00")
    with pytest.raises(OwnAdjustment):
        adjustment_approve(actor=CLERK, adjustment_id=adjustment.id, notes="")
    owner = Actor(user_id, Role.STAFF, "owner")
    with pytest.raises(OwnBalance):
        adjustment_approve(actor=owner, adjustment_id=adjustment.id, notes="")
    with pytest.raises(OwnBalance):
        ask(user_id, Direction.CREDIT, "1.00", actor=owner)
    assert balance(user_id) == "50.00"


@pytest.mark.parametrize("move", [balance_freeze, balance_unfreeze])
def test_nobody_freezes_or_releases_their_own_money(user_id, move):
    balance_freeze(user_id=user_id, amount=Decimal("5.00"), reason="核对", actor=CLERK)
    owner = Actor(user_id, Role.STAFF, "owner")
    with pytest.raises(OwnBalance):
        move(user_id=user_id, amount=Decimal("5.00"), reason="核对", actor=owner)
    assert balance(user_id) == "45.00"
    move(user_id=user_id, amount=Decimal("5.00"), reason="核对", actor=CLERK)


def test_nobody_accepts_their_own_opening_balance(user_id):
    owner = Actor(user_id, Role.STAFF, "owner")
    with pytest.raises(OwnBalance):
        opening_adopt(user_id=user_id, reason="旧系统", actor=owner)


@pytest.mark.parametrize("decider", [CLERK.id, "user"])
def test_the_database_too_wants_two_people(user_id, decider):
    adjustment = ask(user_id, Direction.CREDIT, "1.00")
    person = user_id if decider == "user" else decider
    with pytest.raises(IntegrityError), atomic():
        BalanceAdjustment.objects.filter(id=adjustment.id).update(
            status="approved", decided_by=person
        )


def test_a_debit_beyond_the_balance_goes_on_waiting(user_id):
    adjustment = ask(user_id, Direction.DEBIT, "50.01")
    with pytest.raises(InsufficientBalance):
        adjustment_approve(actor=REVIEWER, adjustment_id=adjustment.id, notes="")
    adjustment.refresh_from_db()
    assert (adjustment.status, balance(user_id)) == ("pending", "50.00")
    assert not BalanceTransaction.objects.filter(related_id=adjustment.id).exists()


def test_the_same_form_twice_does_one_thing(user_id):
    form_id = uuid.uuid4()
    ask(user_id, Direction.CREDIT, "1.00", request_id=form_id)
    with pytest.raises(AdjustmentExists):
        ask(user_id, Direction.CREDIT, "1.00", request_id=form_id)
    freeze = {"user_id": user_id, "amount": Decimal("5.00"), "reason": "核对", "actor": CLERK}
    balance_freeze(**freeze, fact_id=form_id)
    with pytest.raises(MovementRepeated):
        balance_freeze(**freeze, fact_id=form_id)
    assert balance(user_id) == "45.00"


BREAKS = {
    "executed without an entry": "UPDATE balance_adjustments SET status = 'approved',"
    " decided_by = '00000000-0000-0000-0000-000000000009'",
    "another amount than booked": "UPDATE balance_adjustments SET amount = amount + 1",
    "waiting though booked": "UPDATE balance_adjustments SET status = 'pending', decided_by = NULL",
    "gone though booked": "DELETE FROM balance_adjustments",
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_audit_finds(user_id, name):
    adjustment = ask(user_id, Direction.CREDIT, "1.00")
    if "without" not in name:
        adjustment_approve(actor=REVIEWER, adjustment_id=adjustment.id, notes="")
    assert found() == []
    with connection.cursor() as cursor:
        cursor.execute(BREAKS[name])
    assert "L7" in found()


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_move_the_money_once():
    user_id = uuid.uuid4()
    balance_top_up(user_id=user_id, amount=Decimal("50.00"), reason="开户", actor=SYSTEM)
    adjustment = ask(user_id, Direction.CREDIT, "10.00")
    start, answers = threading.Barrier(4), []

    def approve(number: int) -> None:
        try:
            start.wait()
            actor = Actor(uuid.UUID(int=100 + number), Role.STAFF)
            adjustment_approve(actor=actor, adjustment_id=adjustment.id, notes="")
            answers.append("moved")
        except AdjustmentDecided:
            answers.append("decided")
        finally:
            connections.close_all()

    if connection.vendor == "sqlite":
        pytest.skip("one in-memory database can't be shared by threads")
    threads = [threading.Thread(target=approve, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["decided", "decided", "decided", "moved"]
    assert balance(user_id) == "60.00"
