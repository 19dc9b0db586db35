"""What the digest of an entry covers, written out: auditors with the key compute it too."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from balances.ledger import entry_hash, entry_verdict
from balances.models import BalanceTransaction
from tcmpay.audit.macs import Verdict

CONTENT = (
    '["before","0192f0c1-0000-7000-8000-000000000001","0192f0c1-0000-7000-8000-000000000101",7,'
    '"expense","30.00","100.00","70.00","5.00","5.00","order",'
    '"0192f0c1-0000-7000-8000-000000000002","图文咨询","0192f0c1-0000-7000-8000-000000000101",'
    '"2026-03-01T04:05:06.000007+00:00"]'
)


def entry(**changes) -> BalanceTransaction:
    columns = {
        "id": UUID("0192f0c1-0000-7000-8000-000000000001"),
        "user_id": UUID("0192f0c1-0000-7000-8000-000000000101"),
        "sequence": 7,
        "transaction_type": "expense",
        "amount": Decimal("30.00"),
        "balance_before": Decimal("100.00"),
        "balance_after": Decimal("70.00"),
        "frozen_before": Decimal("5.00"),
        "frozen_after": Decimal("5.00"),
        "related_type": "order",
        "related_id": UUID("0192f0c1-0000-7000-8000-000000000002"),
        "description": "图文咨询",
        "actor_id": UUID("0192f0c1-0000-7000-8000-000000000101"),
        "created_at": datetime(2026, 3, 1, 4, 5, 6, 7, tzinfo=UTC),
        "previous_hash": "before",
    }
    return BalanceTransaction(**columns | changes)


def test_the_content_is_what_is_written_here(settings):
    settings.AUDIT_CHAIN_KEYS = ["a-key-of-the-chains-that-is-long-enough"]
    secret = HKDF(SHA256(), 32, salt=None, info=b"tcmpay audit chains 1").derive(
        settings.AUDIT_CHAIN_KEYS[0].encode()
    )
    key_id = hashlib.sha256(b"tcmpay chain key id" + secret).hexdigest()[:8]
    content = b"balance_transactions\n" + CONTENT.encode()
    digest = hmac.new(secret, content, "sha256").hexdigest()[:55]
    assert entry_hash(entry()) == f"{key_id}.{digest}"


def test_an_entry_from_before_there_were_keys_has_the_plain_hash():
    plain = hashlib.sha256(CONTENT.encode()).hexdigest()
    assert entry_verdict(entry(hash=plain)) is Verdict.HOLDS
    assert entry_verdict(entry(hash=plain, amount=Decimal("31.00"))) is Verdict.WRONG


def test_a_moment_is_the_same_in_every_time_zone():
    shanghai = entry().created_at.astimezone(timezone(timedelta(hours=8)))
    assert entry_hash(entry(created_at=shanghai)) == entry_hash(entry())


@pytest.mark.parametrize(
    "changes",
    [
        {"previous_hash": "another"},
        {"id": UUID("0192f0c1-0000-7000-8000-000000000009")},
        {"user_id": UUID("0192f0c1-0000-7000-8000-000000000102")},
        {"sequence": 8},
        {"transaction_type": "income"},
        {"amount": Decimal("30.01")},
        {"balance_before": Decimal("100.01")},
        {"balance_after": Decimal("70.01")},
        {"frozen_before": Decimal("5.01")},
        {"frozen_after": Decimal("5.01")},
        {"related_type": "refund"},
        {"related_id": UUID("0192f0c1-0000-7000-8000-000000000003")},
        {"description": "处方费"},
        {"actor_id": None},
        {"created_at": datetime(2026, 3, 1, 4, 5, 6, 8, tzinfo=UTC)},
        {"occasion": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_column_is_covered(changes):
    assert entry_hash(entry(**changes)) != entry_hash(entry())
