"""The audit's quick looks: sound books need no close one, and nothing odd is passed over."""

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.db.transaction import atomic, set_rollback
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from backoffice.ops.audit import CHECKS
from balances.ledger_rows import LedgerReader, ledger_rows
from balances.models import BalanceTransaction
from payments import invariants, invariants_logs
from payments.check_log_rows import odd_bodies, odd_bookings, odd_callbacks
from payments.check_rows import odd_orders, odd_transactions
from payments.invariants_evidence import _callback_problem
from payments.models import PaymentOrder, PaymentTransaction
from refunds import invariants as refund_invariants
from refunds import invariants_evidence
from refunds.check_rows import odd_approvals, odd_payments, odd_refunds, unapproved
from refunds.invariants import _check_order_state, _check_reserved
from refunds.models import Refund
from tcmpay.audit.bare_rows import DECODE, ENCODE, ENCODE_SORTED, BareTable
from tcmpay.audit.invariants import FollowedTrail
from tcmpay.audit.logs import _end
from tcmpay.audit.macs import canonical, chain_mac, mac_reader
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.seals import KeyPeriods
from tcmpay.audit.trail_rows import odd_chains
from tcmpay.common.invariants import Scope, rows_in_chunks
from tests.audit.books import sound_books, sql

pytestmark = pytest.mark.django_db

SCOPE = Scope()
# The invariants that follow the trail's chains, together all of them.
FOLLOWING = {"check_chains", "check_orders", "check_refunds", "check_transactions"}


def _odd_orders() -> list[list[str]]:
    rules = (invariants._check_payments, invariants._check_debits)
    return list(odd_orders(SCOPE, FollowedTrail(SCOPE, invariants.ORDER), *rules))


def _odd_transactions() -> list[list[str]]:
    return list(
        odd_transactions(
            SCOPE, FollowedTrail(SCOPE, invariants.TRANSACTION), invariants._check_disposition
        )
    )


def _odd_refunds() -> list[list[str]]:
    rules = (
        refund_invariants._check_belonging,
        refund_invariants._check_money_back,
        refund_invariants._check_approvals,
    )
    return list(odd_refunds(SCOPE, FollowedTrail(SCOPE, Refund.AUDIT_OBJECT), *rules))


def _logs_looked_at_closely() -> list[object]:
    """The rows that ``check_log`` follows by their models."""
    seen: list[object] = []

    def followed(chain: Iterator[Any]) -> Any:
        rows = list(chain)
        seen.extend(row.pk for row in rows)
        return _end(iter(rows))

    with patch("tcmpay.audit.logs._end", followed):
        list(invariants_logs.check_callback_log(SCOPE))
        list(invariants_logs.check_exchange_log(SCOPE))
    return seen


def test_sound_books_need_no_close_look() -> None:
    sound_books()
    assert list(odd_chains(SCOPE)) == []
    assert _logs_looked_at_closely() == []
    assert _odd_orders() == []
    assert _odd_transactions() == []
    assert _odd_refunds() == []
    assert list(odd_bodies(SCOPE)) == list(odd_callbacks(SCOPE, _callback_problem)) == []
    assert list(odd_payments(SCOPE, _check_reserved, _check_order_state)) == []
    approving = (invariants_evidence.APPROVING, invariants_evidence._tells_of)
    assert list(odd_approvals(SCOPE, *approving)) == []
    assert list(unapproved(SCOPE, invariants_evidence.APPROVALS)) == []
    rule = invariants_logs._booking_problem
    assert list(odd_bookings(SCOPE, invariants_logs.PAID_VERDICTS, rule)) == []
    assert LedgerReader(KeyPeriods("balance_transactions")).end_of(ledger_rows(SCOPE)) is not None


def test_one_row_that_is_odd_is_looked_at_alone() -> None:
    world = sound_books()
    sql("UPDATE payment_orders SET description = 'x' WHERE id = %s", world.by_wechat.id)
    attempt = PaymentTransaction.objects.get(order=world.by_balance, transaction_type="payment")
    sql("UPDATE payment_transactions SET scene = 'x' WHERE id = %s", attempt.id)
    assert _odd_orders() == [[str(world.by_wechat.id)]]
    assert _odd_transactions() == [[str(attempt.id)]]


def test_a_log_with_an_odd_line_is_followed_closely() -> None:
    world = sound_books()
    sql("UPDATE payment_callbacks SET event = 'x' WHERE id = %s", world.callback.id)
    assert world.callback.id in _logs_looked_at_closely()


texts = st.text(st.characters(codec="utf-8"))
facts = texts | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.none()
contents = st.recursive(
    facts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10
)


@given(contents)
def test_the_quick_encoders_write_what_digests_are_made_of(content: Any) -> None:
    written = canonical(content)
    assert ENCODE_SORTED(content) == written
    assert DECODE(written) == content
    as_it_is = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    assert ENCODE(content) == as_it_is


def test_an_attempt_that_is_open_is_always_looked_at_closely() -> None:
    world = sound_books()
    attempt = PaymentTransaction.objects.get(order=world.by_balance, transaction_type="payment")
    sql("UPDATE payment_transactions SET status = 'pending' WHERE id = %s", attempt.id)
    assert _odd_transactions() == [[str(attempt.id)]]


def test_a_debit_whose_order_is_written_in_capitals_is_the_order_s() -> None:
    world = sound_books()
    debit = BalanceTransaction.objects.get(related_type="order", transaction_type="expense")
    sql(
        "UPDATE balance_transactions SET related_id = %s WHERE id = %s",
        str(world.by_wechat.id).upper(),
        debit.id,
    )
    odd = {key for keys in _odd_orders() for key in keys}
    assert str(world.by_balance.id) in odd
    # SQLite tells capitals apart: there the debit is one of no order.
    assert connection.vendor == "sqlite" or str(world.by_wechat.id) in odd


@pytest.mark.parametrize("model", [PaymentOrder, PaymentTransaction])
def test_a_bare_row_has_the_digest_that_its_trail_keeps_and_no_other(model: type) -> None:
    sound_books()
    table = BareTable(model, "default")
    rows = list(table.rows(SCOPE))
    digests = {
        event.object_id: event.details["row"]
        for event in AuditEvent.objects.order_by("version")
        if "row" in event.details
    }
    assert len(rows) == model.objects.count() > 1
    for row in rows:
        assert [key for key, digest in digests.items() if table.holds(row, digest)] == [row.id]
        assert not table.holds(row, "")


def test_a_reader_takes_digests_of_former_keys_and_of_no_other_kind() -> None:
    with override_settings(AUDIT_CHAIN_KEYS=["former-key-former-key-former-key-1"]):
        former = chain_mac("kind", b"content")
    with override_settings(
        AUDIT_CHAIN_KEYS=["newest-key-newest-key-newest-key", "former-key-former-key-former-key-1"]
    ):
        holds = mac_reader("kind")
        assert holds(b"content", former)
        assert holds(b"content", chain_mac("kind", b"content"))
        assert not holds(b"content.", former)
        assert not mac_reader("another")(b"content", former)
        assert not holds(b"content", "é" * 64)
    assert not mac_reader("kind")(b"content", former)


def test_rows_in_chunks_come_each_once_and_in_order() -> None:
    sound_books()
    columns = ("object_type", "object_id", "version")
    whole = list(AuditEvent.objects.order_by(*columns).values_list(*columns))
    for size in (1, 2, 3, len(whole)):
        rows = rows_in_chunks(SCOPE, table="audit_events", columns=columns, keys=3, size=size)
        assert list(rows) == whole


def test_a_broken_chain_of_an_order_is_told_once_and_no_other() -> None:
    world = sound_books()
    sql(
        "UPDATE audit_events SET reason = 'x' WHERE object_id = %s AND version = 2",
        world.by_wechat.id,
    )
    told = [(found.code, found.object_id) for found in invariants.check_orders(SCOPE)]
    assert told == [("E2", str(world.by_wechat.id))]


def test_what_is_left_of_the_trail_of_an_order_that_is_gone_is_followed() -> None:
    sound_books()
    event = AuditEvent.objects.filter(object_type=invariants.ORDER, version=2)[0]
    sql("UPDATE audit_events SET object_id = 'gone' WHERE id = %s", event.id)
    told = {(found.code, found.object_id) for found in invariants.check_orders(SCOPE)}
    assert ("E2", "gone") in told


def test_a_broken_chain_is_told_once_where_another_order_is_gone_too() -> None:
    world = sound_books()
    broken, moved = str(world.by_balance.id), str(world.by_wechat.id)
    sql("UPDATE audit_events SET reason = 'x' WHERE object_id = %s AND version = 2", broken)
    sql("UPDATE audit_events SET object_id = 'gone' WHERE object_id = %s AND version = 2", moved)
    found = [one for one in invariants.check_orders(SCOPE) if one.message.startswith("audit_ev")]
    assert sorted(one.object_id for one in found) == [broken, "gone"]


def test_events_of_an_order_that_is_gone_hide_nothing_of_those_that_it_lies_among() -> None:
    world = sound_books()
    first, last = sorted(str(order.id) for order in (world.by_balance, world.by_wechat))
    gone = f"{first[:-12]}ffffffffffff"
    assert first < gone < last
    sql("UPDATE audit_events SET object_id = %s WHERE object_id = %s AND version = 2", gone, last)
    assert _odd_orders() == [[last]]
    told = {(found.code, found.object_id) for found in invariants.check_orders(SCOPE)}
    assert ("E2", gone) in told
    assert first not in {object_id for _code, object_id in told}


def test_where_more_lies_among_the_ids_than_is_read_at_once_they_are_read_one_by_one() -> None:
    sound_books()
    with patch("tcmpay.audit.bare_rows.ROWS_AN_ID", 1):
        assert _odd_orders() == []
    with patch("tcmpay.audit.bare_rows.ROWS_AN_ID", 0):
        assert _odd_orders() == []


def test_a_notice_that_is_json_s_null_is_looked_at_closely() -> None:
    world = sound_books()
    sql(
        "UPDATE payment_callbacks SET refund_notice = 'null', is_picked_up = 1 WHERE id = %s",
        world.callback.id,
    )
    assert list(odd_callbacks(SCOPE, _callback_problem)) == [[str(world.callback.id)]]


def test_no_type_of_objects_is_left_out_of_the_chains() -> None:
    sound_books()
    following = [check for check in CHECKS if check.__name__ in FOLLOWING]
    for object_type in AuditEvent.objects.values_list("object_type", flat=True).distinct():
        event = AuditEvent.objects.filter(object_type=object_type)[0]
        with atomic():
            sql("UPDATE audit_events SET action = 'x' WHERE id = %s", event.id)
            found = {one.object_id for check in following for one in check(SCOPE)}
            assert event.object_id in found, object_type
            set_rollback(True)
