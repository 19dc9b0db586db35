"""Days that are over are sealed: what was written in them can't be taken away unseen."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from balances.checks import LEDGER
from balances.models import BalanceTransaction, UserBalance
from tcmpay.audit.checks import TRAIL
from tcmpay.audit.models import AuditEvent, ChainSeal
from tcmpay.audit.seals import GRACE, days_seal
from tcmpay.common import clock
from tests.audit.books import audit, sound_books, sql

pytestmark = pytest.mark.django_db


@pytest.fixture
def sealed():
    """Sound books of yesterday, sealed today; gives them."""
    with clock.frozen(clock.now() - timedelta(days=1)):
        world = sound_books()
    with clock.frozen(clock.day_start(clock.today()) + timedelta(hours=1)):
        assert len(days_seal(LEDGER)) == len(days_seal(TRAIL)) == 1
        yield world


def violations() -> list[tuple[str, str]]:
    return [
        (found["code"], found["object_type"])
        for found in audit()[1]
        if found["kind"] == "violation"
    ]


def test_sound_days_are_silent(sealed):
    assert violations() == []


def test_a_ledger_whose_tail_was_cut_off_consistently_shows_by_the_seal_alone(sealed):
    last = BalanceTransaction.objects.filter(user_id=sealed.user_id).latest("sequence")
    sql("DELETE FROM balance_transactions WHERE id = %s", last.id)
    # And the account put back to where the ledger ends now.
    UserBalance.objects.filter(user_id=sealed.user_id).update(
        sequence=last.sequence - 1,
        balance=last.balance_before,
        total_income=100,
    )
    found = audit()[1]
    (seal,) = [finding for finding in found if finding["object_type"] == "chain_seal"]
    assert seal["code"] == "L5"
    assert seal["object_id"].startswith("balance_transactions ")
    assert not [f for f in found if f["object_type"] == "balance" and f["code"] != "R3"]


def test_an_object_whose_whole_trail_is_gone_shows(sealed):
    sql("DELETE FROM audit_events WHERE object_type = 'balance' AND object_id = %s", sealed.user_id)
    assert violations() == [("E2", "chain_seal")]


def test_a_row_that_was_slipped_into_a_sealed_day_shows(sealed):
    entry = BalanceTransaction.objects.filter(user_id=sealed.user_id).earliest("sequence")
    AuditEvent.objects.create(
        object_type="x", object_id="x", version=1, action="x", created_at=entry.created_at, hash="x"
    )
    assert ("E2", "chain_seal") in violations()


BROKEN_SEALS = {
    "its count was changed": "UPDATE chain_seals SET rows_sha256 = 'x' WHERE id = %s",
    "it was dated back": "UPDATE chain_seals SET day = '2020-01-01' WHERE id = %s",
    "its root was changed": "UPDATE chain_seals SET root = 'x' WHERE id = %s",
    "the one before it is gone": "UPDATE chain_seals SET previous_root = 'x' WHERE id = %s",
}


@pytest.mark.parametrize("name", BROKEN_SEALS)
def test_a_seal_that_was_changed_shows(sealed, name):
    sql(BROKEN_SEALS[name], ChainSeal.objects.get(chain="balance_transactions").id)
    assert ("L5", "chain_seal") in violations()


def test_a_missing_day_between_two_shows(sealed):
    with clock.frozen(clock.now() + timedelta(days=2)):
        assert len(days_seal(LEDGER)) == 2
        assert violations() == []
        middle = ChainSeal.objects.filter(chain="balance_transactions").order_by("day")[1]
        sql("DELETE FROM chain_seals WHERE id = %s", middle.id)
        assert violations() == [("L5", "chain_seal")]


def test_a_day_is_sealed_once_and_only_when_it_is_surely_over():
    start = clock.day_start(clock.today())
    with clock.frozen(start):
        sound_books()
    tomorrow = start + timedelta(days=1)
    with clock.frozen(tomorrow + GRACE - timedelta(seconds=1)):
        assert days_seal(LEDGER) == []
    with clock.frozen(tomorrow + GRACE):
        assert [seal.rows for seal in days_seal(LEDGER)] == [4]
        assert days_seal(LEDGER) == []


def test_an_outage_skips_no_day():
    with clock.frozen(clock.now() - timedelta(days=4)):
        sound_books()
    seals = days_seal(LEDGER)
    assert [seal.rows for seal in seals][:2] == [4, 0]
    days = [seal.day for seal in seals]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]


def test_strictly_days_that_nobody_sealed_are_unfinished_work(sealed):
    with clock.frozen(clock.now() + timedelta(days=3)):
        found = [f for f in audit("--strict")[1] if f["object_type"] == "chain_seal"]
    assert {(f["code"], f["kind"]) for f in found} == {("E5", "unfinished")}


def test_the_command_prints_the_roots_to_keep_elsewhere(sealed):
    output = StringIO()
    call_command("seal_days", stdout=output)
    for seal in ChainSeal.objects.all():
        assert f"{seal.chain}: +0, {seal.day} {seal.root}" in output.getvalue()
