"""The tests' environment, and the two facts that are needed to repeat a run.

The database is the one DATABASE_URL names (SQLite in memory without it); nothing is read from a
developer's .env. Processes that a test starts inherit all of it.
"""

import atexit
import gc
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import django
import hypothesis
import pytest
from Cryptodome.PublicKey import RSA
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic, set_rollback
from django.utils import translation

SEED_VARIABLE = "TEST_SEED"

for name, value in {
    "DJANGO_SETTINGS_MODULE": "tcmpay.settings",
    "TCMPAY_ENV_FILE": "",
    "DEBUG": "on",
    "SECRET_KEY": "tests-only-4f0c9d2e7b1a6f3c8e5d0a9b7c2f1e6d",
    "CONFIG_ENCRYPTION_KEYS": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "JWT_SECRET": "tests-only-9a3e6c1f5b8d2e7a0c4f9b6d3e1a8c5f",
    "JWT_ALGORITHM": "HS256",
}.items():
    os.environ.setdefault(name, value)
if "CELERY_BROKER_URL" not in os.environ:
    os.environ["CELERY_BROKER_URL"] = "filesystem://"
    _broker_folder = tempfile.mkdtemp(prefix="tcm-broker-")
    os.environ["CELERY_FILESYSTEM_DIR"] = _broker_folder
    atexit.register(shutil.rmtree, _broker_folder, ignore_errors=True)

# Workers of one run share a Redis, but not what lies in it: worker gwN caches in its database N+1.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_cache = os.environ.get("CACHE_URL", "")
if _worker.startswith("gw") and _cache.startswith("redis://"):
    _number = int(_worker[2:]) + 1
    os.environ["CACHE_URL"] = urlsplit(_cache)._replace(path=f"/{_number}").geturl()
    # A worker inherits the settings module, so its settings may have been read before this file.
    if settings.configured:
        settings.CACHES["default"]["LOCATION"] = os.environ["CACHE_URL"]

# Here and not later: conftests of single rooms import models as they are read.
django.setup()

# WhiteNoise would list all static files for each test's client anew; asked for, it finds them too.
settings.WHITENOISE_AUTOREFRESH = True

# Hundreds of people are made and sign in: a strong hash would take most of that time.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# One seed for `random` and for Hypothesis. A run is repeated with TEST_SEED=<the seed it printed>.
SEED = int(os.environ.setdefault(SEED_VARIABLE, str(random.SystemRandom().randrange(2**32))))


def database_in_use() -> str:
    from django.db import connection

    if connection.vendor == "sqlite":
        return "SQLite " + ".".join(str(part) for part in sqlite3.sqlite_version_info)
    parts = urlsplit(os.environ["DATABASE_URL"])
    return f"{parts.scheme} at {parts.hostname}:{parts.port}"


def pytest_configure(config: pytest.Config) -> None:
    # Hypothesis reads its seed from this option; the one given by hand wins.
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)
    # How long an example takes says nothing on a machine that others use.
    hypothesis.settings.register_profile(
        "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tests")
    if config.option.markexpr == "browser":
        use_a_database_file()


def use_a_database_file() -> None:
    """A browser asks for several things at once: SQLite in memory is one connection for all."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        folder = tempfile.mkdtemp(prefix="tcm-pages-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        database["TEST"]["NAME"] = os.path.join(folder, f"db-{_worker}.sqlite3")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what waits most of its time for processes of its own: others use that time, and at the
    end nobody waits for it. Tests that empty the database stay the last of those that have one."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("race", "fault"))))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are made and none of them is garbage: looking for it takes a fifth."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is there by now stays: nobody need look through it for garbage again and again."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> list[str]:
    cache = urlsplit(os.environ.get("CACHE_URL", "locmem://")).scheme
    return [
        f"database: {database_in_use()}, cache: {cache}",
        f"seed: {SEED} (repeat with {SEED_VARIABLE}={SEED})",
    ]


@pytest.fixture(scope="session", autouse=True)
def _keys_are_checked_once() -> Iterator[None]:
    """Looking whether a private key's primes are primes takes a tenth of a second each time, and
    reading all authorities' certificates a fiftieth."""
    from tcmpay.common.call_bounds import tls_context

    with pytest.MonkeyPatch.context() as patched:
        for reader in ("load_der_private_key", "load_pem_private_key"):
            patched.setattr(serialization, reader, cache(getattr(serialization, reader)))
        patched.setattr(RSA, "importKey", cache(RSA.import_key))  # the name that Alipay's SDK uses
        patched.setattr("gateways.transport.tls_context", cache(tls_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_are_kept_where_they_are_asked_for() -> Iterator[None]:
    """With DEBUG, which stand-ins need, Django would keep every statement, which costs as much."""
    kept = property(lambda connection: connection.force_debug_cursor)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseDatabaseWrapper, "queries_logged", kept)
        yield


@pytest.fixture(scope="session", autouse=True)
def _an_audit_leaves_frozen_what_is_frozen() -> Iterator[None]:
    """It searches all that is there for garbage and unfreezes it at its end: with thousands of
    tests in memory a quarter of a second for each of hundreds of audits."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("backoffice.ops.audit.few_collections", nullcontext)
        patched.setattr("backoffice.ops.laws.few_collections", nullcontext)
        patched.setattr("backoffice.management.commands.audit_money.few_collections", nullcontext)
        yield


@pytest.fixture(scope="module")
def lasting(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """What a module's fixtures write after this one, all of its tests begin with: each is a
    savepoint in one transaction, as Django's TestCase keeps what a class sets up."""
    unit: Any = atomic()
    unit._from_testcase = True  # units of money may begin inside of it
    with django_db_blocker.unblock(), unit:
        yield
        set_rollback(True)


@pytest.fixture(autouse=True)
def _own_language() -> None:
    # A page that a test before asked for in English leaves its language with the thread.
    translation.deactivate()


@pytest.fixture(autouse=True)
def _seeded_random(request: pytest.FixtureRequest) -> None:
    # From the test's name too, so that a test alone sees the numbers it saw in the whole run.
    random.seed(f"{SEED} {request.node.nodeid}")
