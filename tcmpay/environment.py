"""Reading the environment: one place that knows where a setting's value may come from.

A value is taken from the variable or the project's ``.env``; a secret also from the file that
``NAME_FILE`` names, or from the one called NAME in $CREDENTIALS_DIRECTORY (systemd's). With DEBUG
on, missing secrets are made once and kept in a git-ignored file.
"""

import base64
import binascii
import difflib
import json
import math
import os
import secrets
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import environ
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from django.core.exceptions import ImproperlyConfigured

from tcmpay.dotenv import EnvFile, FileNotRead, TextUnreadable, read_env_file, read_text

# Variables of other programs in our file whose names are like ours.
OTHERS_NAMES = frozenset(
    {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "PORT", "TZ", "CREDENTIALS_DIRECTORY"}
)
SECRET_MIN_BYTES = 32
# Addresses that carry a password, and so may come from a file too.
ADDRESSES_WITH_PASSWORDS = (
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "CACHE_URL",
    "CELERY_BROKER_URL",
)
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


TRUE = frozenset({"true", "on", "yes", "y", "1", "ok"})
FALSE = frozenset({"false", "off", "no", "n", "0"})
DATABASE_SCHEMES = frozenset({"mysql", "mariadb", "sqlite"})
CACHE_SCHEMES = frozenset({"redis", "rediss", "locmemcache", "dummycache"})
BROKER_SCHEMES = frozenset({"redis", "rediss", "amqp", "amqps", "filesystem", "memory"})
# What editors, consoles and copied pages leave at the edges of a value.
EDGES = " \t\r\n\ufeff\u200b\u2060\u00a0"
# How near a name has to be to one of ours to be taken for a slip of the pen.
SIMILAR_FROM = 0.85


class _Values:
    """The one reader of settings: what it gives is what was checked and what is used.

    A value that can't be used is a problem, told by its variable's name and never by itself; its
    default stands in meanwhile, so that one start tells all problems. Empty means not set.
    """

    def __init__(self, file: EnvFile | None = None) -> None:
        self.file = file or EnvFile()
        # Where values were read from, `.env` included.
        self.files: list[str] = []
        self._handed_over: set[str] = set()
        self.secret_names: set[str] = set()
        self._known: set[str] = set()
        self._problems: list[str] = []
        for name, value in self.file.values.items():
            os.environ.setdefault(name, value)

    def complain(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)

    @property
    def problems(self) -> list[str]:
        return [*self.file.problems, *self._malformed(), *self._misspelt(), *self._problems]

    @property
    def sources(self) -> dict[str, str]:
        """Where each setting's value came from, in a word; "" where its default stands in."""
        pointers = {f"{name}_FILE" for name in self._known}
        return {name: self._source(name) for name in self._known - pointers}

    def _source(self, name: str) -> str:
        if value := os.environ.get(name, ""):
            return self.file.name if self.file.values.get(name) == value else "environment"
        if os.environ.get(f"{name}_FILE"):
            return f"{name}_FILE"
        return "credential" if name in self._handed_over else ""

    def is_set(self, name: str) -> bool:
        return bool(self.text(name))

    # -- values ----------------------------------------------------------------------------------

    def text(self, name: str, *, lines: bool = False) -> str:
        """The value as it is used: without edges and quotes around it; "" when there is none."""
        self._known.add(name)
        return self._cleaned(name, os.environ.get(name, ""), lines=lines)

    def word(self, name: str, default: str = "") -> str:
        return self.text(name) or default

    def number(self, name: str, default: int = 0) -> int:
        text = self.text(name)
        if not text:
            return default
        if not (text.removeprefix("-").isdigit() and text.isascii() and len(text) <= 12):
            self.complain(f"{name} must be a whole number")
            return default
        return int(text)

    def flag(self, name: str, default: bool = False) -> bool:
        text = self.text(name).lower()
        if text and text not in TRUE | FALSE:
            self.complain(f"{name} must be on or off")
        return text in TRUE if text in TRUE | FALSE else default

    def words(self, name: str, default: list[str] | None = None) -> list[str]:
        """Words between commas; a word holds no space, no quote and no comment."""
        words = [word.strip() for word in self.text(name).split(",") if word.strip()]
        if any(char.isspace() or char in "'\"#" for word in words for char in word):
            self.complain(f"{name} must be words separated by commas, and nothing behind them")
            return []
        return words or [*(default or ())]

    def secret(self, name: str, *, lines: bool = False) -> str:
        """The secret called ``name``: from its variable, from the file named by NAME_FILE, or from
        the service manager's folder of credentials."""
        self.secret_names.add(name)
        value = self.text(name, lines=lines)
        if not value:
            value = self._from_file(name, lines=lines)
        if " #" in value or "\t#" in value:
            self.complain(f"{name} has a comment behind it")
        return value

    def database(self, name: str, default: str = "") -> dict[str, Any]:
        """Django's settings of a database, from its address; {} when there is none to be had."""
        # MariaDB speaks MySQL's protocol and has the same Django backend.
        address = self.secret(name).replace("mariadb://", "mysql://", 1) or default
        if not address:
            self.complain(f"{name} (or {name}_FILE) is missing")
            return {}
        problem = _problem_of_database(address)
        options: dict[str, Any] = {}
        if not problem:
            try:
                options = dict(environ.Env.db_url_config(address))
            except (ValueError, TypeError, KeyError, ImproperlyConfigured):
                problem = "can't be read as an address: percent-encode special characters"
        if problem:
            self.complain(f"{name} {problem}")
            return {}
        return options

    def cache(self, name: str, default: str) -> dict[str, Any]:
        address = self._address(name, default, CACHE_SCHEMES)
        try:
            return dict(environ.Env.cache_url_config(address))
        except (ValueError, TypeError, KeyError, ImproperlyConfigured):
            self.complain(f"{name} can't be read as an address: percent-encode special characters")
            return dict(environ.Env.cache_url_config(default))

    def broker(self, name: str, default: str) -> str:
        return self._address(name, default, BROKER_SCHEMES)

    # -- how they come ---------------------------------------------------------------------------

    def _address(self, name: str, default: str, schemes: frozenset[str]) -> str:
        address = self.secret(name)
        if not address:
            return default
        is_good = all(_is_address(part, schemes) for part in _each_address(name, address))
        if not is_good or any(char.isspace() for char in address):
            self.complain(
                f"{name} must be an address of {', '.join(sorted(schemes))}, "
                "special characters percent-encoded"
            )
            return default
        return address

    def _from_file(self, name: str, *, lines: bool) -> str:
        where, path = f"{name}_FILE", self.text(f"{name}_FILE")
        if not path and (folder := os.environ.get("CREDENTIALS_DIRECTORY")):
            where, path = f"the credential {name}", str(Path(folder) / name)
        if not path:
            return ""
        self.files.append(path)
        try:
            value = self._cleaned(where, read_text(Path(path)), lines=lines)
        except TextUnreadable as error:
            is_handed_over = not isinstance(error.__cause__, FileNotFoundError)
            if is_handed_over or where == f"{name}_FILE":
                self.complain(f"{where} names a file that {error.text}")
            return ""
        self._handed_over.add(name)
        if not value:
            self.complain(f"{where} names an empty file")
        elif value.startswith(f"{name}="):
            self.complain(f"{where} names a file that must hold the value alone")
        return value

    def _cleaned(self, name: str, raw: str, *, lines: bool = False) -> str:
        value = raw.strip(EDGES)
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1].strip(EDGES)
        elif value[:1] in ("'", '"') or value[-1:] in ("'", '"'):
            self.complain(f"{name} begins or ends with a quote that has no other")
        allowed = "\n\r\t" if lines else ""
        if any(not char.isprintable() and char not in allowed for char in value):
            self.complain(f"{name} has characters in it that can't be seen, or more than one line")
        return value

    # -- slips of the pen --------------------------------------------------------------------------

    def _malformed(self) -> list[str]:
        return [
            f"{self.file.name}: line {number}"
            f"{f' ({word})' if word in self._all_names() else ''} is not NAME=value"
            " (or a quote in it is not closed, or something follows it)"
            for number, word in self.file.malformed.items()
        ]

    def _misspelt(self) -> list[str]:
        """Names in the file that are nearly ours: told by the name that was meant."""
        names = self._all_names()
        found = []
        for name, number in self.file.lines.items():
            near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=SIMILAR_FROM)
            if name not in names and name not in OTHERS_NAMES and near:
                found.append(f"{self.file.name}: line {number} is no setting: {near[0]} was meant?")
        return found

    def _all_names(self) -> frozenset[str]:
        return frozenset(self._known | {f"{name}_FILE" for name in self._known})


class Environment(_Values):
    """By the names that django-environ gave its readers."""

    str = _Values.word
    int = _Values.number
    bool = _Values.flag
    list = _Values.words


def load_env(base_dir: Path) -> Environment:
    """Read ``.env`` (or the file that TCMPAY_ENV_FILE names; empty: none) and return the reader.

    Variables that are set already go before the file's.
    """
    named = os.environ.get("TCMPAY_ENV_FILE")
    if named == "":
        return Environment()
    if named:
        return _read(Path(named.strip(EDGES)), "TCMPAY_ENV_FILE")
    path = base_dir / ".env"
    try:
        read_text(path)
    except TextUnreadable as error:
        # A file that is there and no text is read once more below, which names what is wrong.
        if isinstance(error, FileNotRead):
            # Not asked for: a service manager may have read it, as root, and handed it over.
            if not isinstance(error.__cause__, FileNotFoundError):
                sys.stderr.write(f"tcmpay: .env {error.text} and is passed over\n")
            return Environment()
    return _read(path, ".env")


def _read(path: Path, name: str) -> Environment:
    env = Environment(read_env_file(path, name=name))
    env.files.append(str(path))
    return env


def _each_address(name: str, address: str) -> list[str]:
    """Of caches several servers may be named between commas, of queues several addresses."""
    if name != "CACHE_URL":
        return address.split(";") if name == "CELERY_BROKER_URL" else [address]
    scheme, separator, rest = address.partition("://")
    return [f"{scheme}{separator}{server}" for server in rest.split(",")]


def _is_address(address: str, schemes: frozenset[str]) -> bool:
    try:
        parts = urlsplit(address)
        _port = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and "://" in address and not parts.fragment


def _problem_of_database(address: str) -> str:
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) or "unix_socket" in parse_qs(parts.query)
        if parts.scheme not in DATABASE_SCHEMES:
            return "must be an address of mysql, mariadb or sqlite"
        if parts.scheme == "sqlite":
            is_named = address == "sqlite://:memory:" or address.startswith("sqlite:///")
            return "" if is_named else "must have three slashes: sqlite:///db.sqlite3"
        _port = parts.port
    except ValueError:
        return "can't be read as an address: percent-encode special characters"
    is_whole = has_host and bool(parts.path.strip("/")) and not parts.fragment
    if not is_whole or any(char.isspace() for char in address):
        return "must name host and database: mysql://USER:PASSWORD@HOST:3306/NAME"
    return ""


class Secrets:
    """The deployment's secrets; with ``debug`` on, missing ones are generated and remembered."""

    def __init__(self, env: Environment, *, debug: bool, development_file: Path) -> None:
        self._env = env
        self._debug = debug
        self._file = development_file

    def require(self, name: str, *, fernet: bool = False) -> str:
        value = self._env.secret(name)
        if not value and self._debug:
            return self._development_value(name, fernet=fernet)
        if not value:
            self.complain(f"{name} (or {name}_FILE) is missing")
            return ""
        if not self._debug:
            self._check_strength(name, value)
        if fernet:
            self._check_fernet(name, value)
        return value

    def optional(self, name: str, *, lines: bool = False) -> str:
        """With ``lines`` it may have several, as keys in PEM do."""
        return self._env.secret(name, lines=lines)

    def complain(self, problem: str) -> None:
        self._env.complain(problem)

    def raise_problems(self) -> None:
        """Refuse to start, telling every problem in a line of its own, without a traceback."""
        problems = self._env.problems
        if not problems:
            return
        hint = "See docs/configuration.md (docs/en/ in English); for development set DEBUG=on."
        lines = [*(f"tcmpay does not start: {problem}" for problem in problems), hint]
        raise SystemExit("\n".join(lines))

    def check_addresses(self) -> None:
        """Refuse well-known passwords in the addresses of database and queue."""
        for name in ADDRESSES_WITH_PASSWORDS:
            for address in _each_address(name, self._env.secret(name)):
                password = unquote(_password_of(address))
                if not self._debug and password and password.lower() in WEAK_PASSWORDS:
                    self.complain(f"{name} has a password that stands in documents")

    def check_each(self, name: str, values: list[str]) -> None:
        """Refuse weak ones among secrets that stand in one variable, separated by commas."""
        for value in values if not self._debug else []:
            self._check_strength(name, value)

    def check_apart(self, *names: str) -> None:
        """Refuse one secret for two purposes: who learns it in one place has both."""
        values = [value for name in names if (value := self._env.secret(name))]
        if not self._debug and len(set(values)) < len(values):
            self.complain(f"{', '.join(names)} must differ from each other")

    def check_public_key(self, name: str, given: str, algorithm: str) -> str:
        """Refuse what is no public key, of another kind than ``algorithm`` needs, or too short.

        Returns what is to be used: written anew, as PEM, from the key that was checked.
        """
        try:
            key = load_pem_public_key(given.replace("\\r", "").replace("\\n", "\n").encode())
        except (ValueError, UnsupportedAlgorithm):
            self.complain(f"{name} is not a public key in PEM")
            return ""
        kind = RSAPublicKey if algorithm == "RS256" else EllipticCurvePublicKey
        if not isinstance(key, kind):
            self.complain(f"{name} is not a key for the algorithm of JWT_ALGORITHM")
        elif isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
            self.complain(f"{name} is shorter than {RSA_BITS_MIN} bits")
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def _check_strength(self, name: str, value: str) -> None:
        if len(value.encode()) < SECRET_MIN_BYTES:
            self.complain(f"{name} is shorter than {SECRET_MIN_BYTES} bytes")
        if _is_weak(value):
            self.complain(f"{name} looks like a placeholder: generate a random one")
        elif value in self._development_values():
            self.complain(f"{name} is the one made for development: generate another")

    def _check_fernet(self, name: str, value: str) -> None:
        keys = [part.strip() for part in value.split(",") if part.strip()]
        for key in keys or [""]:
            try:
                raw = base64.urlsafe_b64decode(key.encode())
            except (binascii.Error, ValueError):
                raw = b""
            if len(raw) != 32 or base64.urlsafe_b64encode(raw).decode() != key:
                self.complain(f"{name} is malformed: Fernet keys of 44 characters")
            elif self._debug:
                continue
            elif len(set(raw)) < 16 or all(32 <= byte < 127 for byte in raw):
                # Of 32 random bytes about 30 differ, and never are all of them letters.
                self.complain(f"{name} looks like a placeholder: generate a random one")

    def _development_values(self) -> set[str]:
        try:
            return {str(value) for value in json.loads(self._file.read_text()).values()}
        except (OSError, ValueError):
            return set()

    def _development_value(self, name: str, *, fernet: bool) -> str:
        try:
            stored = json.loads(self._file.read_text()) if self._file.exists() else {}
            if not isinstance(stored, dict):
                raise ValueError
        except (OSError, ValueError):
            # Never made anew by itself: what its keys sealed would be lost.
            self.complain(
                f"{self._file.name} can't be read: put it back from a copy, or delete it (what its "
                "keys sealed is lost then)"
            )
            return ""
        if name not in stored:
            stored[name] = Fernet.generate_key().decode() if fernet else secrets.token_urlsafe(48)
            self._write_development_values(stored)
        return str(stored[name])

    def _write_development_values(self, values: dict[str, Any]) -> None:
        """Complete or as before: a power cut leaves no half of it."""
        unfinished = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(values, indent=2))
        unfinished.replace(self._file)


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
