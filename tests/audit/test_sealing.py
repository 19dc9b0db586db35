"""When an hour is sealed, and where its root goes."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from backoffice.ops.figures import figures
from balances.invariants import LEDGER
from balances.models import BalanceTransaction
from gateways.tests.kit import Reply, StandIn
from tcmpay.audit import roots
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.models import AuditEvent, ChainRoot
from tcmpay.audit.roots import (
    TELL_WITHIN,
    chain_seal_and_tell,
    check_root_file,
    check_roots_told,
    root_line,
    roots_not_told,
)
from tcmpay.audit.seals import (
    GRACE,
    anchor_write,
    chain_seal,
)
from tcmpay.common import clock
from tcmpay.common.invariants import Scope
from tests.audit.books import sound_books, violations

pytestmark = pytest.mark.django_db


def test_an_hour_is_sealed_once_and_only_when_it_is_surely_over():
    start = clock.now().replace(minute=0, second=0, microsecond=0)
    with clock.frozen(start):
        sound_books()
    with clock.frozen(start + timedelta(hours=1) + GRACE - timedelta(seconds=1)):
        assert chain_seal(LEDGER) is None
    with clock.frozen(start + timedelta(hours=1) + GRACE):
        assert chain_seal(LEDGER).rows == 4
        assert chain_seal(LEDGER) is None


def test_an_outage_skips_nothing():
    with clock.frozen(clock.now() - timedelta(days=4)):
        sound_books()
    assert chain_seal(LEDGER).rows == 4
    assert chain_seal(TRAIL).rows == AuditEvent.objects.exclude(object_type="chain_seal").count()
    assert violations() == []


def test_an_empty_table_needs_no_anchor():
    anchor_write(ChainRoot, BalanceTransaction, "", "balance_transactions")
    assert not ChainRoot.objects.exists()


def test_a_root_goes_to_the_file_and_to_the_log(settings, tmp_path, caplog):
    settings.AUDIT_ROOT_FILE = str(tmp_path / "roots.jsonl")
    with clock.frozen(clock.now() - timedelta(hours=3)):
        sound_books()
    root = chain_seal_and_tell(LEDGER)
    assert (tmp_path / "roots.jsonl").read_text() == root_line(root) + "\n"
    (told,) = [record for record in caplog.records if record.getMessage() == "chain_sealed"][-1:]
    assert (told.chain, told.number, told.root) == (root.chain, 1, root.root)


def test_a_file_that_can_not_be_written_is_told_and_holds_nothing_up(settings, tmp_path, caplog):
    settings.AUDIT_ROOT_FILE = str(tmp_path / "nowhere" / "roots.jsonl")
    with clock.frozen(clock.now() - timedelta(hours=3)):
        sound_books()
    assert chain_seal_and_tell(LEDGER) is not None
    assert "chain_root_not_kept" in [record.getMessage() for record in caplog.records]


# --- the address ----------------------------------------------------------------------------


@pytest.fixture
def address(settings):
    """A server that keeps what it is told, as AUDIT_ROOT_URL; books of three hours ago."""
    settings.DEBUG = True  # loopback may be reached
    with StandIn() as server:
        settings.AUDIT_ROOT_URL = f"{server.url}/roots"
        server.always(Reply(204))
        with clock.frozen(clock.now() - timedelta(hours=3)):
            sound_books()
        yield server


def test_a_root_is_posted_once(address):
    root = chain_seal_and_tell(LEDGER)
    assert chain_seal_and_tell(LEDGER) is None
    (seen,) = address.seen
    assert (seen.verb, seen.target, seen.body.decode()) == ("POST", "/roots", root_line(root))
    assert ChainRoot.objects.get().posted_at is not None


def refused(settings, address) -> None:
    settings.AUDIT_ROOT_URL = "http://127.0.0.1:9/roots"


FAILURES = {
    "HTTP 500": lambda settings, address: address.always(Reply(500)),
    "HTTP 300": lambda settings, address: address.always(Reply(300)),
    "HTTP 302": lambda settings, address: address.always(Reply(302, headers={"Location": "/x"})),
    "ReadTimeoutError": lambda settings, address: address.always(Reply(is_hung=True)),
    "NewConnectionError": refused,
    "LocationParseError": lambda settings, address: setattr(settings, "AUDIT_ROOT_URL", "http://["),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_a_root_that_can_not_be_posted_is_sealed_told_of_and_tried_again(
    settings, address, caplog, monkeypatch, reason
):
    monkeypatch.setattr(roots, "CALL_SECONDS_MAX", 0.3)
    there = settings.AUDIT_ROOT_URL
    FAILURES[reason](settings, address)
    root = chain_seal_and_tell(LEDGER)
    assert root == ChainRoot.objects.get()
    (told,) = [line for line in caplog.records if line.getMessage() == "chain_root_not_kept"]
    assert (told.to, told.reason, told.levelname) == ("AUDIT_ROOT_URL", reason, "ERROR")
    assert "127.0.0.1" not in str(vars(told))
    assert list(check_roots_told(Scope())) == []
    with clock.frozen(clock.now() + TELL_WITHIN + timedelta(seconds=1)):
        (found,) = check_roots_told(Scope())
        assert (found.code, found.is_unfinished) == ("E10", True)
        assert {one.name: one.samples for one in figures()}["roots_not_told"] == (((), 1.0),)
    settings.AUDIT_ROOT_URL = there
    address.begin().always(Reply(200))
    assert chain_seal_and_tell(LEDGER) is None
    assert [seen.body.decode() for seen in address.seen] == [root_line(root)]
    assert roots_not_told() == []


def test_a_root_that_was_filed_is_not_filed_again_because_it_could_not_be_posted(
    settings, address, tmp_path
):
    settings.AUDIT_ROOT_FILE = str(tmp_path / "roots.jsonl")
    address.always(Reply(503))
    root = chain_seal_and_tell(LEDGER)
    chain_seal_and_tell(LEDGER)
    assert (tmp_path / "roots.jsonl").read_text() == root_line(root) + "\n"
    assert len(address.seen) == 2


def test_a_restored_copy_is_compared_with_the_roots_of_its_time(settings, tmp_path):
    settings.AUDIT_ROOT_FILE = str(tmp_path / "roots.jsonl")
    with clock.frozen(clock.now() - timedelta(hours=5)):
        sound_books()
    chain_seal_and_tell(LEDGER)
    (root,) = ChainRoot.objects.filter(chain=LEDGER.name, is_anchor=False)
    path = str(tmp_path / "roots.jsonl")
    assert list(check_root_file(path, {})) == []
    # The copy was made before the root was: it has none, and need not.
    ChainRoot.objects.filter(pk=root.pk).delete()
    before, after = root.until - timedelta(minutes=5), root.until + timedelta(hours=2)
    assert list(check_root_file(path, {}, as_of=before)) == []
    assert len(list(check_root_file(path, {}, as_of=after))) == 1
    assert len(list(check_root_file(path, {}))) == 1


def test_a_copy_is_judged_as_of_its_moment(capsys):
    with clock.frozen(clock.now() - timedelta(days=2)):
        sound_books()
        moment = clock.now().isoformat()
    with pytest.raises(SystemExit):
        call_command("audit_money", "--strict", "--processes", "1")
    call_command("audit_money", "--strict", "--processes", "1", "--as-of", moment)
    with pytest.raises(CommandError):
        call_command("audit_money", "--as-of", "2026-11-30T04:00:00")
