"""Every variable in every form that editors, shells and containers give it.

Used exactly as the plain value is, or refused in a line that names the variable and not the value.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from tcmpay.environment import load_env
from tests.test_environment import PRODUCTION, fernet_key, pem

LINE = "tcmpay does not start: "
HINT = "See docs/configuration.md"
DATABASE = "mysql://tcm_app:Zk3%2F9x@127.0.0.1:3306/tcm_telemedicine"
REDIS = "redis://:Zk39x@127.0.0.1:6379"
SECRET = secrets.token_urlsafe(48)
PUBLIC_KEY = pem(rsa.generate_private_key(65537, 2048))
WRONG = "canary-9f8e7d6c"
BASE = {**PRODUCTION, "TCMPAY_ENV_FILE": "", "PATH": os.environ["PATH"], "DATABASE_URL": DATABASE}
DEVELOPMENT = {"DEBUG": "on", "SECRET_KEY": SECRET}
WITH_PUBLIC_KEY = {"JWT_SECRET": "", "JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY": PUBLIC_KEY}

BY_MAIL = {
    "NOTIFY_EMAIL_TO": "ops@tcm.test",
    "NOTIFY_EMAIL_FROM": "tcmpay@tcm.test",
    "NOTIFY_SMTP_URL": "smtps://mail.tcm.test",
}
# A good value of each, and a wrong one (None: any text will do), with what else has to be set.
VARIABLES: dict[str, tuple[str, str | None, dict[str, str]]] = {
    "DEBUG": ("on", WRONG, {}),
    "SECRET_KEY": (SECRET, "canary", {}),
    "CONFIG_ENCRYPTION_KEYS": (f"{fernet_key()},{fernet_key()}", WRONG, {}),
    "AUDIT_CHAIN_KEYS": (SECRET, "canary", {}),
    "AUDIT_ROOT_FILE": ("/var/lib/tcmpay/roots", None, {}),
    "AUDIT_ROOT_URL": ("https://roots.tcm.test/", WRONG, {}),
    "JWT_SECRET": (SECRET, "canary", {}),
    "JWT_PUBLIC_KEY": (PUBLIC_KEY.strip(), WRONG, WITH_PUBLIC_KEY),
    "JWT_ALGORITHM": ("RS256", WRONG, WITH_PUBLIC_KEY),
    "JWT_AUDIENCE": ("tcmpay", None, {}),
    "JWT_ISSUER": ("https://tcm.test", None, {}),
    "ALLOWED_HOSTS": ("pay.tcm.test,pay2.tcm.test", f"pay.tcm.test {WRONG}", {}),
    "CSRF_TRUSTED_ORIGINS": ("https://pay.tcm.test", f"https://a.test {WRONG}", {}),
    "DATABASE_URL": (DATABASE.replace("127.0.0.1", "db"), f"mysq://u:{WRONG}@h/d", {}),
    "DATABASE_REPLICA_URL": (DATABASE.replace("127.0.0.1", "db2"), f"mysq://u:{WRONG}@h/d", {}),
    "SQLITE_IN_PRODUCTION": ("yes", WRONG, {"DATABASE_URL": "sqlite:////var/lib/x.sqlite3"}),
    "DATABASE_CONN_MAX_AGE_SECONDS": ("30", WRONG, {}),
    "CACHE_URL": (f"{REDIS}/1", f"redi://:{WRONG}@h/1", {}),
    "CELERY_BROKER_URL": (f"{REDIS}/0", f"redi://:{WRONG}@h/1", {}),
    "CELERY_FILESYSTEM_DIR": ("/tmp/tcm-forms", "/dev/null/x", {"CELERY_BROKER_URL": "filesystem://"}),
    "ORDER_EXPIRE_MINUTES": ("90", WRONG, {}),
    "ORDER_PRICE_POLICY": ("open", WRONG, {}),
    "LATE_PAYMENT_POLICY": ("hold", WRONG, {}),
    "TOPUPS": ("on", WRONG, {}),
    "TOPUP_AMOUNT_MIN": ("5.00", WRONG, {}),
    "TOPUP_AMOUNT_MAX": ("1000.00", WRONG, {}),
    "TOPUP_DAY_MAX": ("3000.00", WRONG, {}),
    "TOPUP_BALANCE_MAX": ("20000.00", WRONG, {}),
    "REFUND_SECOND_APPROVAL_OVER": ("500.00", WRONG, {}),
    "PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT": ("20", WRONG, {}),
    "CONFIG_ACTIVATION_SECOND_PERSON": ("on", WRONG, {}),
    "DAY_CLOSE_REMIND_AT": ("18:30", WRONG, {}),
    "DAY_CLOSE_FROM": ("2026-12-01", WRONG, {}),
    "LEDGER_ACCOUNTS": ("wechat:1012.03,fees:6603.01", WRONG, {}),
    "RETENTION_CALLBACK_BODY_DAYS": ("400", WRONG, {}),
    "RETURN_URL_ORIGINS": ("https://app.tcm.test", f"https://a.test {WRONG}", {}),
    "CASHIER_WAYS": ("wechat-native,alipay-page", WRONG, {}),
    "CASHIER_BASE_URL": ("https://pay.tcm.test", f"http://{WRONG}.test", {}),
    "CORS_ALLOWED_ORIGINS": ("https://app.tcm.test", WRONG, {}),
    "APPOINTMENT_ORDERS_BY": ("service", WRONG, {}),
    "STAFF_TOTP_REQUIRED": ("on", WRONG, {"DEBUG": "on"}),
    "STAFF_IDLE_MINUTES": ("20", WRONG, {}),
    "STAFF_SESSION_HOURS": ("6", WRONG, {}),
    "RATE_LIMIT_PER_MINUTE": ("900", WRONG, {}),
    "RATE_LIMIT_SERVICE_PER_MINUTE": ("9000", WRONG, {}),
    "RATE_LIMIT_READS_PER_MINUTE": ("800", WRONG, {}),
    "RATE_LIMIT_MONEY_PER_MINUTE": ("700", WRONG, {}),
    "RATE_LIMIT_SYNC_PER_MINUTE": ("600", WRONG, {}),
    "RATE_LIMIT_PUBLIC_PER_MINUTE": ("500", WRONG, {}),
    "RATE_LIMIT_FORGED_PER_MINUTE": ("400", WRONG, {}),
    "RATE_LIMIT_CASHIER_PER_MINUTE": ("300", WRONG, {}),
    "METRICS_TOKEN": (SECRET, "canary", {}),
    "TRUSTED_PROXY_HOPS": ("1", WRONG, {}),
    "SECURE_SSL_REDIRECT": ("off", WRONG, {}),
    "MOCK_CALLBACKS": ("on", WRONG, DEVELOPMENT),
    "WECHATPAY_BASE_URL": ("http://127.0.0.1:1", None, DEVELOPMENT),
    "ALIPAY_GATEWAY_URL": ("http://127.0.0.1:1", None, DEVELOPMENT),
    "EXPORT_DIR": ("/var/lib/tcmpay/exports", None, {}),
    "NOTIFY_EMAIL_TO": ("ops@tcm.test,chief@tcm.test", WRONG, BY_MAIL),
    "NOTIFY_EMAIL_FROM": ("tcmpay@tcm.test", WRONG, BY_MAIL),
    "NOTIFY_SMTP_URL": ("smtps://ops:Zk3%2F9x@mail.tcm.test:465", WRONG, BY_MAIL),
    "NOTIFY_WEBHOOK_URL": ("https://alarms.tcm.test/in?key=1", WRONG, {}),
    "NOTIFY_WEBHOOK_SECRET": (
        f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
        WRONG,
        {"NOTIFY_WEBHOOK_URL": "https://alarms.tcm.test/"},
    ),
    "NOTIFY_WECOM_URL": ("https://qyapi.tcm.test/send?key=1", WRONG, {}),
    "NOTIFY_DINGTALK_URL": ("https://oapi.tcm.test/send?access_token=1", WRONG, {}),
    "NOTIFY_DINGTALK_SECRET": (SECRET, None, {"NOTIFY_DINGTALK_URL": "https://oapi.tcm.test/"}),
    "NOTIFY_FEISHU_URL": ("https://open.tcm.test/hook/1", WRONG, {}),
    "NOTIFY_FEISHU_SECRET": (SECRET, None, {"NOTIFY_FEISHU_URL": "https://open.tcm.test/"}),
    "LIVENESS_ORDER_MINUTES": ("30", WRONG, {}),
    "LIVENESS_OPENING_HOURS": ("09:00-18:00", WRONG, {}),
    "GATEWAY_SUCCESS_MIN_PERCENT": ("60", WRONG, {}),
    "ALARM_QUIET_HOURS": ("23:00-07:30", WRONG, {}),
    "ALARM_WARNING_CHANNELS": ("email,wecom", WRONG, {}),
    "ALARM_REPEAT_MINUTES": ("60", WRONG, {}),
    "BACKUP_STAMP_FILE": ("/var/backups/tcmpay/stamp.json", None, {}),
    "SENTRY_DSN": ("https://0a1b2c@errors.tcm.test/1", WRONG, {}),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("http://collector.tcm.test:4318", WRONG, {}),
    "CLINIC_NAME": ("某某 诊所", None, {}),
    "LOG_LEVEL": ("WARNING", WRONG, {}),
}  # fmt: skip
SECRETS = {
    "SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "AUDIT_CHAIN_KEYS", "JWT_SECRET", "JWT_PUBLIC_KEY",
    "METRICS_TOKEN", "NOTIFY_SMTP_URL", "NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET",
    "NOTIFY_WECOM_URL", "NOTIFY_DINGTALK_URL", "NOTIFY_DINGTALK_SECRET", "NOTIFY_FEISHU_URL",
    "NOTIFY_FEISHU_SECRET", "SENTRY_DSN",
    "DATABASE_URL", "DATABASE_REPLICA_URL", "CACHE_URL", "CELERY_BROKER_URL",
}  # fmt: skip
# By how the value comes: in a line of `.env`, ...
LINES: dict[str, Callable[[str, str], bytes]] = {
    "plain": lambda name, value: f"{name}={_quoted(value)}\n".encode(),
    "exported": lambda name, value: f"export {name}={_quoted(value)}".encode(),
    "spaces": lambda name, value: f"  {name} = {_quoted(value)}  \n".encode(),
    "double quotes": lambda name, value: f'{name}="{value}"\n'.encode(),
    "single quotes": lambda name, value: f"{name}='{value}'\n".encode(),
    "crlf": lambda name, value: f"A_COMMENT=1\r\n{name}={_quoted(value)}\r\n".encode(),
    "bom": lambda name, value: f"\ufeff{name}={_quoted(value)}\n".encode(),
    "utf-16": lambda name, value: f"{name}={_quoted(value)}\n".encode("utf-16"),
    "comment": lambda name, value: f"# one\n{name}={_quoted(value)} # two\n".encode(),
    "quotes and comment": lambda name, value: f'{name}="{value}" # it\'s two\n'.encode(),
    "in one line": lambda name, value: f"{name}={value}".replace("\n", "\\n").encode(),
    "in one line and quotes": lambda name, value: f'{name}="{value}"'.replace("\n", "\\n").encode(),
}
# ... in the environment of the process, as containers and service managers hand it over, ...
VALUES: dict[str, Callable[[str], str]] = {
    "quotes": lambda value: f'"{value}"',
    "cr": lambda value: value + "\r",
    "bom": lambda value: "\ufeff" + value,
    "spaces": lambda value: f"  {value} ",
    "newline": lambda value: value + "\n",
}
# ... or in a file of its own.
FILES: dict[str, Callable[[str], bytes]] = {
    "plain": lambda value: value.encode(),
    "newline": lambda value: f"{value}\n".encode(),
    "crlf": lambda value: f"{value}\r\n".encode(),
    "bom": lambda value: f"\ufeff{value}\n".encode(),
    "utf-16": lambda value: f"{value}\n".encode("utf-16"),
    "quotes": lambda value: f'"{value}"\n'.encode(),
}
# Refused, and said so by name.
BROKEN_LINES: dict[str, Callable[[str, str], bytes]] = {
    "colon": lambda name, value: f"{name}: {value}\n".encode(),
    "no sign": lambda name, value: f"{name} {value}\n".encode(),
    "open quote": lambda name, value: f'{name}="{value}\n'.encode(),
    "text behind quotes": lambda name, value: f'{name}="{value}"x\n'.encode(),
}
BROKEN_VALUES: dict[str, Callable[[str], str]] = {
    "half a quote": lambda value: f'"{value}',
    "invisible": lambda value: f"{value[:2]}\u200b{value[2:]}",
    "control": lambda value: f"{value[:2]}\x01{value[2:]}",
}


def _quoted(value: str) -> str:
    """Lines need quotes; nothing else here does."""
    return f'"{value}"' if "\n" in value else value


def variables_read(how: str = r"(?:env|secrets)\.\w+") -> set[str]:
    names = ("settings.py", "watching.py", "telemetry.py")
    files = (settings.BASE_DIR / "tcmpay" / name for name in names)
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(rf"\b(?:{how})\(\s*\"([A-Z_]+)\"", source))


def test_every_variable_is_tried():
    assert set(VARIABLES) == variables_read()
    assert (
        variables_read(r"secrets\.(?:require|optional)|env\.(?:database|cache|broker)") == SECRETS
    )


class Settings:
    """Loads environments, one after the other, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "stderr").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.settings_runner"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def load(self, **changes: str) -> dict[str, str]:
        return self.load_alone({**BASE, **changes})

    def load_alone(self, environment: dict[str, str]) -> dict[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(environment)}\n")
        self._process.stdin.flush()
        result: dict[str, str] = json.loads(self._process.stdout.readline())
        return result

    def file(self, content: bytes) -> str:
        path = self._folder / f"file-{len(list(self._folder.iterdir()))}"
        path.write_bytes(content)
        return str(path)

    def end(self) -> None:
        """Stop the process; what it complained about by itself tells no value."""
        self._process.communicate(timeout=60)
        self._errors.seek(0)
        said = self._errors.read()
        self._errors.close()
        assert self._process.returncode == 0, said[-2000:]
        assert WRONG not in said


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    started = Settings(tmp_path_factory.mktemp("forms"))
    yield started
    started.end()


def base_for(name: str) -> dict[str, str]:
    environment = {**BASE, **VARIABLES[name][2]}
    environment.pop(name, None)
    return environment


@pytest.fixture(scope="module")
def results(runner) -> dict[str, dict[str, str]]:
    cases = dict(all_cases(runner))
    return {name: runner.load_alone(environment) for name, environment in cases.items()}


def all_cases(runner: Settings) -> Iterator[tuple[str, dict[str, str]]]:
    """The name and the environment of each case."""
    for name, (good, wrong, _more) in VARIABLES.items():
        base = base_for(name)
        yield f"{name}|good", {**base, name: good}
        yield f"{name}|missing", base
        for empty in ("", "  ", '""'):
            yield f"{name}|empty {empty!r}", {**base, name: empty}
        for form, line in LINES.items():
            file = runner.file(line(name, good))
            yield f"{name}|line|{form}", {**base, "TCMPAY_ENV_FILE": file}
        for form, change in VALUES.items():
            yield f"{name}|value|{form}", {**base, name: change(good)}
        for form, line in BROKEN_LINES.items():
            file = runner.file(line(name, WRONG))
            yield f"{name}|broken|{form}", {**base, name: good, "TCMPAY_ENV_FILE": file}
        for form, change in BROKEN_VALUES.items():
            yield f"{name}|broken|{form}", {**base, name: change(WRONG)}
        if wrong is not None:
            yield f"{name}|broken|wrong", {**base, name: wrong}
        if name in SECRETS:
            for form, content in FILES.items():
                yield f"{name}|file|{form}", {**base, f"{name}_FILE": runner.file(content(good))}
            for form, path in broken_files(runner, name).items():
                yield f"{name}|broken|{form}", {**base, f"{name}_FILE": path}


def broken_files(runner: Settings, name: str) -> dict[str, str]:
    return {
        "no file": f"/nowhere/{WRONG}",
        "a folder": "/tmp",
        "an empty file": runner.file(b"\n"),
        "no text": runner.file(bytes(range(256))),
        "a whole line": runner.file(f"{name}={WRONG}".encode()),
    }


def of(results: dict[str, dict[str, str]], name: str, kind: str) -> dict[str, dict[str, str]]:
    found = {key: each for key, each in results.items() if key.startswith(f"{name}|{kind}")}
    assert found
    return found


@pytest.mark.parametrize("name", VARIABLES)
def test_every_form_is_used_as_the_plain_value_is(results, name):
    (good,) = of(results, name, "good").values()
    assert not good["refused"]
    forms = {**of(results, name, "line"), **of(results, name, "value")}
    if name in SECRETS:
        forms |= of(results, name, "file")
    different = {key: each["refused"] for key, each in forms.items() if each != good}
    assert different == {}


@pytest.mark.parametrize("name", VARIABLES)
def test_empty_is_missing(results, name):
    (missing,) = of(results, name, "missing").values()
    assert [key for key, each in of(results, name, "empty").items() if each != missing] == []
    if missing["refused"]:
        assert_told(missing["refused"], name)


@pytest.mark.parametrize("name", VARIABLES)
def test_what_can_not_be_used_is_refused_by_name(results, name):
    for key, each in of(results, name, "broken").items():
        assert each["refused"], key
        assert_told(each["refused"], name)


def assert_told(text: str, name: str) -> None:
    *problems, hint = text.splitlines()
    assert hint.startswith(HINT)
    assert all(line.startswith(LINE) and len(line) < 200 for line in problems), text
    assert any(name in line for line in problems), (name, text)
    assert not [part for part in (WRONG, "Zk39x", SECRET, "canary") if part in text]


NEEDED = ["SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "JWT_SECRET", "ALLOWED_HOSTS", "DATABASE_URL"]


@pytest.mark.parametrize("name", NEEDED)
def test_what_a_deployment_needs_has_no_default(results, name):
    (missing,) = of(results, name, "missing").values()
    assert missing["refused"].count(LINE) == 1


@pytest.mark.parametrize("url", ["sqlite:///db.sqlite3", "sqlite://:memory:"])
def test_sqlite_has_to_be_meant(runner, url):
    assert "SQLITE_IN_PRODUCTION" in runner.load(DATABASE_URL=url)["refused"]
    assert not runner.load(DATABASE_URL=url, SQLITE_IN_PRODUCTION="yes")["refused"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://", "mysql://u:p@h", "mysql://u:p@h/", "mysql:///d", "mysql://u:p@h:port/d",
        "mysql://u:p#x@h/d", "mysql://u:p/x@h/d", "mysql://u:p x@h/d", "mysql//u:p@h/d",
        "postgres://u:p@h/d", "sqlite://db.sqlite3", "db.sqlite3", "mysql://[u:p@h/d",
    ],
)  # fmt: skip
def test_a_database_that_can_not_be_meant_is_refused(runner, url):
    assert_told(runner.load(DATABASE_URL=url)["refused"], "DATABASE_URL")


def test_a_name_that_is_nearly_ours_is_told_by_ours(runner, tmp_path):
    file = tmp_path / "env"
    file.write_text(
        f"DATABSE_URL=mysql://u:{WRONG}@h/d\nREFUND_SECOND_APPROVAL_OVR={WRONG}\nHOME=/\n"
    )
    text = runner.load(TCMPAY_ENV_FILE=str(file))["refused"]
    assert "line 1 is no setting: DATABASE_URL was meant?" in text
    assert "line 2 is no setting: REFUND_SECOND_APPROVAL_OVER was meant?" in text
    assert "line 3" not in text
    assert WRONG not in text


def test_a_line_that_is_only_a_secret_is_told_by_its_number(runner, tmp_path):
    file = tmp_path / "env"
    file.write_text(f"LOG_LEVEL=INFO\n{SECRET}\n{base64.b64encode(SECRET.encode()).decode()}\n")
    text = runner.load(TCMPAY_ENV_FILE=str(file))["refused"]
    assert "line 2 is not NAME=value" in text
    assert SECRET[:8] not in text


def test_a_variable_that_stands_twice_is_refused(runner, tmp_path):
    file = tmp_path / "env"
    file.write_text(f"LOG_LEVEL=INFO\nJWT_ISSUER={SECRET}\nJWT_ISSUER={WRONG}\n")
    assert "line 3 names a variable a second time" in runner.load(TCMPAY_ENV_FILE=str(file))["refused"]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "备注=1".encode("gbk"), b"A\0B=1"])
def test_a_file_in_another_encoding_is_refused(runner, tmp_path, content):
    file = tmp_path / "env"
    file.write_bytes(content)
    assert_told(runner.load(TCMPAY_ENV_FILE=str(file))["refused"], "TCMPAY_ENV_FILE")


def test_a_file_that_is_named_has_to_be_there(runner, tmp_path):
    for path in (tmp_path / WRONG, tmp_path):
        assert_told(runner.load(TCMPAY_ENV_FILE=str(path))["refused"], "TCMPAY_ENV_FILE")


USABLE = {
    "a comma behind the keys": {"CONFIG_ENCRYPTION_KEYS": f"{fernet_key()},{fernet_key()},"},
    "a database's socket": {
        "DATABASE_URL": "mysql://tcm_app:Zk3x9@/tcm?unix_socket=/run/mysqld/mysqld.sock"
    },
    "a cache of two": {"CACHE_URL": "redis://h1:6379,h2:6379/1"},
    "a queue of two": {"CELERY_BROKER_URL": f"{REDIS}/0;redis://:Zk39y@h2:6379/0"},
}


@pytest.mark.parametrize("name", USABLE)
def test_what_can_be_used_is_not_refused(runner, name):
    assert not runner.load(**USABLE[name])["refused"]


REFUSED = {
    "only commas for keys": {"CONFIG_ENCRYPTION_KEYS": ",,"},
    "one of two caches": {"CACHE_URL": "redis://h1:6379,h2:port/1"},
    "one of two queues": {"CELERY_BROKER_URL": f"{REDIS}/0;redi://h2:6379/0"},
    "one password of two": {"CELERY_BROKER_URL": f"{REDIS}/0;redis://:redis@h2:6379/0"},
    "a queue behind sentinels": {"CELERY_BROKER_URL": "sentinel://h1:26379/0"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_part_of_a_list_is_looked_at(runner, name):
    (variable,) = REFUSED[name]
    assert_told(runner.load(**REFUSED[name])["refused"], variable)


def test_nothing_is_made_for_settings_that_are_refused(runner, tmp_path):
    folder = tmp_path / "broker"
    environment = {"CELERY_BROKER_URL": "filesystem://", "CELERY_FILESYSTEM_DIR": str(folder)}
    assert runner.load(**environment, JWT_SECRET="short")["refused"]
    assert not folder.exists()
    assert not runner.load(**environment)["refused"]
    assert folder.exists()


@pytest.mark.parametrize("kind", ["folder", "unreadable"])
def test_a_file_that_nobody_named_and_that_can_not_be_read_is_passed_over(
    tmp_path, monkeypatch, capfd, kind
):
    monkeypatch.delenv("TCMPAY_ENV_FILE", raising=False)
    path = tmp_path / ".env"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    assert load_env(tmp_path).problems == []
    assert ".env can't be read" in capfd.readouterr().err


def test_a_file_that_nobody_named_need_not_be_there(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TCMPAY_ENV_FILE", raising=False)
    assert load_env(tmp_path).problems == []
    assert capfd.readouterr().err == ""


PROGRAMS = {
    "manage.py": ["manage.py", "migrate", "--plan"],
    "web": ["-m", "gunicorn", "tcmpay.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"],
    "worker": ["-m", "celery", "--app", "tcmpay.celery:app", "worker", "--pool", "solo"],
    "beat": ["-m", "celery", "--app", "tcmpay.celery:app", "beat", "--schedule", "/tmp/tcm-none"],
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_ends_with_its_complaints_and_no_trace(program):
    ended = subprocess.run(
        [sys.executable, *PROGRAMS[program]],
        cwd=settings.BASE_DIR,
        env={**BASE, "DATABASE_URL": f"mysq://u:{WRONG}@h/d", "LOG_LEVEL": WRONG},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert "Traceback" not in said
    assert WRONG not in said
    complaints = [line for line in said.splitlines() if line.startswith(LINE)]
    assert len(complaints) == 2
    assert "DATABASE_URL" in complaints[0]
    assert "LOG_LEVEL" in complaints[1]
