"""Lists are answered from bare columns: they say what the rows say, one by one and together."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet

from balances.answers import entries_page, entries_told
from balances.models import BalanceTransaction
from payments.answers import orders_list, orders_told
from payments.models import PaymentOrder
from refunds.answers import refunds_list, refunds_told
from refunds.models import Refund
from tcmpay.common.api import listing
from tcmpay.common.api.pages import Asked, Cursor, Page, Stretch
from tcmpay.common.api.presenters import present
from tcmpay.common.compiled import AnswersByKey
from tests.guards.conftest import Stage

IN_CAPITALS = "0192F0C1-7A3E-7ABC-8DEF-000000000001"
COMPUTED = {"refunded_amount", "refundable_amount", "version"}
LISTS = (orders_list, refunds_list)
told_by_model = pytest.mark.parametrize(
    ("model", "told"),
    [(PaymentOrder, orders_told), (Refund, refunds_told), (BalanceTransaction, entries_told)],
    ids=["orders", "refunds", "entries"],
)


@told_by_model
def test_an_answer_says_of_each_column_what_the_models_value_says(stage: Stage, model, told):
    """Also of what somebody wrote by SQL: ids that are none, capitals, moments of whole seconds."""
    odd = model.objects.order_by("created_at").first()
    changes = {"user_id": "test-user-uuid", "created_at": datetime(2026, 3, 1, 16, tzinfo=UTC)}
    if model is PaymentOrder:
        changes |= {"metadata": {"门诊": [1, 2.5, None, "x", 10**30]}}
    model.objects.filter(pk=odd.pk).update(**changes)
    if model is PaymentOrder:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payment_orders SET appointment_id = %s",
                ["0192F0C1-7A3E-7ABC-8DEF-000000000001"],
            )
    rows = list(model.objects.all())
    for row, answer in zip(rows, told([row.pk for row in rows]), strict=True):
        expected = {name: present(getattr(row, name)) for name in answer if name not in COMPUTED}
        assert {name: answer[name] for name in expected} == expected


@told_by_model
def test_one_is_told_as_it_is_among_others(stage: Stage, model, told):
    stage.another_order()
    keys = list(model.objects.values_list("pk", flat=True))
    assert told(keys) == [told.one(key) for key in keys]
    assert told(list(reversed(keys))) == list(reversed(told(keys)))


def test_what_is_not_there_is_left_out(stage: Stage):
    nobody = UUID(int=7)
    assert orders_told([nobody, stage.order.pk]) == [orders_told.one(stage.order.pk)]
    assert orders_told.one(nobody) is None
    assert orders_told([]) == []


def test_a_row_whose_id_is_in_capitals_is_listed(stage: Stage):
    order = stage.another_order()
    PaymentOrder.objects.filter(pk=order.pk).update(created_at=datetime(2030, 1, 1, tzinfo=UTC))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payment_orders SET id = %s WHERE id = %s", [IN_CAPITALS, str(order.pk)]
        )
    page = orders_list.take({}, Asked(1, 1, None))
    assert [row["id"] for row in page.rows] == [IN_CAPITALS.lower()]


def pages(size: int) -> list[Page]:
    taken, number = [], 1
    while True:
        page = orders_list.take({}, Asked(number, size, None))
        assert isinstance(page, Page)
        taken.append(page)
        if page.page * size >= page.total:
            return taken
        number += 1


def test_a_total_is_exact_up_to_its_bound_and_leads_to_the_end_beyond(stage: Stage, monkeypatch):
    for _order in range(6):
        stage.another_order()
    assert {page.total for page in pages(2)} == {7}
    monkeypatch.setattr(listing, "TOTAL_EXACT_MAX", 3)
    taken = pages(2)
    assert [page.total for page in taken] == [3, 5, 7, 7]
    seen = [row["id"] for page in taken for row in page.rows]
    assert sorted(seen) == sorted(map(str, PaymentOrder.objects.values_list("pk", flat=True)))


def test_a_cursor_goes_on_after_rows_of_the_same_moment(stage: Stage):
    for _order in range(4):
        stage.another_order()
    PaymentOrder.objects.update(created_at=datetime(2026, 3, 1, 16, tzinfo=UTC))
    seen: list[str] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        stretch = orders_list.take({}, Asked(1, 2, cursor))
        assert isinstance(stretch, Stretch)
        seen += [row["id"] for row in stretch.rows]
        cursor = stretch.next_cursor
    newest_first = PaymentOrder.objects.order_by("-id").values_list("pk", flat=True)
    assert seen == [str(key) for key in newest_first]


def test_every_page_of_a_ledger_is_a_stretch_of_its_numbers(stage: Stage):
    for _more in range(3):
        stage.another_order()
    owner = stage.owner.id
    assert owner is not None
    everything = entries_page(owner, page=1, page_size=100)
    assert everything.total == len(everything.rows) == 2
    one_by_one = [entries_page(owner, page=number, page_size=1) for number in (1, 2, 3)]
    assert [row for page in one_by_one for row in page.rows] == everything.rows
    assert {page.total for page in one_by_one} == {2}


EXAMPLES: dict[str, Any] = {
    "user_id": UUID(int=1),
    "order_id": UUID(int=1),
    "status": ["pending"],
    "order_type": "other",
    "payment_method": "wechat",
    "appointment_id": UUID(int=1),
    "order_no": "ORD1",
    "ids": [UUID(int=1), UUID(int=2)],
    "updated_since": datetime(2026, 3, 1, 16, tzinfo=UTC),
    "start_date": datetime(2026, 3, 1, 16, tzinfo=UTC),
    "end_date": datetime(2026, 3, 1, 16, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("rows", "name"),
    [(rows, name) for rows in LISTS for name in ["", *rows._filters]],
)
def test_every_filter_has_its_index(db, rows, name):
    given = {name: EXAMPLES[name]} if name else {}
    condition, values = rows._where(given)
    table = rows._model._meta.db_table
    sql = f"SELECT id FROM {table} WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 21"
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", values)
        names = [column[0] for column in cursor.description]
        plan = [dict(zip(names, step, strict=True)) for step in cursor.fetchall()]
    if connection.vendor == "sqlite":
        assert "INDEX" in plan[0]["detail"], plan
    else:
        # Without a table: it was looked for by a unique key, and is not there.
        assert plan[0]["key"] is not None or plan[0]["table"] is None, plan


def test_the_rows_of_an_answer_are_described_once_for_a_size_of_page(stage: Stage):
    described: list[int] = []

    def rows() -> QuerySet[PaymentOrder]:
        described.append(1)
        return PaymentOrder.objects.all()

    told = AnswersByKey(rows, ["id", "created_at", "payment_time", "expire_time"])
    assert told.one(stage.order.pk) == told.one(stage.order.pk)
    assert len(described) == 1, "each is milliseconds of building a query"
