"""Digests under keys that the database does not hold: whoever writes it by SQL can't make them.

A digest is 64 characters: the key's id (8), a point, and 220 bits of HMAC-SHA256 in hex. The id
tells which key to verify with, so that keys can be replaced. A digest without a point is from the
time before there were keys (plain SHA-256).

The first of AUDIT_CHAIN_KEYS makes digests; the others, and those made from CONFIG_ENCRYPTION_KEYS,
verify. Where AUDIT_CHAIN_KEYS is not set, CONFIG_ENCRYPTION_KEYS stand in for it, and what
a former one of them made is verified with its copy in ``audit_chain_keys``, sealed with the
present one (``chain_keys_keep``).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from tcmpay.audit.models import ChainKey
from tcmpay.common import clock

KEY_ID_LENGTH = 8
MAC_LENGTH = 55
UNKEYED = ""
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Verdict(StrEnum):
    """What a stored digest says of the content beside it."""

    HOLDS = "holds"
    WRONG = "wrong"
    KEY_MISSING = "key_missing"


class _Key(NamedTuple):
    id: str
    secret: bytes


class _Ring(NamedTuple):
    current: _Key
    known: Mapping[str, bytes]


def canonical(content: Any) -> bytes:
    """``content`` as the one JSON text that digests are made of."""
    return _ENCODER.encode(content).encode()


def chain_mac(kind: str, content: bytes) -> str:
    """The digest of ``content``; made for one ``kind`` of purpose it serves no other."""
    return _mac(_ring_now().current, kind, content)


def chain_mac_verdict(kind: str, content: bytes, stored: str) -> Verdict:
    """Whether ``stored`` is the digest of ``content``, under whichever key made it.

    A digest without a key holds too, when it is the plain hash: whether one is in order there
    is for the caller to say (``tcmpay.audit.seals.KeyPeriods``).
    """
    ring = _ring_now()
    key_id = key_id_of(stored)
    if key_id == UNKEYED:
        return _verdict(hashlib.sha256(content).hexdigest(), stored)
    secret = ring.known.get(key_id) or _kept_secret(key_id)
    if secret is None:
        return Verdict.KEY_MISSING
    return _verdict(_mac(_Key(key_id, secret), kind, content), stored)


def mac_reader(kind: str) -> Callable[[bytes, str], bool]:
    """A quick way to ask of many digests of one ``kind`` whether they hold, under a key of ours.

    It knows the keys of the moment at which it was made.
    """
    head = kind.encode() + b"\n"
    started: dict[str, tuple[Any, Any]] = {}

    def holds(content: bytes, stored: str) -> bool:
        begun = started.get(stored[: KEY_ID_LENGTH + 1])
        if begun is None:
            key_id = key_id_of(stored)
            secret = _ring_now().known.get(key_id) or _kept_secret(key_id)
            if key_id == UNKEYED or secret is None:
                return False
            begun = started[f"{key_id}."] = _hmac_begun(secret, head)
        inner, outer = begun[0].copy(), begun[1].copy()
        inner.update(content)
        outer.update(inner.digest())
        made: str = outer.hexdigest()[:MAC_LENGTH]
        return made == stored[KEY_ID_LENGTH + 1 :]

    return holds


def _hmac_begun(secret: bytes, head: bytes) -> tuple[Any, Any]:
    """Both halves of HMAC-SHA256 (RFC 2104) after the key, the inner one after ``head`` too.

    To copy them is several times quicker than to begin anew with the key.
    """
    padded = secret.ljust(hashlib.sha256().block_size, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + head)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    return inner, outer


def row_mac(kind: str, row_id: object, facts: Mapping[str, Any]) -> str:
    """A keyed digest of one row's ``facts``, to be kept in a column of it or in its audit row.

    Facts may be text, whole numbers, booleans, None, amounts, moments, days, UUIDs, and lists and
    mappings of these; equal ones give equal digests, before they are stored and after they were
    read. Raises TypeError for anything else.
    """
    return chain_mac(f"row:{kind}", _row_content(row_id, facts))


def row_mac_holds(kind: str, row_id: object, facts: Mapping[str, Any], stored: str) -> bool:
    """Whether ``stored`` is the digest of these facts, made under a key of ours."""
    if key_id_of(stored) == UNKEYED:
        return False
    content = _row_content(row_id, facts)
    return chain_mac_verdict(f"row:{kind}", content, stored) is Verdict.HOLDS


def key_id_of(stored: str) -> str:
    """The id of the key that made the digest; "" for one that was made without."""
    return stored[:KEY_ID_LENGTH] if stored[KEY_ID_LENGTH : KEY_ID_LENGTH + 1] == "." else UNKEYED


def current_key_id() -> str:
    return _ring_now().current.id


def chain_keys_keep() -> int:
    """Seal every key of ours with the first of CONFIG_ENCRYPTION_KEYS; the number of them.

    Afterwards the other encryption keys may go: what their stand-ins made can still be verified.
    Must run in a transaction.
    """
    secrets = {key.id: key.secret for key in _keys(tuple(settings.CONFIG_ENCRYPTION_KEYS))}
    for row in ChainKey.objects.all():
        if (secret := _opened(row)) is not None:
            secrets[row.key_id] = secret
    newest = Fernet(settings.CONFIG_ENCRYPTION_KEYS[0])
    for key_id, secret in secrets.items():
        sealed = newest.encrypt(f"{key_id}:{secret.hex()}".encode()).decode()
        ChainKey.objects.update_or_create(
            key_id=key_id, defaults={"sealed_key": sealed, "kept_at": clock.now()}
        )
    return len(secrets)


def _ring_now() -> _Ring:
    return _ring(tuple(settings.AUDIT_CHAIN_KEYS), tuple(settings.CONFIG_ENCRYPTION_KEYS))


@lru_cache(maxsize=8)
def _ring(chain_keys: tuple[str, ...], stand_ins: tuple[str, ...]) -> _Ring:
    keys = (*_keys(chain_keys), *_keys(stand_ins))
    return _Ring(keys[0], {key.id: key.secret for key in keys})


def _keys(texts: tuple[str, ...]) -> list[_Key]:
    return [_key(text) for text in texts]


def _key(text: str) -> _Key:
    secret = HKDF(SHA256(), 32, salt=None, info=b"tcmpay audit chains 1").derive(text.encode())
    key_id = hashlib.sha256(b"tcmpay chain key id" + secret).hexdigest()[:KEY_ID_LENGTH]
    return _Key(key_id, secret)


def _kept_secret(key_id: str) -> bytes | None:
    row = ChainKey.objects.filter(key_id=key_id).first()
    return None if row is None else _opened(row)


def _opened(row: ChainKey) -> bytes | None:
    return _unsealed(row.key_id, row.sealed_key, tuple(settings.CONFIG_ENCRYPTION_KEYS))


@lru_cache(maxsize=32)
def _unsealed(key_id: str, sealed: str, keys: tuple[str, ...]) -> bytes | None:
    try:
        text = MultiFernet([Fernet(key) for key in keys]).decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeError):
        return None
    named, _separator, secret = text.partition(":")
    return bytes.fromhex(secret) if named == key_id else None


def _mac(key: _Key, kind: str, content: bytes) -> str:
    digest = hmac.digest(key.secret, b"%b\n%b" % (kind.encode(), content), "sha256")
    return f"{key.id}.{digest.hex()[:MAC_LENGTH]}"


def _verdict(made: str, stored: str) -> Verdict:
    return Verdict.HOLDS if hmac.compare_digest(made, stored) else Verdict.WRONG


def _row_content(row_id: object, facts: Mapping[str, Any]) -> bytes:
    return canonical([str(row_id), _plain(facts)])


def _plain(value: Any) -> Any:
    """As text that is the same on every database."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return clock.utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is no fact")
