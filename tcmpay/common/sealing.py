"""Secrets at rest: AES-256-GCM with the keys of CONFIG_ENCRYPTION_KEYS, the first of which seals.

A sealed value is bound to its place (table, row, what it is for): copied anywhere else it opens no
more. It reads ``enc:2:<key id>:<nonce and ciphertext>``, so that what was written by SQL is told
from what is ours, and a lost key from a value that was moved or altered.

Values of before, ``enc:1:`` (Fernet), were bound to nothing. ``former_opened`` alone reads them,
for those who seal them anew; everything else takes them for unreadable.
"""

import secrets
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MARK = "enc:"
PREFIX = f"{MARK}2:"
FORMER_PREFIX = f"{MARK}1:"
_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class ConfigKeysMalformed(ImproperlyConfigured):
    """CONFIG_ENCRYPTION_KEYS can't encrypt anything: the process must not start."""


class SealProblem(StrEnum):
    """Why a stored text does not open where it lies."""

    NOT_SEALED = "not_sealed"
    UNBOUND = "unbound"  # of the former kind, which is bound to no place
    KEY_MISSING = "key_missing"
    MISPLACED = "misplaced"  # made for another place, or altered


class ConfigSecretUnreadable(Exception):
    """Stored values that can't be opened where they lie; ``keys`` names them, never shows them.

    Nothing is guessed and nothing is sent in their place: whoever needs the value fails.
    """

    def __init__(self, *keys: str, problem: SealProblem = SealProblem.KEY_MISSING) -> None:
        self.keys, self.problem = keys, problem
        super().__init__(
            f"stored configuration can't be decrypted: {', '.join(keys) or 'value'}. "
            "CONFIG_ENCRYPTION_KEYS lacks the key that encrypted it. Put the former key back, "
            "after the new one (new,former), and run `manage.py rotate_config_keys`; if it is "
            "lost, or somebody put the value there by hand, enter these values again in the admin."
        )


class Place(NamedTuple):
    """Where a sealed value belongs: it opens nowhere else."""

    table: str
    row: str
    purpose: str

    @property
    def associated(self) -> bytes:
        # Lengths first, so that no two places read alike.
        return "".join(f"{len(part)}:{part}" for part in self).encode()


class _Key(NamedTuple):
    cipher: AESGCM
    former: Fernet


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> Mapping[str, _Key]:
    """The keys by their ids, the one that seals first."""
    if not keys:
        raise ConfigKeysMalformed(
            "CONFIG_ENCRYPTION_KEYS is empty: set one or more Fernet keys, separated by commas."
        )
    try:
        return {_key_id(key): _Key(AESGCM(_derived(key, b"seal")), Fernet(key)) for key in keys}
    except ValueError as error:
        raise ConfigKeysMalformed(
            "CONFIG_ENCRYPTION_KEYS is malformed: each key is 32 bytes in url-safe base64 "
            "(44 characters). Make one with: python -c "
            '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from error


def _derived(key: str, purpose: bytes) -> bytes:
    """The same secret serves Fernet too, so what AES-GCM uses is derived from it."""
    Fernet(key)  # raises ValueError for whatever is no key
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tcmpay 2 " + purpose)
    return derivation.derive(urlsafe_b64decode(key))


def _key_id(key: str) -> str:
    return _derived(key, b"id")[:_KEY_ID_BYTES].hex()


def _configured() -> Mapping[str, _Key]:
    return _ring(tuple(settings.CONFIG_ENCRYPTION_KEYS))


def ensure_keys_usable() -> None:
    """Raises ConfigKeysMalformed."""
    _configured()


def is_sealed(stored: str) -> bool:
    """Whether the text says that it is sealed, in whatever form."""
    return stored.startswith(MARK)


def is_unbound(stored: str) -> bool:
    """Whether the text is of the former kind."""
    return stored.startswith(FORMER_PREFIX)


def seal(text: str, place: Place) -> str:
    """``text`` encrypted with the first key, to be opened at ``place`` alone."""
    key_id, key = next(iter(_configured().items()))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + key.cipher.encrypt(nonce, text.encode(), place.associated)
    return f"{PREFIX}{key_id}:{urlsafe_b64encode(sealed).decode()}"


def unseal(stored: str, place: Place) -> str:
    """The text that was sealed for ``place``. Raises ConfigSecretUnreadable."""
    if not stored.startswith(PREFIX):
        problem = SealProblem.UNBOUND if is_unbound(stored) else SealProblem.NOT_SEALED
        raise ConfigSecretUnreadable(problem=problem)
    key_id, _separator, text = stored.removeprefix(PREFIX).partition(":")
    key = _configured().get(key_id)
    if key is None:
        raise ConfigSecretUnreadable(problem=SealProblem.KEY_MISSING)
    try:
        sealed = b64decode(text, altchars=b"-_", validate=True)
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return key.cipher.decrypt(nonce, ciphertext, place.associated).decode()
    except (InvalidTag, ValueError) as error:
        raise ConfigSecretUnreadable(problem=SealProblem.MISPLACED) from error


def seal_problem(stored: str, place: Place) -> SealProblem | None:
    """Why ``stored`` does not open at ``place``; None when it does."""
    try:
        unseal(stored, place)
    except ConfigSecretUnreadable as error:
        return error.problem
    return None


def is_sealed_with_first_key(stored: str) -> bool:
    return stored.startswith(f"{PREFIX}{next(iter(_configured()))}:")


def plain(stored: str, place: Place) -> str:
    """The value of a text stored at ``place``, sealed or not. Raises ConfigSecretUnreadable."""
    return unseal(stored, place) if is_sealed(stored) else stored


def former_opened(stored: str) -> str:
    """The text of a value that was sealed before seals were bound. Raises ConfigSecretUnreadable.

    Only for sealing it anew, and only where what comes out is shown to nobody.
    """
    ring = MultiFernet([key.former for key in _configured().values()])
    try:
        return ring.decrypt(stored.removeprefix(FORMER_PREFIX).encode()).decode()
    except (InvalidToken, UnicodeError) as error:
        raise ConfigSecretUnreadable from error


def former_seal(text: str) -> str:
    """As values were sealed before: for going back to a release that knows no other."""
    return FORMER_PREFIX + next(iter(_configured().values())).former.encrypt(text.encode()).decode()
