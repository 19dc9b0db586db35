"""Migrations that fill a column of large tables do it a bounded number of rows at a time."""

import uuid
from datetime import timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PaymentOrder
from tcmpay.common import backfill, clock

migration = import_module("payments.migrations.0016_booked_at_of_existing_rows")

pytestmark = pytest.mark.django_db


def test_every_paid_order_gets_its_moment_in_batches(monkeypatch):
    monkeypatch.setattr(backfill, "BATCH", 2)
    paid_at = clock.now() - timedelta(days=1)
    for number in range(7):
        PaymentOrder.objects.create(
            user_id=uuid.uuid4(),
            order_no=f"ORD{number}",
            order_type="other",
            amount=Decimal("1.00"),
            expire_time=clock.now(),
            **(
                {"payment_time": paid_at, "status": "paid", "payment_method": "balance"}
                if number < 5
                else {}
            ),
        )
    PaymentOrder.objects.filter(order_no="ORD0").update(booked_at=clock.now())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        migration.copy_times(apps, None)
    filled = PaymentOrder.objects.filter(booked_at=paid_at).values_list("order_no", flat=True)
    assert sorted(filled) == ["ORD1", "ORD2", "ORD3", "ORD4"]
    assert PaymentOrder.objects.filter(booked_at=None).count() == 2
    assert sum("UPDATE" in query["sql"] for query in queries) == 2


def test_it_may_stop_between_two_batches():
    assert migration.Migration.atomic is False
