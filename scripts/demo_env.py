"""Prepare the folder for the demo: write ``.env`` once, and with RESET=1 start afresh.

Standard library only. ``.env`` holds this folder's own random secrets and is never overwritten
(but for the day that closing begins with, when the demo starts afresh), so that tokens and
encrypted configuration stay readable from one run to the next.
"""

import base64
import fcntl
import os
import re
import secrets
import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = BASE_DIR / ".env"
DEMO_DIR = BASE_DIR / ".demo"
LOCK_FILE = DEMO_DIR / "lock"
DATABASE_FILES = [BASE_DIR / f"db.sqlite3{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
CHINA = timezone(timedelta(hours=8))
# Relative, so that a copied or moved folder uses its own file.
DATABASE_URL = "sqlite:///db.sqlite3"

TEMPLATE = """\
# Written by `make demo` for this folder; read by every `manage.py` call. Not under version control.
# A variable that is set in the shell goes before the line here. docs/configuration.md lists all.

# Development: detailed errors, any host. Off in production.
DEBUG=on

# SQLite in this folder. MariaDB or MySQL: mysql://tcm_user:PASSWORD@127.0.0.1:3306/tcm_telemedicine
DATABASE_URL={database_url}

# The queue is a folder (.demo/broker), so that no Redis is needed. Production: redis://127.0.0.1:6379/0
CELERY_BROKER_URL=filesystem://

# The guide's unsigned "Mock External Payment" works. Refused with DEBUG off.
MOCK_CALLBACKS=on

# Patients top their balance up themselves. Off by default: rules for prepaid money differ by place.
TOPUPS=on

# An order's amount may be any. `priced`: it must be a current price.
ORDER_PRICE_POLICY=open

# Business days are closed (日结) from the day before the first run; the older ones were seeded.
{close_from}

# Refunds of a payment beyond this (yuan) take two people; off by default. So do large changes of a
# price. CONFIG_ACTIVATION_SECOND_PERSON=on, for gateways, would close the API's call too.
REFUND_SECOND_APPROVAL_OVER=500.00

# Sessions and forms of the admin.
SECRET_KEY={secret_key}

# Encrypts the gateway configuration in the database; several, separated by commas, while rotating.
# Without this key, what it encrypted is lost.
CONFIG_ENCRYPTION_KEYS={fernet_key}

# Binds the audit trail and the ledger, so that changes made in the database show. As above.
AUDIT_CHAIN_KEYS={chain_key}

# The platform signs its users' bearer tokens with this (at least 32 bytes).
JWT_SECRET={jwt_secret}
JWT_ALGORITHM=HS256

# DEBUG, INFO, WARNING, ERROR or CRITICAL.
LOG_LEVEL=INFO
"""


def write_env() -> None:
    if ENV_FILE.exists():
        return
    text = TEMPLATE.format(
        database_url=DATABASE_URL,
        close_from=close_from(),
        secret_key=secrets.token_urlsafe(48),
        fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        chain_key=secrets.token_urlsafe(48),
        jwt_secret=secrets.token_urlsafe(48),
    )
    write_whole(text)
    print("已生成 .env（本目录专用的随机密钥） / Wrote .env with fresh secrets")


def close_from() -> str:
    """The line that says that days are closed from yesterday on, in China."""
    yesterday = datetime.now(CHINA).date() - timedelta(days=1)
    return f"DAY_CLOSE_FROM={yesterday}"


def renew_close_from() -> None:
    """Let closing begin anew with data that is seeded anew; the secrets stay."""
    if ENV_FILE.exists():
        text = ENV_FILE.read_text(encoding="utf-8")
        write_whole(re.sub(r"^DAY_CLOSE_FROM=.*$", close_from(), text, flags=re.MULTILINE))


def write_whole(text: str) -> None:
    """Complete or not at all, and never readable by others, not even for a moment."""
    unfinished = ENV_FILE.with_name(".env.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(ENV_FILE)


def demo_is_running() -> bool:
    if not LOCK_FILE.exists():
        return False
    with LOCK_FILE.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def configured_database() -> str:
    """What DATABASE_URL says now: the shell's value, else the one in ``.env``, else ""."""
    value = os.environ.get("DATABASE_URL", "")
    if not value and ENV_FILE.exists():
        for line in ENV_FILE.read_text(encoding="utf-8").splitlines():
            if line.startswith("DATABASE_URL="):
                value = line.partition("=")[2].strip()
    return value


def reset() -> None:
    if demo_is_running():
        sys.exit("演示正在运行，请先停止 / The demo is running in this folder: stop it first")
    for path in DATABASE_FILES:
        path.unlink(missing_ok=True)
    shutil.rmtree(DEMO_DIR, ignore_errors=True)
    if configured_database() not in {"", DATABASE_URL}:
        print(
            "DATABASE_URL 指向别处，那里的数据保持不变 / DATABASE_URL points elsewhere: not touched"
        )
    else:
        renew_close_from()
    print("已清除演示数据 / Removed the demo's data (.env is kept)")


if __name__ == "__main__":
    if os.environ.get("RESET", "").lower() in {"1", "yes", "on", "true"}:
        reset()
    write_env()
