"""An order is paid from the balance at the first try, unless a gateway may still take money."""

from decimal import Decimal
from unittest.mock import patch

import pytest

from balances.models import BalanceTransaction
from balances.services import balance_freeze, balance_top_up
from payments.services.attempts import PayCommand, pay
from payments.services.balance_payment import AttemptsPending, BalancePayment, debit_and_apply
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM
from tests.clinic import new_order, patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(settings):
    settings.ORDER_PRICE_POLICY = "open"
    settings.MOCK_CALLBACKS = True
    owner = patient()
    balance_top_up(user_id=owner.id, amount=Decimal("100.00"), reason="开户", actor=SYSTEM)
    return BalancePayment(owner, new_order(owner).id, None)


def test_alone_it_is_paid(asked):
    with patch("payments.services.balance_payment.others_owe_close") as closing:
        assert debit_and_apply(asked, is_alone=True).status == "paid"
    assert not closing.called


def test_beside_an_open_attempt_nothing_is_written(asked):
    pay(actor=asked.actor, command=PayCommand(order_id=asked.order_id, payment_method="wechat"))
    with pytest.raises(AttemptsPending):
        debit_and_apply(asked, is_alone=True)
    assert debit_and_apply(asked, is_alone=False).status == "paid"


def test_what_moves_a_balance_by_hand_stands_in_its_trail(asked):
    balance_freeze(user_id=asked.actor.id, amount=Decimal("7.00"), reason="核对", actor=SYSTEM)
    [told] = AuditEvent.objects.filter(object_id=str(asked.actor.id), action="balance_freeze")
    entry = BalanceTransaction.objects.get(user_id=asked.actor.id, transaction_type="freeze")
    assert (told.reason, told.details) == ("核对", {"amount": "7.00", "entry": str(entry.id)})
