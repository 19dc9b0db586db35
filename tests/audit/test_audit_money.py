"""audit_money finds each broken invariant: broken here by SQL, one at a time, and named."""

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db.transaction import atomic

from backoffice.ops.audit import CHECKS
from balances.models import BalanceTransaction
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.invariants import Violation
from tests.audit.books import audit, sql, unchecked

pytestmark = pytest.mark.django_db


def test_it_is_silent_about_sound_books(world):
    code, findings = audit("--strict")
    assert (code, findings) == (0, [])


BREAKS = {
    "the balance is higher than its ledger": (
        "L1",
        "UPDATE user_balances SET balance = balance + 1, total_income = total_income + 1"
        " WHERE user_id = %s",
        "user_id",
    ),
    "the totals don't explain what is held": (
        "L1",
        "UPDATE user_balances SET total_income = total_income + 1 WHERE user_id = %s",
        "user_id",
    ),
    "the frozen balance differs from its ledger": (
        "L1",
        "UPDATE user_balances SET frozen_balance = 6, total_expense = total_expense + 1"
        " WHERE user_id = %s",
        "user_id",
    ),
    "a balance is negative": (
        "L2",
        "UPDATE user_balances SET balance = -1 WHERE user_id = %s",
        "user_id",
    ),
    "an entry is missing": (
        "L3",
        "DELETE FROM balance_transactions WHERE user_id = %s AND sequence = 2",
        "user_id",
    ),
    "the newest entry is missing": (
        "L3",
        "DELETE FROM balance_transactions WHERE user_id = %s AND sequence = 4",
        "user_id",
    ),
    "an account without its ledger": (
        "L3",
        "DELETE FROM balance_transactions WHERE user_id = %s",
        "user_id",
    ),
    "a ledger without its account": (
        "L3",
        "DELETE FROM user_balances WHERE user_id = %s",
        "user_id",
    ),
    "an entry begins elsewhere": (
        "L3",
        "UPDATE balance_transactions SET balance_before = 1 WHERE user_id = %s AND sequence = 3",
        "user_id",
    ),
    "an entry's amount was changed": (
        "L1",
        "UPDATE balance_transactions SET amount = 31 WHERE user_id = %s AND sequence = 3",
        "user_id",
    ),
    "an entry's description was changed": (
        "L5",
        "UPDATE balance_transactions SET description = 'x' WHERE user_id = %s AND sequence = 3",
        "user_id",
    ),
    "an entry's related fact was changed": (
        "L5",
        "UPDATE balance_transactions SET related_type = 'topup' WHERE user_id = %s"
        " AND sequence = 3",
        "user_id",
    ),
    "a paid order without applied payment": (
        "O1",
        "UPDATE payment_transactions SET applied_order_id = NULL WHERE applied_order_id = %s",
        "by_balance",
    ),
    "an unpaid order with applied payment": (
        "O1",
        "UPDATE payment_orders SET status = 'pending' WHERE id = %s",
        "by_wechat",
    ),
    "the applied amount is not the order's": (
        "O2",
        "UPDATE payment_transactions SET amount = 31 WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "the order names another method": (
        "O2",
        "UPDATE payment_orders SET payment_method = 'alipay' WHERE id = %s",
        "by_wechat",
    ),
    "an order's amount was changed": (
        "O3",
        "UPDATE payment_orders SET amount = 29 WHERE id = %s",
        "by_wechat",
    ),
    "an order's number was changed": (
        "O3",
        "UPDATE payment_orders SET order_no = 'ORD1' WHERE id = %s",
        "by_wechat",
    ),
    "refunds hold more than the payment says": (
        "R1",
        "UPDATE payment_transactions SET refund_reserved = 0 WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "refunds exceed the payment": (
        "R1",
        "UPDATE refund_records SET refund_amount = 31 WHERE id = %s",
        "open_refund",
    ),
    "the order's state ignores its refunds": (
        "R2",
        "UPDATE payment_orders SET status = 'paid' WHERE id = %s",
        "by_balance",
    ),
    "a finished refund without its transaction": (
        "R3",
        "DELETE FROM payment_transactions WHERE refund_id = %s",
        "refund",
    ),
    "a finished refund whose transaction failed": (
        "R3",
        "UPDATE payment_transactions SET status = 'failed' WHERE refund_id = %s",
        "refund",
    ),
    "a refund to somebody else": (
        "R3",
        "UPDATE refund_records SET user_id = '0192f0c1-0000-7000-8000-000000000999' WHERE id = %s",
        "open_refund",
    ),
    "a refund's amount was changed": (
        "R4",
        "UPDATE refund_records SET refund_amount = 4 WHERE id = %s",
        "open_refund",
    ),
    "a refund that nobody approved": (
        "R5",
        "DELETE FROM refund_approvals WHERE refund_id = %s",
        "refund",
    ),
    "a refund approved by its payee": (
        "R5",
        "UPDATE refund_approvals SET reviewer_id ="
        " (SELECT user_id FROM refund_records WHERE id = refund_id) WHERE refund_id = %s",
        "refund",
    ),
    "a payment that became of nothing": (
        "E1",
        "UPDATE payment_transactions SET disposition = '' WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "an order's state that the trail doesn't know": (
        "E2",
        "UPDATE payment_orders SET status = 'partial_refunded' WHERE id = %s",
        "by_wechat",
    ),
    "a refund's state that the trail doesn't know": (
        "E2",
        "UPDATE refund_records SET status = 'processing' WHERE id = %s",
        "open_refund",
    ),
    "an order without a trail": (
        "E2",
        "DELETE FROM audit_events WHERE object_type = 'order' AND object_id = %s",
        "by_wechat",
    ),
    "a gap in an object's trail": (
        "E2",
        "DELETE FROM audit_events WHERE object_type = 'order' AND version = 1 AND object_id = %s",
        "by_wechat",
    ),
    "an entry of a type that there is not": (
        "L1",
        "UPDATE balance_transactions SET transaction_type = 'gift' WHERE user_id = %s"
        " AND sequence = 2",
        "user_id",
    ),
    "an opening in the middle of a ledger": (
        "L6",
        "UPDATE balance_transactions SET related_type = 'opening' WHERE user_id = %s"
        " AND sequence = 3",
        "user_id",
    ),
    "an adopted opening that nobody adopted": (
        "L6",
        "UPDATE user_balances SET opening_adopted_at = created_at WHERE user_id = %s",
        "user_id",
    ),
    "both totals are higher than the ledger's": (
        "L1",
        "UPDATE user_balances SET total_income = total_income + 1,"
        " total_expense = total_expense + 1 WHERE user_id = %s",
        "user_id",
    ),
    "an order paid from the balance without a debit": (
        "L4",
        "UPDATE balance_transactions SET related_id = id WHERE related_type = 'order'"
        " AND related_id = %s",
        "by_balance",
    ),
    "an order's owner was changed": (
        "O3",
        "UPDATE payment_orders SET user_id = id WHERE id = %s",
        "by_wechat",
    ),
    "an order's expiry was changed": (
        "O3",
        "UPDATE payment_orders SET expire_time = created_at WHERE id = %s",
        "by_wechat",
    ),
    "a refund of a payment that failed": (
        "R1",
        "UPDATE payment_transactions SET status = 'failed' WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "a refund's number was changed": (
        "R4",
        "UPDATE refund_records SET refund_no = 'RFD1' WHERE id = %s",
        "open_refund",
    ),
    "a refund's gateway number grew without a CLOSED": (
        "R4",
        "UPDATE refund_records SET number_generation = 2 WHERE id = %s",
        "open_refund",
    ),
    "money given back for a refund that is not done": (
        "R3",
        "UPDATE refund_records SET status = 'processing' WHERE id = %s",
        "refund",
    ),
    "a credit of a refund that there is not": (
        "R3",
        "UPDATE balance_transactions SET related_id = id WHERE related_type = 'refund'"
        " AND related_id = %s",
        "refund",
    ),
    "a success that was reported and not booked": (
        "E1",
        "UPDATE payment_callbacks SET transaction_id = NULL WHERE id = %s",
        "callback",
    ),
    "a success booked with another amount than reported": (
        "E1",
        "UPDATE payment_callbacks SET amount = 29 WHERE id = %s",
        "callback",
    ),
    "a message that claims to be no mock's": (
        "E9",
        "UPDATE payment_callbacks SET is_mock = 0 WHERE id = %s",
        "callback",
    ),
    "a payment under another number than its trade's": (
        "E9",
        "UPDATE payment_transactions SET external_transaction_id = 'T9'"
        " WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "the headers of a message were changed": (
        "E9",
        "UPDATE payment_callback_bodies SET headers = '[]' WHERE callback_id = %s",
        "callback",
    ),
    "a verdict that its payment contradicts": (
        "E1",
        "UPDATE payment_callbacks SET verdict = 'late' WHERE id = %s",
        "callback",
    ),
    "a message held for staff that has no case": (
        "E1",
        "UPDATE payment_callbacks SET verdict = 'wrong_amount' WHERE id = %s",
        "callback",
    ),
    "a forgery that is bound to a payment": (
        "E1",
        "UPDATE payment_callbacks SET verdict = 'untrusted' WHERE id = %s",
        "callback",
    ),
    "a close owed by a payment that is over": (
        "E3",
        "UPDATE payment_transactions SET is_close_owed = 1 WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "late money that nobody gives back": (
        "E3",
        "UPDATE payment_transactions SET disposition = 'late', applied_order_id = NULL"
        " WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "a dead refund that nobody was told of": (
        "E3",
        "UPDATE refund_records SET status = 'failed' WHERE id = %s",
        "open_refund",
    ),
    "one key with two effects": (
        "E4",
        "UPDATE payment_transactions SET idempotency_key_id = %s WHERE payment_method = 'balance'"
        " AND transaction_type = 'payment'",
        "key",
    ),
    "an answered order that is not there": (
        "E7",
        "UPDATE payment_orders SET idempotency_key_id = NULL WHERE idempotency_key_id = %s",
        "key",
    ),
    "a gateway payment without its configuration": (
        "E6",
        "UPDATE payment_transactions SET is_mock = 0 WHERE applied_order_id = %s",
        "by_wechat",
    ),
    "an audit row was changed": (
        "E2",
        "UPDATE audit_events SET actor_name = 'x' WHERE object_type = 'order' AND version = 2"
        " AND object_id = %s",
        "by_wechat",
    ),
}


# What is said of each break, word for word but for ids, numbers and moments of that day.
# Written anew by FINDINGS=write, to be read as a difference.
TOLD_FILE = Path(__file__).with_name("told.json")
OF_THE_DAY = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<=[A-Z]{3})\d{14}[A-Z0-9]{10}"
    r"|\d{4}-\d\d-\d\dT[\d:.+]+"
)


def told_of(findings: list[dict[str, str]]) -> list[str]:
    return sorted(
        "{code} {kind} {object_type} {message}".format(**finding | {"message": message})
        for finding in findings
        for message in [OF_THE_DAY.sub("…", finding["message"])]
    )


@pytest.mark.parametrize("name", BREAKS)
def test_it_names_each_break(world, name):
    code, statement, target = BREAKS[name]
    row = getattr(world, target)
    with unchecked(), connection.constraint_checks_disabled():
        sql(statement, getattr(row, "id", row))
        exit_code, findings = audit()
    assert exit_code == 1
    assert code in {finding["code"] for finding in findings if finding["kind"] == "violation"}
    kept = json.loads(TOLD_FILE.read_text("utf-8"))
    if os.environ.get("FINDINGS") == "write":
        kept = {each: kept[each] for each in BREAKS if each in kept} | {name: told_of(findings)}
        TOLD_FILE.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
    assert told_of(findings) == kept[name]


ROWS = {
    "an entry's description was changed": ("balance_transactions", "3"),
    "an audit row was changed": ("audit_events", "2"),
}


@pytest.mark.parametrize("name", ROWS)
def test_it_names_the_first_broken_row_of_a_chain(world, name):
    """Table, sequence or version, and id."""
    code, statement, target = BREAKS[name]
    table, number = ROWS[name]
    row = getattr(world, target)
    sql(statement, getattr(row, "id", row))
    if table == "audit_events":
        broken = AuditEvent.objects.get(object_id=str(row.id), version=number).id
    else:
        broken = BalanceTransaction.objects.get(user_id=row, sequence=number).id
    (found,) = [finding for finding in audit()[1] if finding["code"] == code]
    assert all(part in found["message"] for part in (table, number, str(broken)))


def test_every_invariant_has_a_break():
    """MONEY's list without E5 (below) and E8 (the gateways' bills)."""
    broken = {code for code, _statement, _target in BREAKS.values()}
    ledger = {"L1", "L2", "L3", "L4", "L5", "L6"}
    orders_and_refunds = {"O1", "O2", "O3", "R1", "R2", "R3", "R4", "R5"}
    assert broken == ledger | orders_and_refunds | {"E1", "E2", "E3", "E4", "E6", "E7", "E9"}


UNFINISHED = {
    "an order left pending past its time": (
        "UPDATE payment_orders SET status = 'pending', payment_method = NULL,"
        " payment_time = NULL WHERE id = %s",
        "by_wechat",
    ),
    "a refund processing without a next time": (
        "UPDATE refund_records SET status = 'processing', next_check_at = NULL WHERE id = %s",
        "open_refund",
    ),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_strictly_it_names_unfinished_work(world, name):
    statement, target = UNFINISHED[name]
    sql(statement, getattr(world, target).id)
    with clock.frozen(clock.now() + timedelta(hours=3)):
        _code, findings = audit("--strict")
    assert ("E5", "unfinished") in {(found["code"], found["kind"]) for found in findings}


def test_a_check_that_stumbles_is_a_finding_and_hides_no_other(world, monkeypatch):
    def stumbling(scope):
        yield Violation("X1", "order", "1", "seen before")
        raise ValueError("whsec_secret of the row")

    monkeypatch.setattr("backoffice.ops.audit.CHECKS", (stumbling, *CHECKS))
    sql("UPDATE payment_orders SET amount = 29 WHERE id = %s", world.by_wechat.id)
    code, found = audit()
    assert code == 1
    assert {"X1", "O3"} <= {one["code"] for one in found}
    (stumbled,) = [one for one in found if one["object_type"] == "audit_check"]
    assert (stumbled["code"], stumbled["kind"]) == ("E9", "violation")
    assert stumbled["object_id"].endswith("stumbling")
    assert "ValueError" in stumbled["message"]
    assert "whsec_secret" not in stumbled["message"]


def test_since_leaves_out_what_did_not_change(world):
    sql("UPDATE payment_orders SET amount = 29 WHERE id = %s", world.by_wechat.id)
    tomorrow = clock.today() + timedelta(days=1)
    assert audit()[0] == 1
    assert audit("--since", tomorrow.isoformat())[0] == 0
    assert audit("--since", clock.today().isoformat())[0] == 1


REFUSED = {
    "a negative balance": "UPDATE user_balances SET balance = -0.01 WHERE user_id = '{user}'",
    "an amount of zero": "UPDATE payment_orders SET amount = 0 WHERE user_id = '{user}'",
    "an unknown order state": "UPDATE payment_orders SET status = 'x' WHERE user_id = '{user}'",
    "an unknown refund state": "UPDATE refund_records SET status = 'x' WHERE user_id = '{user}'",
    "refunds beyond a payment": (
        "UPDATE payment_transactions SET refund_reserved = amount + 1"
        " WHERE transaction_type = 'payment'"
    ),
    "two entries of one fact": (
        "UPDATE balance_transactions SET related_type = 'order', transaction_type = 'expense',"
        " related_id = 'ffffffff-0000-7000-8000-000000000000' WHERE user_id = '{user}'"
    ),
    "two applied payments of one order": (
        "UPDATE payment_transactions SET applied_order_id = '{order}', status = 'success',"
        " disposition = 'applied'"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_database_itself_refuses(world, name):
    statement = REFUSED[name].format(user=world.user_id, order=world.by_balance.id)
    with (
        pytest.raises((IntegrityError, OperationalError)),
        atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_file_that_is_not_there_yet_is_nothing_before_the_first_hour_is_sealed(
    settings, tmp_path, world
):
    settings.AUDIT_ROOT_FILE = str(tmp_path / "roots.jsonl")
    assert audit() == (0, [])
