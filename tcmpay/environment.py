"""Reading the environment: one place that knows where a setting's value may come from.

A value is taken from the variable, from the file named by ``NAME_FILE`` (secrets), or from the
project's ``.env``. With DEBUG on, missing secrets are made once and kept in a git-ignored file.
"""

import base64
import binascii
import json
import math
import os
import secrets
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import environ
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.core.exceptions import ImproperlyConfigured

SECRET_MIN_BYTES = 32
# Addresses that carry a password, and so may come from a file too.
ADDRESSES_WITH_PASSWORDS = ("DATABASE_URL", "CACHE_URL", "CELERY_BROKER_URL")
# Values that stand in documents; whoever copied one has no secret.
WEAK_SECRET_PARTS = (
    "changeme",
    "change-me",
    "change_me",
    "secret-key",
    "secret_key",
    "supersecret",
    "django-insecure",
    "your-",
    "your_",
    "example",
    "placeholder",
    "password",
    "tests-only",
    "checks-only",
    "demo-only",
    "tcmpay",
    "0123456789",
    "abcdefgh",
)
# Shannon's measure over the letters: 32 random bytes as text have more than 4.
ENTROPY_BITS_PER_CHARACTER_MIN = 3.3
# Passwords of databases and queues that stand in documents or come with packages.
WEAK_PASSWORDS = frozenset(
    {
        "password", "passwd", "pass", "root", "admin", "secret", "changeme", "123456", "12345678",
        "mysql", "mariadb", "redis", "tcm", "tcm_user", "tcm_password", "tcmpay", "test", "demo",
        "a-long-password", "your-password", "your_password", "redis-password",
    }
)  # fmt: skip
RSA_BITS_MIN = 2048


def load_env(base_dir: Path) -> environ.Env:
    """Read ``.env`` (or the file that TCMPAY_ENV_FILE names; empty: none) and return the reader."""
    env = environ.Env()
    env_file = os.environ.get("TCMPAY_ENV_FILE", str(base_dir / ".env"))
    if env_file and Path(env_file).is_file():
        environ.Env.read_env(env_file, overwrite=False)
    for name in ADDRESSES_WITH_PASSWORDS:
        if value := read_secret(name):
            os.environ[name] = _in_known_scheme(value)
    return env


def _in_known_scheme(address: str) -> str:
    """MariaDB speaks MySQL's protocol and has the same Django backend."""
    return address.replace("mariadb://", "mysql://", 1)


def read_secret(name: str) -> str:
    """The secret called ``name``, from its variable or from the file named by ``NAME_FILE``.

    Returns "" when neither is set. Raises ImproperlyConfigured when the file can't be read.
    """
    if value := os.environ.get(name, ""):
        return value
    if path := os.environ.get(f"{name}_FILE", ""):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE: cannot read {path} ({error.strerror})"
            ) from error
    return ""


class Secrets:
    """The deployment's secrets; with ``debug`` on, missing ones are generated and remembered."""

    def __init__(self, *, debug: bool, development_file: Path) -> None:
        self._debug = debug
        self._file = development_file
        self._problems: list[str] = []

    def require(self, name: str, *, fernet: bool = False) -> str:
        value = read_secret(name)
        if not value and self._debug:
            return self._development_value(name, fernet=fernet)
        if not value:
            self._problems.append(f"{name} (or {name}_FILE) is missing")
        elif not self._debug:
            self._check_strength(name, value)
            if fernet:
                self._check_fernet(name, value)
        return value

    def optional(self, name: str) -> str:
        return read_secret(name)

    def check_each(self, name: str, values: list[str]) -> None:
        """Refuse weak ones among secrets that stand in one variable, separated by commas."""
        for value in values if not self._debug else []:
            self._check_strength(name, value)

    def complain(self, problem: str) -> None:
        self._problems.append(problem)

    def raise_problems(self) -> None:
        """Refuse to start, naming every problem at once."""
        if self._problems:
            raise ImproperlyConfigured(
                "tcmpay does not start with this environment: "
                + "; ".join(self._problems)
                + ". See the configuration table in README.md; for development set DEBUG=on."
            )

    def check_addresses(self) -> None:
        """Refuse well-known passwords in the addresses of database and queue."""
        for name in ADDRESSES_WITH_PASSWORDS:
            password = unquote(_password_of(read_secret(name)))
            if not self._debug and password and password.lower() in WEAK_PASSWORDS:
                self._problems.append(f"{name} has a password that stands in documents")

    def check_apart(self, *names: str) -> None:
        """Refuse one secret for two purposes: who learns it in one place has both."""
        values = [value for name in names if (value := read_secret(name))]
        if not self._debug and len(set(values)) < len(values):
            self._problems.append(f"{', '.join(names)} must differ from each other")

    def check_public_key(self, name: str, pem: str, algorithm: str) -> None:
        """Refuse what is no public key, of another kind than ``algorithm`` needs, or too short."""
        try:
            key = load_pem_public_key(pem.replace("\\n", "\n").encode())
        except (ValueError, UnsupportedAlgorithm):
            self._problems.append(f"{name} is not a public key in PEM")
            return
        kind = RSAPublicKey if algorithm == "RS256" else EllipticCurvePublicKey
        if not isinstance(key, kind):
            self._problems.append(f"{name} is not a key for {algorithm}")
        elif isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
            self._problems.append(f"{name} is shorter than {RSA_BITS_MIN} bits")

    def _check_strength(self, name: str, value: str) -> None:
        if len(value.encode()) < SECRET_MIN_BYTES:
            self._problems.append(f"{name} is shorter than {SECRET_MIN_BYTES} bytes")
        if _is_weak(value):
            self._problems.append(f"{name} looks like a placeholder: generate a random one")
        elif value in self._development_values():
            self._problems.append(f"{name} is the one made for development: generate another")

    def _check_fernet(self, name: str, value: str) -> None:
        for key in filter(None, (part.strip() for part in value.split(","))):
            try:
                raw = base64.urlsafe_b64decode(key.encode())
            except (binascii.Error, ValueError):
                raw = b""
            if len(raw) != 32:
                self._problems.append(f"{name} is malformed: Fernet keys of 44 characters")
            elif len(set(raw)) < 16 or all(32 <= byte < 127 for byte in raw):
                # Of 32 random bytes about 30 differ, and never are all of them letters.
                self._problems.append(f"{name} looks like a placeholder: generate a random one")

    def _development_values(self) -> set[str]:
        try:
            return {str(value) for value in json.loads(self._file.read_text()).values()}
        except (OSError, ValueError):
            return set()

    def _development_value(self, name: str, *, fernet: bool) -> str:
        stored = json.loads(self._file.read_text()) if self._file.exists() else {}
        if name not in stored:
            stored[name] = Fernet.generate_key().decode() if fernet else secrets.token_urlsafe(48)
            self._file.touch(mode=0o600, exist_ok=True)
            self._file.write_text(json.dumps(stored, indent=2))
        return str(stored[name])


def _password_of(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


def _is_weak(value: str) -> bool:
    folded = value.lower()
    return (
        len(set(value)) < 12
        or any(part in folded for part in WEAK_SECRET_PARTS)
        or _entropy_bits_per_character(value) < ENTROPY_BITS_PER_CHARACTER_MIN
    )


def _entropy_bits_per_character(text: str) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
