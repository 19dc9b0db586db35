"""What the release before digests wrote, and goes on writing until it is restarted."""

import uuid
from datetime import timedelta

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.db.transaction import atomic

from backoffice.ops.invariants import check_keys
from balances.invariants import LEDGER
from payments.invariants import check_orders
from tcmpay.accounts.invariants import check_sign_ins
from tcmpay.accounts.models import SignIn
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.models import ChainRoot
from tcmpay.audit.row_checks import digests_began
from tcmpay.audit.seals import anchor_write
from tcmpay.audit.services import audit_record
from tcmpay.audit.upgrade import ANCHOR, RESTART_LEEWAY, digests_begin, newest_upgrade
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.invariants import Scope
from tests.audit.books import seal_both, sound_books, sql, violations

pytestmark = pytest.mark.django_db

A_SECOND = timedelta(seconds=1)


def migrated(hours_ago: int) -> None:
    """``migrate`` ran the first of its migrations so long ago, and comes to its end now."""
    anchor = MigrationRecorder.Migration.objects.filter(app=ANCHOR[0], name=ANCHOR[1])
    anchor.update(applied=clock.now() - timedelta(hours=hours_ago))
    digests_begin()


@pytest.fixture
def upgraded():
    """Books of yesterday, migrated since for five hours."""
    with clock.frozen(clock.now() - timedelta(days=1)):
        world = sound_books()
    with clock.frozen(clock.now()):
        migrated(hours_ago=5)
        yield world


def test_books_that_begin_with_digests_need_one_in_every_row(world):
    digests_begin()
    assert digests_began("default") is None


def test_the_time_for_a_restart_counts_from_the_last_migration(upgraded):
    assert digests_began("default") == clock.now() + RESTART_LEEWAY


def test_migrating_again_gives_no_more_time(upgraded):
    began = digests_began("default")
    with clock.frozen(clock.now() + timedelta(days=1)):
        digests_begin()
    assert digests_began("default") == began


def test_going_back_and_forward_does(upgraded):
    with clock.frozen(clock.now() + timedelta(days=1)):
        migrated(hours_ago=1)
        assert digests_began("default") == clock.now() + RESTART_LEEWAY


def test_a_date_of_migrations_that_is_changed_by_sql_gives_no_time(upgraded):
    began = digests_began("default")
    sql("UPDATE django_migrations SET applied = '2099-01-01' WHERE name = %s", ANCHOR[1])
    assert digests_began("default") == began


def order_problems() -> list[str]:
    return [found.object_id for found in check_orders(Scope()) if found.code == "E9"]


def former_release_writes(world) -> None:
    """An event without a digest, and the row as that release left it."""
    order = world.by_wechat
    with atomic():
        audit_record(object_type="order", object_id=order.id, action="noted", actor=SYSTEM)
    sql("UPDATE payment_orders SET description = 'x' WHERE id = %s", order.id)


def test_what_it_writes_last_is_not_compared_with_an_older_digest(upgraded):
    with clock.frozen(clock.now() + RESTART_LEEWAY - A_SECOND):
        former_release_writes(upgraded)
    assert order_problems() == []


def test_what_it_writes_after_its_time_shows(upgraded):
    with clock.frozen(clock.now() + RESTART_LEEWAY):
        former_release_writes(upgraded)
    assert order_problems() == [str(upgraded.by_wechat.id)]


def signed_in(hours: float) -> None:
    moment = clock.now() + timedelta(hours=hours)
    SignIn.objects.create(outcome="succeeded", username="admin", created_at=moment)


@pytest.mark.parametrize(("hours", "shows"), [(-12, 1), (-3, 0), (0.9, 0), (1, 1)])
def test_its_sign_ins_lack_a_digest_until_it_is_restarted(upgraded, hours, shows):
    signed_in(hours)
    assert len(list(check_sign_ins(Scope()))) == shows


@pytest.mark.parametrize(("hours", "shows"), [(-12, 1), (0.9, 0), (1, 1)])
def test_so_do_its_kept_answers(upgraded, hours, shows):
    upgraded.key.completed_at = clock.now() + timedelta(hours=hours)
    upgraded.key.mac = ""
    upgraded.key.save()
    assert [found.code for found in check_keys(Scope())] == ["E9"] * shows


def test_a_sign_in_without_a_digest_shows_where_nothing_was_before(db):
    SignIn.objects.create(outcome="succeeded", username="admin", user_id=uuid.uuid4())
    assert newest_upgrade("default") is None
    assert len(list(check_sign_ins(Scope()))) == 1


def test_sealed_roots_go_on_where_they_went_with_their_table(db):
    """As going back to a release without them, and forward again, leaves it."""
    with clock.frozen(clock.now() - timedelta(hours=5)):
        sound_books()
    with clock.frozen(clock.now() - timedelta(hours=2)):
        seal_both()
        ChainRoot.objects.all().delete()
        for chain in (LEDGER, TRAIL):
            anchor_write(ChainRoot, chain.model, "", chain.name)
    assert [root.number for root in ChainRoot.objects.all()] == [2, 2]
    assert violations() == []
    seal_both()
    assert violations() == []
    ChainRoot.objects.filter(number=2).delete()
    assert ("L5", "chain_seal") in violations()
