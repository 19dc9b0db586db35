"""What the ledger says of a day, how often it moves one thing, and what the command prints."""

import io
import json
import uuid
from decimal import Decimal

import pytest
from django.core.management import call_command

from balances.models import BalanceTransaction, RelatedType
from balances.selectors import ledger_moves
from balances.services import Related, balance_hold, balance_release, balance_top_up
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

pytestmark = pytest.mark.django_db


def user_with(amount: str) -> uuid.UUID:
    user_id = uuid.uuid4()
    balance_top_up(user_id=user_id, amount=Decimal(amount), reason="开户", actor=SYSTEM)
    return user_id


@pytest.mark.parametrize(("kind", "moved"), [("income", "7.00"), ("expense", "-7.00")])
def test_what_has_no_name_of_its_own_was_got_or_paid(kind, moved):
    user_with("7.00")
    # Nothing of ours writes such an entry.
    BalanceTransaction.objects.update(related_type="opening", transaction_type=kind)
    today = clock.today()
    assert ledger_moves(today, today)[today].other == Decimal(moved)


@pytest.mark.parametrize("is_json", [False, True])
def test_the_command_prints_the_account(is_json):
    user_id, printed = str(uuid.uuid4()), io.StringIO()
    call_command("create_balance", user=user_id, json=is_json, stdout=printed)
    said = printed.getvalue().strip()
    if is_json:
        assert json.loads(said) == {"user_id": user_id, "balance": "0.00"}
    else:
        assert said == f"{user_id} 0.00"


def test_what_one_fact_holds_again_and_again_is_counted_from_one():
    user_id, fact = user_with("7.00"), Related(RelatedType.REFUND, uuid.uuid4())
    for _time in range(2):
        for move in (balance_hold, balance_release):
            money_unit(move)(
                user_id=user_id, amount=Decimal("3.00"), related=fact, description="", actor=SYSTEM
            )
    moves = BalanceTransaction.objects.filter(related_id=fact.id).order_by("sequence")
    assert list(moves.values_list("transaction_type", "occasion")) == [
        ("freeze", 1),
        ("unfreeze", 1),
        ("freeze", 2),
        ("unfreeze", 2),
    ]
