"""What is written is sealed by the hour: it can't be taken away, or made anew, unseen."""

import copy
import hashlib
import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from balances.invariants import LEDGER
from balances.models import BalanceTransaction, UserBalance
from tcmpay.audit.macs import chain_mac
from tcmpay.audit.models import AuditEvent, ChainRoot
from tcmpay.audit.roots import root_line
from tcmpay.audit.seals import (
    MAC_KIND,
    chain_seal,
    root_content,
)
from tcmpay.audit.upgrade import RESTART_LEEWAY
from tcmpay.common import clock
from tests.audit.books import audit, seal_both, sound_books, sql, violations

pytestmark = pytest.mark.django_db

ANOTHER_KEY = "another-key-of-the-chains-" * 2


@pytest.fixture(scope="module")
def _sealed(lasting):
    with clock.frozen(clock.now() - timedelta(hours=3)):
        world = sound_books()
    seal_both()
    return world


@pytest.fixture
def sealed(_sealed):
    """Sound books of three hours ago, sealed since; gives them."""
    return copy.deepcopy(_sealed)


def test_what_was_sealed_and_is_as_it_was_is_silent(sealed):
    assert ChainRoot.objects.count() == 2
    assert violations() == []


def test_a_ledger_whose_tail_was_cut_off_consistently_shows_by_the_root_alone(sealed):
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
    assert (seal["code"], seal["object_id"]) == ("L5", "balance_transactions #1")
    assert not [f for f in found if f["object_type"] == "balance" and f["code"] != "R3"]


def test_an_object_whose_whole_trail_is_gone_shows(sealed):
    sql("DELETE FROM audit_events WHERE object_type = 'balance' AND object_id = %s", sealed.user_id)
    assert ("E2", "chain_seal") in violations()


def test_a_row_that_was_slipped_into_a_sealed_hour_shows(sealed):
    entry = BalanceTransaction.objects.filter(user_id=sealed.user_id).earliest("sequence")
    AuditEvent.objects.create(
        object_type="x", object_id="x", version=1, action="x", created_at=entry.created_at, hash="x"
    )
    assert ("E2", "chain_seal") in violations()


BROKEN_ROOTS = {
    "its rows' hash was changed": "UPDATE chain_roots SET rows_sha256 = 'x' WHERE id = %s",
    "its count was changed": "UPDATE chain_roots SET `rows` = `rows` + 1 WHERE id = %s",
    "it was dated back": "UPDATE chain_roots SET until = '2020-01-01 00:00:00' WHERE id = %s",
    "its making was dated back": "UPDATE chain_roots SET sealed_at = '2020-01-01' WHERE id = %s",
    "its number was changed": "UPDATE chain_roots SET number = 7 WHERE id = %s",
    "it was called the first": "UPDATE chain_roots SET is_anchor = 1 WHERE id = %s",
    "its root was changed": "UPDATE chain_roots SET root = 'x' WHERE id = %s",
    "the one before it is another": "UPDATE chain_roots SET previous_root = 'x' WHERE id = %s",
    "it was given to another chain": "UPDATE chain_roots SET chain = 'x' WHERE id = %s",
    "it was taken away": "DELETE FROM chain_roots WHERE id = %s",
}


@pytest.mark.parametrize("name", BROKEN_ROOTS)
def test_a_root_that_was_changed_shows(sealed, name):
    sql(BROKEN_ROOTS[name], ChainRoot.objects.get(chain="balance_transactions").id)
    assert ("L5", "chain_seal") in violations()


def test_a_root_made_anew_without_the_key_shows(sealed):
    root = ChainRoot.objects.get(chain="balance_transactions")
    root.rows = 3
    plain = hashlib.sha256(root_content(root)).hexdigest()
    sql("UPDATE chain_roots SET `rows` = 3, root = %s WHERE id = %s", plain, root.id)
    assert ("L5", "chain_seal") in violations()


def test_a_missing_root_between_two_shows(sealed):
    with clock.frozen(clock.now() + timedelta(hours=1)):
        seal_both()
    with clock.frozen(clock.now() + timedelta(hours=2)):
        seal_both()
        assert violations() == []
        sql("DELETE FROM chain_roots WHERE chain = 'balance_transactions' AND number = %s", 2)
        assert violations() == [("L5", "chain_seal")]


def test_roots_that_were_taken_away_stay_missing_when_more_are_made(sealed):
    sql("DELETE FROM chain_roots WHERE chain = %s", "balance_transactions")
    with clock.frozen(clock.now() + timedelta(hours=1)):
        assert chain_seal(LEDGER).number == 2
        assert violations() == [("L5", "chain_seal")]


def test_a_trail_that_tells_of_another_root_shows(sealed):
    sql(
        "UPDATE audit_events SET details = '{}' WHERE object_id = %s",
        "balance_transactions",
    )
    assert {("L5", "chain_seal"), ("E2", "chain_seal")} <= set(violations())


def test_an_hour_without_business_is_sealed_too(sealed):
    with clock.frozen(clock.now() + timedelta(hours=1)):
        assert (chain_seal(LEDGER).rows, ChainRoot.objects.count()) == (0, 3)


def test_strictly_what_nobody_sealed_is_unfinished_work(sealed):
    with clock.frozen(clock.now() + timedelta(days=2)):
        found = [f for f in audit("--strict")[1] if f["object_type"] == "chain_seal"]
    assert {(f["code"], f["kind"]) for f in found} == {("E5", "unfinished")}


def test_since_a_day_only_later_roots_are_compared(sealed):
    sql("DELETE FROM balance_transactions WHERE user_id = %s", sealed.user_id)
    with clock.frozen(clock.now() + timedelta(days=2)):
        seal_both()
        tomorrow = clock.business_day(clock.now() - timedelta(days=1))
        assert ("L5", "chain_seal") not in violations("--since", str(tomorrow))
        assert ("L5", "chain_seal") in violations()


# --- under a key ----------------------------------------------------------------------------


def test_a_new_key_takes_over_and_the_former_one_still_verifies(sealed, settings):
    settings.AUDIT_CHAIN_KEYS = [ANOTHER_KEY]
    with clock.frozen(clock.now() + timedelta(hours=1)):
        seal_both()
        sound_books()
        assert violations() == []


def test_a_former_key_that_became_known_makes_nothing_that_is_believed(sealed, settings):
    takeover = clock.now() + timedelta(hours=1)
    settings.AUDIT_CHAIN_KEYS = [ANOTHER_KEY]
    with clock.frozen(takeover):
        seal_both()
    settings.AUDIT_CHAIN_KEYS = []
    with clock.frozen(takeover + RESTART_LEEWAY):
        sound_books()
    settings.AUDIT_CHAIN_KEYS = [ANOTHER_KEY]
    assert {("L5", "balance"), ("E2", "order")} <= set(violations())


# --- outside of the database ----------------------------------------------------------------


@pytest.fixture
def kept(sealed, tmp_path):
    """Where the roots are kept."""
    path = tmp_path / "roots.jsonl"
    path.write_text("".join(root_line(root) + "\n" for root in ChainRoot.objects.all()))
    return path


def test_kept_roots_that_are_there_are_silent(kept):
    assert violations("--root", str(kept)) == []


def test_a_past_that_was_made_anew_with_the_key_shows_by_a_kept_root(kept):
    root = ChainRoot.objects.get(chain="balance_transactions")
    root.sealed_at += timedelta(seconds=1)
    root.root = chain_mac(MAC_KIND, root_content(root))
    root.save()
    found = [f for f in audit("--root", str(kept))[1] if "保存在外" in f["message"]]
    assert [f["object_id"] for f in found] == ["balance_transactions #1"]


def test_a_database_that_was_put_back_shows_by_a_kept_root(kept):
    sql("DELETE FROM chain_roots WHERE chain = %s", "balance_transactions")
    sql("DELETE FROM audit_events WHERE object_id = %s", "balance_transactions")
    found = [f for f in audit("--root", str(kept))[1] if "保存在外" in f["message"]]
    assert [(f["code"], f["object_id"]) for f in found] == [("L5", "balance_transactions #1")]


def test_lines_of_the_log_are_read_too(kept):
    told = [{"event": "request_started"}]
    told += [{"event": "chain_sealed", **json.loads(line)} for line in kept.open()]
    kept.write_text("".join(json.dumps(line) + "\n" for line in told))
    assert violations("--root", str(kept)) == []


@pytest.mark.parametrize("text", ["", "\n", "nothing\n", "[]\n", '{"chain": "x", "root": "y"}\n'])
def test_a_file_without_roots_is_refused(tmp_path, text):
    path = tmp_path / "roots"
    path.write_text(text)
    with pytest.raises(CommandError, match="--root"):
        audit("--root", str(path))


UNCOMPARABLE = {
    "it is gone": lambda path: path.unlink(),
    "it was emptied": lambda path: path.write_text(""),
    "it is a folder": lambda path: (path.unlink(), path.mkdir()),
    "a line was cut": lambda path: path.write_text(path.read_text()[:-9]),
    "it is no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("name", UNCOMPARABLE)
def test_a_kept_file_that_can_not_be_compared_is_a_finding_and_the_rest_is_checked(
    kept, settings, name
):
    settings.AUDIT_ROOT_FILE = str(kept)
    UNCOMPARABLE[name](kept)
    sql("UPDATE audit_events SET actor_name = 'x' WHERE version = 1 AND object_type = 'order'")
    found = {(f["code"], f["object_id"]) for f in audit()[1] if f["kind"] == "violation"}
    assert ("E10", str(kept)) in found
    assert "E2" in {code for code, _object_id in found}


def test_the_command_prints_the_roots_to_keep_elsewhere(sealed):
    output = StringIO()
    call_command("seal_chains", stdout=output)
    assert sorted(output.getvalue().split("\n")[:-1]) == sorted(
        root_line(root) for root in ChainRoot.objects.all()
    )
