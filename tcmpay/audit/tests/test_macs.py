"""Digests that nobody makes who has the database alone."""

import hashlib
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from django.db.transaction import atomic

from tcmpay.audit.macs import (
    Verdict,
    chain_keys_keep,
    chain_mac,
    chain_mac_verdict,
    current_key_id,
    key_id_of,
    row_mac,
    row_mac_holds,
)
from tcmpay.audit.models import ChainKey

FIRST, SECOND = "a-key-of-the-chains-" * 3, "another-key-of-chains-" * 3
ROW = uuid.uuid4()


@pytest.fixture(autouse=True)
def _one_key(settings) -> None:
    settings.AUDIT_CHAIN_KEYS = [FIRST]


def test_a_digest_holds_for_its_content_alone():
    made = chain_mac("chain", b"content")
    assert chain_mac_verdict("chain", b"content", made) is Verdict.HOLDS
    assert chain_mac_verdict("chain", b"Content", made) is Verdict.WRONG
    assert chain_mac_verdict("chain", b"content", made[:-1] + "g") is Verdict.WRONG


def test_a_digest_for_one_purpose_serves_no_other():
    made = chain_mac("chain", b"content")
    assert chain_mac_verdict("seal", b"content", made) is Verdict.WRONG


def test_a_digest_fits_where_the_plain_hash_stood():
    made = chain_mac("chain", b"content")
    assert len(made) == 64
    assert key_id_of(made) == current_key_id()


def test_a_plain_hash_is_told_from_a_keyed_digest():
    plain = hashlib.sha256(b"content").hexdigest()
    assert key_id_of(plain) == ""
    assert chain_mac_verdict("chain", b"content", plain) is Verdict.HOLDS
    assert chain_mac_verdict("chain", b"other", plain) is Verdict.WRONG


def test_a_former_key_verifies_and_no_longer_makes(settings):
    made = chain_mac("chain", b"content")
    settings.AUDIT_CHAIN_KEYS = [SECOND, FIRST]
    assert chain_mac_verdict("chain", b"content", made) is Verdict.HOLDS
    assert key_id_of(chain_mac("chain", b"content")) != key_id_of(made)


@pytest.mark.django_db
def test_a_digest_under_a_key_that_is_not_there_is_not_called_a_forgery(settings):
    made = chain_mac("chain", b"content")
    settings.AUDIT_CHAIN_KEYS = [SECOND]
    assert chain_mac_verdict("chain", b"content", made) is Verdict.KEY_MISSING


def test_the_encryption_keys_stand_in_and_go_on_verifying(settings):
    settings.AUDIT_CHAIN_KEYS = []
    made = chain_mac("chain", b"content")
    settings.AUDIT_CHAIN_KEYS = [FIRST]
    assert chain_mac_verdict("chain", b"content", made) is Verdict.HOLDS
    assert key_id_of(chain_mac("chain", b"content")) != key_id_of(made)


@pytest.mark.django_db
def test_what_a_replaced_encryption_key_made_holds_once_it_was_kept(settings):
    settings.AUDIT_CHAIN_KEYS = []
    former, new, newest = (Fernet.generate_key().decode() for _number in range(3))
    settings.CONFIG_ENCRYPTION_KEYS = [former]
    made = chain_mac("chain", b"content")
    for keys in ([new, former], [newest, new]):
        settings.CONFIG_ENCRYPTION_KEYS = keys
        with atomic():
            chain_keys_keep()
    settings.CONFIG_ENCRYPTION_KEYS = [newest]
    assert chain_mac_verdict("chain", b"content", made) is Verdict.HOLDS
    assert chain_mac_verdict("chain", b"other", made) is Verdict.WRONG


@pytest.mark.django_db
def test_a_kept_key_is_sealed_and_serves_under_its_own_name_alone(settings):
    settings.AUDIT_CHAIN_KEYS = []
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode() for _number in range(2)]
    with atomic():
        assert chain_keys_keep() == 2
    row = ChainKey.objects.get(key_id=current_key_id())
    ChainKey.objects.create(key_id="00000000", sealed_key=row.sealed_key)
    forged = "00000000" + chain_mac("chain", b"content")[8:]
    assert chain_mac_verdict("chain", b"content", forged) is Verdict.KEY_MISSING


FACTS = {
    "amount": Decimal("30"),
    "at": datetime(2026, 11, 3, 9, 30, tzinfo=UTC),
    "by": ROW,
    "day": date(2026, 11, 3),
    "nobody": None,
    "number": 3,
    "is_mock": False,
    "text": "部分退款",
    "list": ["a", {"b": 1}],
}


def test_equal_facts_give_one_digest_whatever_they_were_read_from():
    made = row_mac("refund", ROW, FACTS)
    shanghai = timezone(timedelta(hours=8))
    same = {
        **FACTS,
        "amount": Decimal("30.00"),
        "at": datetime(2026, 11, 3, 17, 30, tzinfo=shanghai),
        "by": str(ROW),
        "list": ("a", {"b": 1}),
    }
    assert row_mac_holds("refund", str(ROW), same, made)


@pytest.mark.parametrize("name", FACTS)
def test_each_fact_is_bound(name):
    made = row_mac("refund", ROW, FACTS)
    assert not row_mac_holds("refund", ROW, {**FACTS, name: "other"}, made)


def test_a_digest_is_bound_to_its_row_and_kind():
    made = row_mac("refund", ROW, FACTS)
    assert not row_mac_holds("refund", uuid.uuid4(), FACTS, made)
    assert not row_mac_holds("order", ROW, FACTS, made)


def test_a_row_takes_no_digest_that_was_made_without_a_key():
    content = b'["x",{}]'
    assert not row_mac_holds("refund", "x", {}, hashlib.sha256(content).hexdigest())


def test_what_reads_differently_elsewhere_is_refused():
    with pytest.raises(TypeError):
        row_mac("refund", ROW, {"amount": 0.1})
