"""The statements of hot paths say what the ORM's would, and there are few of them."""

from typing import Any

import pytest
from django.db import connection, models
from django.db.models import Q
from django.db.models.expressions import DatabaseDefault
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from balances.models import BalanceTransaction, UserBalance
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.states import OrderStatus, PaymentMethod
from refunds.models import Refund
from tcmpay.audit.models import AuditEvent
from tcmpay.common.ids import new_id
from tcmpay.common.statements import _fields, _stored, insert, lock, new_row, update
from tests.guards.conftest import Stage

MODELS = (
    PaymentOrder,
    PaymentTransaction,
    Refund,
    UserBalance,
    BalanceTransaction,
    AuditEvent,
)
BALANCE_PAYMENT_STATEMENTS = 8
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def facts(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def some_row(model: type[models.Model]) -> models.Model:
    row = model._default_manager.first()
    assert row is not None
    return row


@each_model
def test_a_locked_row_is_the_one_that_the_orm_reads(stage: Stage, model):
    row = some_row(model)
    locked = lock(model, pk=row.pk)
    assert locked is not None
    assert facts(locked) == facts(row)
    assert not locked._state.adding


@each_model
def test_what_is_written_reads_as_before(stage: Stage, model):
    row = some_row(model)
    everything = facts(row)
    key = everything.pop("id")
    assert update(model, {"id": key}, everything) == 1
    assert facts(some_row(model)) == facts(row)


@each_model
def test_what_is_inserted_reads_as_before(stage: Stage, model):
    rows = list(model._default_manager.order_by("pk"))
    if model is PaymentOrder:  # what hangs on it can't stay without it
        Refund.objects.all().delete()
        PaymentTransaction.objects.all().delete()
    if model is PaymentTransaction:
        Refund.objects.all().delete()
    model._default_manager.filter(~Q(pk=None)).delete()
    insert(*rows)
    assert [facts(row) for row in model._default_manager.order_by("pk")] == [
        facts(row) for row in rows
    ]


@each_model
def test_a_value_is_sent_as_its_field_sends_it(stage: Stage, model):
    """Of every type that has a short way, and of choices."""
    row = some_row(model)
    for one in _fields(model):
        value = getattr(row, one.name)
        for given in (value, *choices_of(one.field)):
            expected = one.field.get_db_prep_save(given, connection)
            assert str(_stored(one, given)) == str(expected), one.name
            assert (_stored(one, given) is None) == (expected is None)


def choices_of(field: Any) -> list[Any]:
    return list(PaymentMethod) + list(OrderStatus) if field.choices else []


@each_model
def test_a_new_row_has_what_the_models_own_has(stage: Stage, model):
    left_to_chance = {"id"}
    made, usual = new_row(model), model()
    for field in model._meta.concrete_fields:
        if field.attname in left_to_chance:
            continue
        one, other = getattr(made, field.attname), getattr(usual, field.attname)
        assert (type(one), str(one)) == (type(other), str(other)) or isinstance(
            other, DatabaseDefault
        )
    assert made._state.adding
    assert new_row(model, id="x").pk == "x"
    some = facts(some_row(model))
    assert facts(new_row(model, **some)) == some


def test_two_new_rows_share_nothing():
    one, other = new_row(AuditEvent), new_row(AuditEvent)
    one.details["a"] = 1
    assert other.details == {}


def test_nothing_is_locked_outside_of_a_transaction():
    with pytest.raises(TransactionManagementError):
        lock(UserBalance, user_id=new_id())


def test_a_row_without_a_value_is_refused():
    with pytest.raises(ValueError, match="created_at"):
        insert(UserBalance(user_id="01890000-0000-7000-8000-000000000001"))


def test_what_equals_nothing_is_not_found(stage: Stage):
    assert lock(UserBalance, user_id=stage.order.id) is None
    assert update(PaymentOrder, {"id": stage.order.id, "status": "expired"}, {"amount": 1}) == 0


def test_a_payment_from_the_balance_takes_eight_statements(stage: Stage):
    order = stage.another_order()
    with CaptureQueriesContext(connection) as asked:
        pay(actor=stage.owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    moving = [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]
    assert len(moving) <= BALANCE_PAYMENT_STATEMENTS, "\n".join(moving)
    # Locked last, so that a busy user's payments wait for each other as shortly as possible.
    locked = [place for place, sql in enumerate(moving) if "FROM `user_balances`" in sql]
    if connection.features.has_select_for_update:
        assert locked == [5]
