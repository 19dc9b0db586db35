"""What the environment may say, and how: run as processes of their own, as at a real start."""

import base64
import functools
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings

from tcmpay.environment import SECRET_MIN_BYTES, Environment, Secrets

PRINT = "from django.conf import settings as s; print(s.DATABASES['default']['ENGINE'])"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "CACHE_URL"}
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={**clean, "DJANGO_SETTINGS_MODULE": "tcmpay.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("-c", code, **environment)


@functools.cache
def refusals_of(*changes: tuple[str, str]) -> str:
    """Why settings are refused: loaded in a process of their own, or "" when they are not."""
    answer = start(PRINT, **{**PRODUCTION, **dict(changes)})
    return answer.stderr if answer.returncode else ""


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_database_address_may_come_from_a_file(tmp_path: Path, scheme: str):
    address = tmp_path / "database"
    address.write_text(f"{scheme}://tcm_user:x@127.0.0.1/tcm_telemedicine\n")
    answer = start(PRINT, DATABASE_URL_FILE=str(address))
    assert answer.stdout.strip() == "django.db.backends.mysql", answer.stderr


def fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


PRODUCTION = {
    "DEBUG": "off",
    "ALLOWED_HOSTS": "pay.tcm.test",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "JWT_SECRET": secrets.token_urlsafe(48),
    "CONFIG_ENCRYPTION_KEYS": fernet_key(),
    "DATABASE_URL": "mysql://tcm_app:Zk3x9@127.0.0.1/tcm_telemedicine",
}


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def test_it_starts_with_production_settings():
    assert refusals_of() == ""


# One start names every problem at once, so those that don't hide each other are tried together.
WRONG_TOGETHER = [
    ("MOCK_CALLBACKS", "on"),
    ("WECHATPAY_BASE_URL", "http://127.0.0.1:1"),
    ("ALIPAY_GATEWAY_URL", "http://127.0.0.1:1"),
    ("SECRET_KEY", "short"),
    ("JWT_SECRET", "your-jwt-secret-your-jwt-secret-your-jwt"),
    ("ALLOWED_HOSTS", ""),
    ("ALLOWED_HOSTS", "pay.tcm.test,*"),
    ("ORDER_EXPIRE_MINUTES", "0"),
    ("ORDER_PRICE_POLICY", "free"),
    ("LATE_PAYMENT_POLICY", "keep"),
    ("REFUND_SECOND_APPROVAL_OVER", "-1"),
    ("TOPUP_DAY_MAX", "1.00"),
    ("JWT_ALGORITHM", "none"),
    ("STAFF_TOTP_REQUIRED", "off"),
    ("STAFF_IDLE_MINUTES", "0"),
    ("STAFF_SESSION_HOURS", "25"),
    ("AUDIT_CHAIN_KEYS", "short"),
    ("CORS_ALLOWED_ORIGINS", "http://app.tcm.test"),
    ("AUDIT_ROOT_URL", "http://logs.example.cn/"),
    ("DATABASE_URL", "mysql://tcm_user:a-long-password@127.0.0.1/tcm_telemedicine"),
    ("CELERY_BROKER_URL", "redis://:redis@127.0.0.1:6379/0"),
    ("CONFIG_ENCRYPTION_KEYS", "not-a-key"),
]


@pytest.mark.parametrize("name", [name for name, _value in WRONG_TOGETHER])
def test_it_refuses_to_start_and_says_why(name: str):
    assert name in refusals_of(*WRONG_TOGETHER)


WEAK_KEYS = [
    "changeme-changeme-changeme-changeme-changeme",
    "tests-only-4f0c9d2e7b1a6f3c8e5d0a9b7c2f1e6d",
    "checks-only-0b7c1f5e9a2d4c8f6e3b1a7d5c9f2e4b8d0a6c3f1e5b",
    "django-insecure-k3x9Qw7Lz2Vb8Nc5Mf1Rt6Yp4Hs0Jd3Ga9",
    "aB1aB1aB1aB1aB1aB1aB1aB1aB1aB1aB1aB1aB1aB1",
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
    "a" * 64,
]


@pytest.mark.parametrize("value", WEAK_KEYS)
def test_it_refuses_a_weak_secret(value: str):
    checked = Secrets(Environment(), debug=False, development_file=Path("/nowhere"))
    checked._check_strength("SECRET_KEY", value)
    assert len(checked._env.problems) == 1


def test_random_secrets_pass_whatever_they_are():
    checked = Secrets(Environment(), debug=False, development_file=Path("/nowhere"))
    for _number in range(2000):
        checked._check_strength("SECRET_KEY", secrets.token_urlsafe(32))
        checked._check_strength("JWT_SECRET", secrets.token_hex(32))
        checked._check_strength("CONFIG_ENCRYPTION_KEYS", fernet_key())
        checked._check_fernet("CONFIG_ENCRYPTION_KEYS", fernet_key())
    assert checked._env.problems == []


@pytest.mark.parametrize(
    "value",
    [
        "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",  # letters
        base64.urlsafe_b64encode(bytes(32)).decode(),
        base64.urlsafe_b64encode(bytes(range(16))).decode(),  # half as long
        f"{fernet_key()},dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",  # also a former one
    ],
    # Names that every process of a run gives alike: one of the values is made anew.
    ids=["letters", "one byte", "half as long", "a former one"],
)
def test_it_refuses_a_weak_encryption_key(value: str):
    checked = Secrets(Environment(), debug=False, development_file=Path("/nowhere"))
    checked._check_fernet("CONFIG_ENCRYPTION_KEYS", value)
    assert checked._env.problems


@pytest.mark.parametrize("is_debug", [True, False])
def test_an_encryption_key_that_encrypts_nothing_is_refused_at_the_start(monkeypatch, is_debug):
    monkeypatch.setenv("CONFIG_ENCRYPTION_KEYS", secrets.token_urlsafe(40))
    checked = Secrets(Environment(), debug=is_debug, development_file=Path("/nowhere"))
    checked.require("CONFIG_ENCRYPTION_KEYS", fernet=True)
    assert checked._env.problems


@pytest.mark.parametrize(("length", "problems"), [(SECRET_MIN_BYTES - 1, 1), (SECRET_MIN_BYTES, 0)])
def test_a_secret_has_at_least_so_many_bytes(length, problems):
    checked = Secrets(Environment(), debug=False, development_file=Path("/nowhere"))
    checked._check_strength("SECRET_KEY", secrets.token_urlsafe(40)[:length])
    assert len(checked._env.problems) == problems


def test_it_refuses_the_secrets_that_were_made_for_development(tmp_path: Path):
    file = tmp_path / "secrets.json"
    made = Secrets(Environment(), debug=True, development_file=file).require("SECRET_KEY_OF_TEST")
    checked = Secrets(Environment(), debug=False, development_file=file)
    checked._check_strength("SECRET_KEY", made)
    assert "made for development" in checked._env.problems[0]


def test_it_refuses_one_secret_for_two_purposes():
    same = PRODUCTION["SECRET_KEY"]
    assert "must differ" in refusals_of(("JWT_SECRET", same))


@pytest.mark.parametrize(
    ("key", "algorithm", "problem"),
    [
        (lambda: pem(rsa.generate_private_key(65537, 2048)), "RS256", ""),
        (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "ES256", ""),
        (lambda: pem(rsa.generate_private_key(65537, 1024)), "RS256", "shorter"),
        (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "RS256", "not a key for"),
        (lambda: "nonsense", "RS256", "not a public key"),
    ],
)
def test_the_platforms_public_key_is_looked_at(key, algorithm: str, problem: str):
    checked = Secrets(Environment(), debug=False, development_file=Path("/nowhere"))
    checked.check_public_key("JWT_PUBLIC_KEY", key(), algorithm)
    assert bool(checked._env.problems) == bool(problem)
    assert problem in "".join(checked._env.problems)


FILE_FORMS = ("SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "JWT_SECRET")


def test_every_secret_may_come_from_a_file(tmp_path: Path):
    """All at once; each is read from its file and is what the file says, without the line end."""
    environment = {"DEBUG": "off", "ALLOWED_HOSTS": "pay.tcm.test"}
    for name in FILE_FORMS:
        (tmp_path / name).write_text(PRODUCTION[name] + "\n")
        environment |= {name: "", f"{name}_FILE": str(tmp_path / name)}
    addresses = {
        "DATABASE_URL": "mysql://u:Zk3%2F9@127.0.0.1/tcm_telemedicine",
        "CACHE_URL": "redis://:Zk39@127.0.0.1:6379/1",
        "CELERY_BROKER_URL": "redis://:Zk39@127.0.0.1:6379/0",
    }
    for name, value in addresses.items():
        (tmp_path / name).write_text(value + "\n")
        environment |= {name: "", f"{name}_FILE": str(tmp_path / name)}
    code = (
        "from django.conf import settings as s; print(s.SECRET_KEY, s.CONFIG_ENCRYPTION_KEYS[0], "
        "s.JWT_SECRET, s.DATABASES['default']['PASSWORD'], s.CACHES['default']['LOCATION'], "
        "s.CELERY_BROKER_URL)"
    )
    answer = start(code, **environment)
    assert answer.stdout.split() == [
        PRODUCTION["SECRET_KEY"],
        PRODUCTION["CONFIG_ENCRYPTION_KEYS"],
        PRODUCTION["JWT_SECRET"],
        "Zk3/9",
        addresses["CACHE_URL"],
        addresses["CELERY_BROKER_URL"],
    ], answer.stderr


def test_the_platforms_public_key_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "public.pem"
    file.write_text(pem(rsa.generate_private_key(65537, 2048)))
    answer = start(
        "from django.conf import settings as s; print(s.JWT_PUBLIC_KEY[:26], s.JWT_ALGORITHM)",
        **{
            **PRODUCTION,
            "JWT_SECRET": "",
            "JWT_ALGORITHM": "RS256",
            "JWT_PUBLIC_KEY_FILE": str(file),
        },
    )
    assert answer.stdout.strip() == "-----BEGIN PUBLIC KEY----- RS256", answer.stderr


def test_a_missing_secret_file_is_named():
    answer = start(PRINT, **{**PRODUCTION, "SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere/key"})
    assert answer.returncode != 0
    assert "SECRET_KEY_FILE" in answer.stderr


def test_every_secret_may_be_a_credential_of_systemd(tmp_path: Path):
    for name in ("SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "JWT_SECRET", "DATABASE_URL"):
        (tmp_path / name).write_text(PRODUCTION[name] + "\n")
    public = {"DEBUG": "off", "ALLOWED_HOSTS": "pay.tcm.test"}
    answer = start(
        "from django.conf import settings as s;print(s.SECRET_KEY, s.DATABASES['default']['NAME'],"
        " s.ENVIRONMENT_SOURCES['SECRET_KEY'], s.ENVIRONMENT_SOURCES['DATABASE_URL'])",
        **{**dict.fromkeys(PRODUCTION, ""), "CREDENTIALS_DIRECTORY": str(tmp_path), **public},
    )
    told = [PRODUCTION["SECRET_KEY"], "tcm_telemedicine", "credential", "credential"]
    assert answer.stdout.split() == told, answer.stderr


def test_a_credential_that_is_there_and_unreadable_is_named(tmp_path: Path):
    (tmp_path / "SECRET_KEY").mkdir()
    (tmp_path / "JWT_SECRET").write_text("")
    refused = refusals_of(
        ("SECRET_KEY", ""), ("JWT_SECRET", ""), ("CREDENTIALS_DIRECTORY", str(tmp_path))
    )
    assert "the credential SECRET_KEY names a file that can't be read" in refused
    assert "the credential JWT_SECRET names an empty file" in refused


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "FORCE_SCRIPT_NAME"])
def test_it_refuses_to_be_served_below_a_path(name: str):
    assert (
        refusals_of(("SCRIPT_NAME", "/pay"), ("FORCE_SCRIPT_NAME", "/pay")).count(f" {name} ") == 1
    )


def test_a_refusal_names_problems_and_no_values():
    secret = "your-very-own-Kq8Zt4Wm2Xp"
    line = refusals_of(("SECRET_KEY", secret), ("DATABASE_URL", "mysql://u:changeme@h/d"))
    assert "SECRET_KEY" in line
    assert "DATABASE_URL" in line
    assert secret not in line
    assert "changeme" not in line


MEMORY = {"DATABASE_URL": "sqlite://:memory:", "SQLITE_IN_PRODUCTION": "yes"}
COMMANDS_OF_DEVELOPMENT = [
    ("demo",),
    ("seed_demo",),
    ("issue_token", "--user", "0192f0c1-0000-7000-8000-000000000101", "--role", "patient"),
]


@pytest.mark.parametrize("command", COMMANDS_OF_DEVELOPMENT, ids=lambda command: command[0])
def test_a_convenience_of_development_does_not_run_in_production(command):
    answer = run("manage.py", *command, **{**PRODUCTION, **MEMORY})
    assert answer.returncode == 1, answer.stdout
    assert "DEBUG" in answer.stderr
    assert not answer.stdout.strip()


def test_the_stand_in_gateways_are_not_installed_in_production():
    command = ("gateway_simulator", "--port", "23456", "--dir", "/tmp/none")
    answer = run("manage.py", *command, **{**PRODUCTION, **MEMORY})
    assert answer.returncode == 1, answer.stdout
    assert "Unknown command: 'gateway_simulator'" in answer.stderr


@pytest.mark.parametrize("damage", [b"", b'{"SECRET_KEY": "abc', b"[1]", b"\xff\xfe", None])
def test_damaged_development_secrets_are_named_and_never_made_anew(tmp_path: Path, damage):
    """They sealed what is in the database: whoever has a copy can put it back."""
    file = tmp_path / ".dev-secrets.json"
    file.mkdir() if damage is None else file.write_bytes(damage)
    env = Environment()
    Secrets(env, debug=True, development_file=file).require("SECRET_KEY_OF_TEST")
    (problem,) = env.problems
    assert ".dev-secrets.json can't be read" in problem
    assert "abc" not in problem
    assert damage is None or file.read_bytes() == damage


def test_it_refuses_to_miss_orders_for_longer_than_the_clinic_is_open():
    minutes = ("LIVENESS_ORDER_MINUTES", "61")
    assert refusals_of(minutes, ("LIVENESS_OPENING_HOURS", "23:30-00:31")) == ""
    told = refusals_of(minutes, ("LIVENESS_OPENING_HOURS", "23:30-00:30"))
    assert "LIVENESS_ORDER_MINUTES is longer than LIVENESS_OPENING_HOURS" in told
