"""A user's account and its ledger over the API; balances put in by SQL (CONTRACT 4 and 7)."""

import uuid
from decimal import Decimal

import pytest
from django.db import connection

from balances.models import BalanceTransaction, UserBalance
from tests.api.kit import NOW, nothing_moves, run_sql

ACCOUNT_FIELDS = {
    *("id", "user_id", "balance", "frozen_balance", "total_income", "total_expense"),
    *("created_at", "updated_at"),
}
ENTRY_FIELDS = {
    *("id", "user_id", "transaction_type", "amount", "balance_before", "balance_after"),
    *("related_type", "related_id", "description", "created_at"),
}


def insert_as_documented(statement: str, user_id: str) -> None:
    """Run the guide's INSERT as it is printed; SQLite has no UUID(), so there a literal."""
    statement = statement.replace("{user}", user_id)
    if connection.vendor == "sqlite":
        statement = statement.replace("UUID()", f"'{uuid.uuid4()}'")
    run_sql(statement)


GUIDE_TESTING = """
INSERT INTO user_balances (id, user_id, balance)
VALUES (UUID(), '{user}', 100.00);
"""
GUIDE_SETUP = """
INSERT INTO user_balances (id, user_id, balance, frozen_balance, total_income, total_expense)
VALUES (UUID(), '{user}', 0, 0, 0, 0);
"""


# --- the account ------------------------------------------------------------------------------


def test_an_account_is_created_at_first_access(api, patient):
    answer = api.get(f"balance/{patient.name}", by=patient)
    account = answer.accepted()
    assert answer.message == "获取余额成功"
    assert set(account) >= ACCOUNT_FIELDS
    expected = {
        "user_id": patient.name,
        "balance": "0.00",
        "frozen_balance": "0.00",
        "total_income": "0.00",
        "total_expense": "0.00",
        "created_at": "2026-11-24T02:00:00.000000Z",
    }
    assert {name: account[name] for name in expected} == expected
    assert api.get(f"balance/{patient.name}", by=patient).accepted() == account
    assert UserBalance.objects.filter(user_id=patient.id).count() == 1


def test_an_administrators_look_creates_it_too(api, patient, admin):
    account = api.get(f"balance/{patient.name}", by=admin).accepted()
    assert (account["user_id"], account["balance"]) == (patient.name, "0.00")
    assert not UserBalance.objects.filter(user_id=admin.id).exists()


def test_an_id_in_capitals_is_the_same_account(api, rich_patient):
    account = api.get(f"balance/{rich_patient.name.upper()}", by=rich_patient).accepted()
    assert account["balance"] == "100.00"


# --- its entries ------------------------------------------------------------------------------


def test_entries_are_newest_first_and_each_starts_where_the_one_before_ended(
    api, story, clock, rich_patient, admin
):
    order = story.paid_from_balance(rich_patient, "30.00")
    clock.advance(seconds=1)
    story.review(story.refund(order, rich_patient, "10.00"), admin)
    answer = api.get(f"balance/{rich_patient.name}/transactions", by=rich_patient)
    entries = answer.accepted()
    assert answer.message == "获取余额变动记录成功"
    assert all(set(entry) >= ENTRY_FIELDS for entry in entries)
    shown = ("transaction_type", "amount", "balance_before", "balance_after", "related_type")
    assert [[entry[name] for name in shown] for entry in entries] == [
        ["income", "10.00", "70.00", "80.00", "refund"],
        ["expense", "30.00", "100.00", "70.00", "order"],
        ["income", "100.00", "0.00", "100.00", "topup"],
    ]


def links(answer) -> dict[str, str]:
    found = {}
    for part in filter(None, answer.headers["Link"].split(", ")):
        target, rel = part.split("; ")
        found[rel.removeprefix('rel="').removesuffix('"')] = target.strip("<>")
    return found


def test_totals_and_neighbours_stand_in_the_headers(api, story, patient):
    for amount in ("1.00", "2.00", "3.00", "4.00", "5.00"):
        story.fund(patient, amount)
    path = f"balance/{patient.name}/transactions"
    seen = []
    answer = api.get(f"{path}?page=1&page_size=2", by=patient)
    assert set(links(answer)) == {"first", "next", "last"}
    while True:
        assert answer.headers["X-Total-Count"] == "5"
        seen += [entry["amount"] for entry in answer.accepted()]
        if "next" not in links(answer):
            break
        answer = api.get(links(answer)["next"], by=patient)
    assert seen == ["5.00", "4.00", "3.00", "2.00", "1.00"]
    assert set(links(answer)) == {"first", "prev", "last"}
    last = api.get(links(answer)["last"], by=patient)
    assert [entry["amount"] for entry in last.accepted()] == ["1.00"]
    assert api.get(links(answer)["first"], by=patient).data[0]["amount"] == "5.00"


def test_nobodys_entries_are_an_empty_list(api, patient):
    answer = api.get(f"balance/{patient.name}/transactions", by=patient)
    assert answer.accepted() == []
    assert answer.headers["X-Total-Count"] == "0"


# --- put in by SQL ----------------------------------------------------------------------------


def test_the_guides_insert_works_as_printed_and_is_read(api, story, patient):
    insert_as_documented(GUIDE_TESTING, patient.name)
    account = story.balance(patient)
    assert account["balance"] == "100.00"
    assert [account[name] for name in ("frozen_balance", "total_income", "total_expense")] == [
        "0.00",
        "0.00",
        "0.00",
    ]
    uuid.UUID(account["id"])
    assert account["created_at"].endswith("Z")
    assert story.entries(patient) == []


def test_the_guides_other_insert_is_the_account_that_we_would_have_made(api, story, patient):
    insert_as_documented(GUIDE_SETUP, patient.name)
    assert story.balance(patient)["balance"] == "0.00"
    story.fund(patient, "5.00")
    assert [entry["amount"] for entry in story.entries(patient)] == ["5.00"]


def test_its_first_movement_writes_the_opening_entry_too(story, patient):
    insert_as_documented(GUIDE_TESTING, patient.name)
    order = story.paid_from_balance(patient, "30.00")
    entries = story.entries(patient)
    shown = ("transaction_type", "amount", "balance_before", "balance_after", "related_type")
    assert [[entry[name] for name in shown] for entry in entries] == [
        ["expense", "30.00", "100.00", "70.00", "order"],
        ["income", "100.00", "0.00", "100.00", "opening"],
    ]
    assert entries[0]["related_id"] == order["id"]
    account = story.balance(patient)
    assert [account[name] for name in ("balance", "total_income", "total_expense")] == [
        "70.00",
        "100.00",
        "30.00",
    ]


def test_a_refused_first_movement_writes_no_opening_entry(api, story, patient):
    insert_as_documented(GUIDE_TESTING, patient.name)
    order = story.order(patient, "100.01")
    with nothing_moves():
        body = {"order_id": order["id"], "payment_method": "balance"}
        api.post("pay", body, by=patient).refused(400, "INSUFFICIENT_BALANCE")


def test_totals_that_explain_more_or_less_than_the_balance_are_completed(story, patient):
    run_sql(
        "INSERT INTO user_balances (id, user_id, balance, frozen_balance, total_income)"
        " VALUES (%s, %s, 100.00, 20.00, 500.00)",
        str(uuid.uuid4()),
        patient.name,
    )
    story.paid_from_balance(patient, "30.00")
    account = story.balance(patient)
    income, expense = Decimal(account["total_income"]), Decimal(account["total_expense"])
    assert (account["balance"], account["frozen_balance"]) == ("70.00", "20.00")
    assert income - expense == Decimal("90.00")


def test_the_guides_test_user_breaks_no_page_and_no_other_user(api, story, rich_patient, admin):
    insert_as_documented(GUIDE_TESTING, "test-user-uuid")
    run_sql("INSERT INTO user_balances (id, user_id, balance) VALUES ('x', 'y', 1.00)")
    story.paid_from_balance(rich_patient)
    assert story.balance(rich_patient)["balance"] == "70.00"
    api.get("balance/test-user-uuid", by=admin).refused(404, "NOT_FOUND")
    api.get("statistics", by=admin).accepted()


def test_rows_about_users_without_a_uuid_are_listed_as_they_are(api, story, patient, admin):
    story.order(patient)
    run_sql(
        "INSERT INTO payment_orders (id, order_no, user_id, order_type, amount, expire_time)"
        " VALUES ('order-1', 'ORD1', 'test-user-uuid', 'other', 1.00, %s)",
        NOW.replace(tzinfo=None),
    )
    listed = api.get("orders", by=admin).accepted()
    assert listed["total"] == 2
    assert {order["user_id"] for order in listed["orders"]} == {patient.name, "test-user-uuid"}
    assert api.get("orders", by=patient).data["total"] == 1


# --- the bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE user_balances SET balance = balance + 1 WHERE user_id = %s",
        "UPDATE user_balances SET balance = balance - 1 WHERE user_id = %s",
        "UPDATE user_balances SET frozen_balance = frozen_balance + 1 WHERE user_id = %s",
        "UPDATE user_balances SET total_income = total_income + 1 WHERE user_id = %s",
        "UPDATE user_balances SET sequence = sequence + 1 WHERE user_id = %s",
        "UPDATE user_balances SET sequence = 0 WHERE user_id = %s",
        "UPDATE user_balances SET sequence = 0, balance = 0, frozen_balance = 0,"
        " total_income = 0, total_expense = 0 WHERE user_id = %s",
        "DELETE FROM user_balances WHERE user_id = %s",
        "DELETE FROM balance_transactions WHERE user_id = %s AND sequence = 2",
        "UPDATE balance_transactions SET balance_after = 1 WHERE user_id = %s AND sequence = 2",
    ],
)
def test_where_the_ledger_does_not_end_at_the_balance_no_money_moves(
    api, story, rich_patient, other_patient, admin, tampering
):
    paid = story.paid_from_balance(rich_patient, "10.00")
    order = story.order(rich_patient, "10.00")
    refund = story.refund(paid, rich_patient, "10.00")
    run_sql(tampering, rich_patient.name)
    with nothing_moves():
        body = {"order_id": order["id"], "payment_method": "balance"}
        api.post("pay", body, by=rich_patient).refused(409, "BALANCE_UNDER_REVIEW")
        path, yes = f"admin/refunds/{refund['id']}/review", {"approved": True}
        api.put(path, yes, by=admin).refused(409, "BALANCE_UNDER_REVIEW")
    assert story.refund_now(refund, rich_patient)["status"] == "pending"
    # Everybody else goes on, and so does reading.
    story.balance(rich_patient)
    story.fund(other_patient, "30.00")
    story.paid_from_balance(other_patient)


def test_an_account_may_hold_99999999_99(story, patient):
    story.fund(patient, "99999999.99")
    assert story.balance(patient)["balance"] == "99999999.99"


def test_each_movement_is_one_entry(story, rich_patient, admin):
    order = story.paid_from_balance(rich_patient, "30.00")
    for _ in range(3):
        story.review(story.refund(order, rich_patient, "10.00"), admin)
    numbers = BalanceTransaction.objects.filter(user_id=rich_patient.id).values_list("sequence")
    assert sorted(number for (number,) in numbers) == [1, 2, 3, 4, 5]
