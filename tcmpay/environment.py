"""Reading the environment: one place that knows where a setting's value may come from.

A value is taken from the variable, from the file named by ``NAME_FILE`` (secrets), or from the
project's ``.env``. With DEBUG on, missing secrets are made once and kept in a git-ignored file.
"""

import json
import os
import secrets
from pathlib import Path

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

SECRET_MIN_BYTES = 32
# Addresses that carry a password, and so may come from a file too.
ADDRESSES_WITH_PASSWORDS = ("DATABASE_URL", "CACHE_URL", "CELERY_BROKER_URL")
# Values that stand in documents; whoever copied one has no secret.
WEAK_SECRET_PARTS = (
    "changeme",
    "change-me",
    "secret-key",
    "django-insecure",
    "your-",
    "example",
)


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
        return value

    def optional(self, name: str) -> str:
        return read_secret(name)

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

    def _check_strength(self, name: str, value: str) -> None:
        if len(value.encode()) < SECRET_MIN_BYTES:
            self._problems.append(f"{name} is shorter than {SECRET_MIN_BYTES} bytes")
        if len(set(value)) < 8 or any(part in value.lower() for part in WEAK_SECRET_PARTS):
            self._problems.append(f"{name} looks like a placeholder: generate a random one")

    def _development_value(self, name: str, *, fernet: bool) -> str:
        stored = json.loads(self._file.read_text()) if self._file.exists() else {}
        if name not in stored:
            stored[name] = Fernet.generate_key().decode() if fernet else secrets.token_urlsafe(48)
            self._file.touch(mode=0o600, exist_ok=True)
            self._file.write_text(json.dumps(stored, indent=2))
        return str(stored[name])
