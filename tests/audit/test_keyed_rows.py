"""Rows whose hash was made anew by somebody who has no key, or another one."""

import hashlib

import pytest

from balances import ledger
from balances.models import BalanceTransaction
from tcmpay.audit import services
from tcmpay.audit.models import AuditEvent
from tests.audit.books import audit, sql, violations

pytestmark = pytest.mark.django_db


ANOTHER_KEY = "another-key-of-the-chains-" * 2


def event_of(world) -> AuditEvent:
    return AuditEvent.objects.filter(
        object_type="order", object_id=str(world.by_wechat.id)
    ).earliest("version")


def test_an_event_whose_hash_was_made_anew_without_the_key_shows(world):
    event = event_of(world)
    event.actor_name = "别人"
    plain = hashlib.sha256(services._content(event)).hexdigest()
    sql(
        "UPDATE audit_events SET actor_name = '别人', hash = %s WHERE id = %s",
        plain,
        event.id,
    )
    (found,) = audit()[1]
    assert (found["code"], found["object_type"]) == ("E2", "order")
    assert "没有用当时的密钥" in found["message"]


def test_an_event_whose_hash_was_made_with_another_key_shows(world, settings):
    event = event_of(world)
    event.actor_name = "别人"
    ours = settings.AUDIT_CHAIN_KEYS
    settings.AUDIT_CHAIN_KEYS = [ANOTHER_KEY]
    forged = services.event_hash(event)
    settings.AUDIT_CHAIN_KEYS = ours
    sql(
        "UPDATE audit_events SET actor_name = '别人', hash = %s WHERE id = %s",
        forged,
        event.id,
    )
    assert ("E2", "order") in violations()


def test_an_entry_whose_hash_was_made_anew_without_the_key_shows(world):
    entry = BalanceTransaction.objects.filter(user_id=world.user_id).latest("sequence")
    entry.description = "别的"
    plain = hashlib.sha256(ledger._content(entry)).hexdigest()
    sql(
        "UPDATE balance_transactions SET description = '别的', hash = %s WHERE id = %s",
        plain,
        entry.id,
    )
    assert violations() == [("L5", "balance")]
