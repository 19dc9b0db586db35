"""Secrets at rest: Fernet with the keys of CONFIG_ENCRYPTION_KEYS, the first of which encrypts.

A sealed value begins with ``enc:1:``, so that what was written by SQL is told from what is ours.
"""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

PREFIX = "enc:1:"


class ConfigKeysMalformed(ImproperlyConfigured):
    """CONFIG_ENCRYPTION_KEYS can't encrypt anything: the process must not start."""


class ConfigSecretUnreadable(Exception):
    """Stored values that none of the configured keys opens; ``keys`` names them, never shows them.

    Nothing is guessed and nothing is sent in their place: whoever needs the value fails.
    """

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        super().__init__(
            f"stored configuration can't be decrypted: {', '.join(keys) or 'value'}. "
            "CONFIG_ENCRYPTION_KEYS lacks the key that encrypted it. Put the former key back, "
            "after the new one (new,former), and run `manage.py rotate_config_keys`; if it is "
            "lost, enter these values again in the admin."
        )


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> tuple[Fernet, ...]:
    if not keys:
        raise ConfigKeysMalformed(
            "CONFIG_ENCRYPTION_KEYS is empty: set one or more Fernet keys, separated by commas."
        )
    try:
        return tuple(Fernet(key) for key in keys)
    except ValueError as error:
        raise ConfigKeysMalformed(
            "CONFIG_ENCRYPTION_KEYS is malformed: each key is 32 bytes in url-safe base64 "
            "(44 characters). Make one with: python -c "
            '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from error


def ensure_keys_usable() -> None:
    """Raises ConfigKeysMalformed."""
    _ring(tuple(settings.CONFIG_ENCRYPTION_KEYS))


def is_sealed(stored: str) -> bool:
    return stored.startswith(PREFIX)


def seal(text: str) -> str:
    """``text`` encrypted with the first key."""
    newest = _ring(tuple(settings.CONFIG_ENCRYPTION_KEYS))[0]
    return PREFIX + newest.encrypt(text.encode()).decode()


def unseal(stored: str) -> str:
    """The text that ``stored`` holds. Raises ConfigSecretUnreadable."""
    ring = MultiFernet(_ring(tuple(settings.CONFIG_ENCRYPTION_KEYS)))
    try:
        return ring.decrypt(stored.removeprefix(PREFIX).encode()).decode()
    except (InvalidToken, UnicodeError) as error:
        raise ConfigSecretUnreadable() from error


def is_sealed_with_first_key(stored: str) -> bool:
    newest = _ring(tuple(settings.CONFIG_ENCRYPTION_KEYS))[0]
    try:
        newest.decrypt(stored.removeprefix(PREFIX).encode())
    except InvalidToken:
        return False
    return True


def plain(stored: str) -> str:
    """The value of a stored text, sealed or not. Raises ConfigSecretUnreadable."""
    return unseal(stored) if is_sealed(stored) else stored
