"""Chains from before there were keys: bound by an anchor, and believed no longer than that."""

import copy
import hashlib
from datetime import timedelta

import pytest

from balances import ledger
from balances.invariants import LEDGER
from balances.models import BalanceTransaction
from tcmpay.audit import services
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.models import AuditEvent, ChainRoot, ChainSeal
from tcmpay.audit.seals import (
    anchor_write,
)
from tcmpay.audit.upgrade import RESTART_LEEWAY
from tcmpay.common import clock
from tests.audit.books import seal_both, sound_books, sql, violations

pytestmark = pytest.mark.django_db


def made_plain() -> None:
    """The chains as the version before wrote them."""
    for model, content in ((AuditEvent, services._content), (BalanceTransaction, ledger._content)):
        before: dict[object, str] = {}
        order = (
            ("object_type", "object_id", "version")
            if model is AuditEvent
            else ("user_id", "sequence")
        )
        for row in model.objects.order_by(*order):
            key = tuple(getattr(row, name) for name in order[:-1])
            row.previous_hash = before.get(key, "")
            row.hash = before[key] = hashlib.sha256(content(row)).hexdigest()
            row.save()


@pytest.fixture(scope="module")
def _anchored(lasting):
    with clock.frozen(clock.now() - timedelta(days=1)):
        world = sound_books()
    made_plain()
    with clock.frozen(clock.now() - timedelta(hours=2)):
        for chain in (LEDGER, TRAIL):
            anchor_write(ChainRoot, chain.model, "", chain.name)
    return world


@pytest.fixture
def anchored(_anchored):
    """Books from before there were keys, bound by the migrations two hours ago."""
    return copy.deepcopy(_anchored)


def test_chains_from_before_there_were_keys_hold_once_they_are_anchored(anchored):
    assert violations() == []
    with clock.frozen(clock.now() + timedelta(hours=1)):
        seal_both()
        sound_books()
        assert violations() == []


def test_without_an_anchor_no_unkeyed_row_is_believed(anchored):
    sql("DELETE FROM chain_roots WHERE chain = %s", "balance_transactions")
    assert violations() == [("L5", "balance")]


def test_an_anchored_row_that_is_made_anew_shows(anchored):
    event = AuditEvent.objects.filter(object_id=str(anchored.by_wechat.id)).earliest("version")
    AuditEvent.objects.filter(id=event.id).update(actor_name="别人")
    made_plain()
    assert violations() == [("E2", "chain_seal")]


def test_an_unkeyed_row_from_after_the_anchor_shows(anchored):
    sound_books()
    made_plain()
    assert {("L5", "balance"), ("E2", "order")} <= set(violations())


def test_what_the_former_version_wrote_until_its_restart_holds(anchored):
    anchored_at = ChainRoot.objects.earliest("sealed_at").sealed_at
    with clock.frozen(anchored_at + RESTART_LEEWAY - timedelta(seconds=1)):
        sound_books()
    made_plain()
    assert [found for found in violations() if found[1] != "chain_seal"] == []


def test_the_seals_of_days_go_on_holding_and_are_bound(anchored):
    day = clock.business_day(clock.now() - timedelta(days=1))
    entries = BalanceTransaction.objects.order_by("created_at", "id")
    content = "".join(f"{entry.id} {entry.hash}\n" for entry in entries)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    text = f" balance_transactions {day.isoformat()} {len(entries)} {sha256}"
    seal = ChainSeal.objects.create(
        chain="balance_transactions",
        day=day,
        rows=len(entries),
        rows_sha256=sha256,
        root=hashlib.sha256(text.encode()).hexdigest(),
    )
    # Bound by the anchor only when it was there first.
    assert violations() == [("L5", "chain_seal")]
    ChainRoot.objects.filter(chain="balance_transactions").delete()
    anchor_write(ChainRoot, BalanceTransaction, seal.root, "balance_transactions")
    assert violations() == []
    for change in ("day = '2020-01-01'", "rows_sha256 = 'x'", "root = 'x'", "previous_root = 'x'"):
        sql(f"UPDATE chain_seals SET {change} WHERE id = %s", seal.id)
        assert ("L5", "chain_seal") in violations(), change
        seal.save()
    sql("DELETE FROM chain_seals WHERE id = %s", seal.id)
    assert violations() == [("L5", "chain_seal")]
