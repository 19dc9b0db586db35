"""What audit_money says of books in which nothing was broken."""

import uuid
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from backoffice.demo.data import seed
from balances.models import BalanceTransaction, UserBalance
from payments.services.orders import OrderCommand, order_create
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.audit.books import audit

pytestmark = pytest.mark.django_db


def test_it_is_silent_about_the_demo(db):
    seed()
    assert audit("--strict")[0] == 0


def test_unfinished_work_alone_fails_only_a_strict_audit(settings):
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("1.00")),
    )
    with clock.frozen(clock.now() + timedelta(hours=3)):
        assert audit()[0] == 0
        assert audit("--strict")[0] == 1


def test_an_unadopted_opening_is_a_notice_until_staff_adopt_it():
    user_id = uuid.uuid4()
    UserBalance.objects.create(user_id=user_id, balance=Decimal("100.00"))
    code, findings = audit("--strict")
    assert code == 0
    assert [(found["code"], found["kind"]) for found in findings] == [("L6", "notice")]
    call_command("adopt_opening_balances", "--reason", "对账无误", stdout=StringIO())
    assert audit("--strict") == (0, [])
    entry = BalanceTransaction.objects.get(user_id=user_id)
    assert (entry.related_type, entry.amount) == ("opening", Decimal("100.00"))
    adopted = AuditEvent.objects.get(object_type="balance", object_id=str(user_id))
    assert adopted.reason == "对账无误"


def test_a_row_whose_user_is_no_uuid_is_a_notice():
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO user_balances (id, user_id, balance)"
            " VALUES (%s, 'test-user-uuid', 100.00)",
            [str(uuid.uuid4())],
        )
    code, findings = audit("--strict")
    assert code == 0
    assert {found["object_id"] for found in findings} == {"test-user-uuid"}
