"""When an hour is sealed, and where its root goes."""

from datetime import timedelta

import pytest

from balances.checks import LEDGER
from balances.models import BalanceTransaction
from tcmpay.audit.checks import TRAIL
from tcmpay.audit.models import AuditEvent, ChainRoot
from tcmpay.audit.roots import chain_seal_and_tell, root_line
from tcmpay.audit.seals import (
    GRACE,
    anchor_write,
    chain_seal,
)
from tcmpay.common import clock
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
