"""Backup, drill and restore to a moment, with the scripts that operators run, on real MariaDB.

    python -m tests.backup --copies 20

Makes sound books, dumps them, goes on with the business, keeps the binary logs, and restores: the
dump alone, and to a moment in between. Exits 1 when a restored copy is not what it was then, when
the audit is not content with it, or when a refusal of the scripts does not come. A million orders
are ``--copies 55556``; its figures are the restore's cost, on a shared machine the CPU time.
"""

import argparse
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.programs import ROOT
from tests.scale.__main__ import ENVIRONMENT, say
from tests.scale.audit import ENCRYPTION_KEY
from tests.servers import mariadb

SCRIPT = ROOT / "deploy" / "backup" / "backup.sh"
PYTHON = sys.executable
KEYS = {"CONFIG_ENCRYPTION_KEYS": ENCRYPTION_KEY, "AUDIT_CHAIN_KEYS": secrets.token_urlsafe(48)}
GO_ON = """
from decimal import Decimal
from balances.services import balance_top_up
from tcmpay.common.actor import SYSTEM
from tcmpay.common.ids import new_id
for _number in range(3):
    balance_top_up(user_id=new_id(), amount=Decimal("20.00"), reason="later", actor=SYSTEM)
"""

SEAL_ONE = """
from config.gateways.places import row_place
from config.models import PaymentConfig
from tcmpay.common.sealing import seal
row = PaymentConfig.objects.filter(payment_method="wechat", config_key="api_v3_key")
row.update(config_value=seal("x" * 32, row_place("wechat", "api_v3_key")))
"""


@dataclass(frozen=True)
class Stage:
    """A server to be backed up and a folder with all that the script needs."""

    url: str
    folder: Path

    def script(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if name not in KEYS},
            "TCMPAY_BACKUP_CONF": str(self.folder / "conf"),
            **changes,
        }
        return subprocess.run(
            [str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False
        )

    def done(self, *arguments: str) -> str:
        run = self.script(*arguments)
        if run.returncode:
            raise SystemExit(f"backup.sh {' '.join(arguments)}:\n{run.stdout}{run.stderr}")
        return run.stderr

    def refused(self, because: str, *arguments: str, **changes: str) -> None:
        run = self.script(*arguments, **changes)
        if run.returncode == 0 or because not in run.stdout + run.stderr:
            raise SystemExit(f"{arguments} was not refused ({because}):\n{run.stdout}{run.stderr}")
        say(f"refused: {' '.join(arguments[:1])}: {because}")

    def manage(self, *arguments: str, url: str = "", **changes: str) -> str:
        return subprocess.run(
            [PYTHON, *arguments],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, **KEYS, "DATABASE_URL": url or self.url, **changes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def sql(self, statement: str, client: str = "client.cnf") -> str:
        return subprocess.run(
            ["mariadb", f"--defaults-extra-file={self.folder / client}", "-N", "-e", statement],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()


def staged(url: str, folder: Path) -> Stage:
    parts = urlsplit(url)
    (folder / "client.cnf").write_text(
        f"[client]\nhost=127.0.0.1\nport={parts.port}\nuser={parts.username}\n"
        f"password={unquote(parts.password or '')}\n"
    )
    made = subprocess.run(
        ["age-keygen", "-o", str(folder / "identity")],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    (folder / "recipients").write_text(made.stderr.rpartition(" ")[2])
    (folder / "work").mkdir()
    audit = {**ENVIRONMENT, **KEYS, "DEBUG": "off", "ALLOWED_HOSTS": "localhost"}
    (folder / "audit.env").write_text("".join(f"{name}={value}\n" for name, value in audit.items()))
    settings = {
        "BACKUP_DIR": folder / "dumps",
        "BACKUP_CLIENT": folder / "client.cnf",
        "BACKUP_DATABASE": parts.path.strip("/"),
        "BACKUP_RECIPIENTS": folder / "recipients",
        "BACKUP_STAMP_FILE": folder / "stamp.json",
        "BACKUP_PROGRAM": ROOT,
        "BACKUP_PYTHON": PYTHON,
        "BACKUP_WORK_DIR": folder / "work",
        "BACKUP_AUDIT_ENV": folder / "audit.env",
    }
    (folder / "conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return Stage(url, folder)


def timed(title: str, stage: Stage, *arguments: str) -> None:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    told = stage.done(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    say(told.strip())
    say(f"{title}: {time.perf_counter() - started:.0f} s on the wall, {cpu:.0f} CPU s of its own")


def refusals(stage: Stage) -> None:
    stage.refused("kept apart", "dump", CONFIG_ENCRYPTION_KEYS=ENCRYPTION_KEY)
    dumps = stage.folder / "dumps"
    dumps.mkdir(exist_ok=True)
    for name, content in (
        ("notes", "AUDIT_CHAIN_KEYS=x"),
        (".env", ""),
        ("i", "AGE-SECRET-KEY-1A"),
    ):
        (dumps / name).write_text(content)
        stage.refused("keys lie beside the dumps", "dump")
        (dumps / name).unlink()


def restored(stage: Stage, name: str, *arguments: str) -> int:
    """The copy's number of ledger entries."""
    stage.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    identity = str(stage.folder / "identity")
    client = str(stage.folder / "client.cnf")
    stage.done(
        "restore",
        "latest",
        "--identity",
        identity,
        "--client",
        client,
        "--database",
        name,
        *arguments,
    )
    return int(stage.sql(f"SELECT COUNT(*) FROM {name}.balance_transactions"))


def without_keys(stage: Stage) -> None:
    """A copy whose keys are not there says plainly what does not open."""
    url = stage.url.rpartition("/")[0] + "/copy"
    stage.manage("manage.py", "shell", "-c", SEAL_ONE, url=url)
    from cryptography.fernet import Fernet

    for command, says, changes in (
        (("check", "--database", "default"), "api_v3_key", _keys(Fernet.generate_key().decode())),
        (("audit_money",), "[", {"AUDIT_CHAIN_KEYS": "x" * 48}),
    ):
        try:
            stage.manage("manage.py", *command, url=url, **changes)
        except subprocess.CalledProcessError as error:
            told = error.stdout + error.stderr
            if says not in told:
                raise SystemExit(f"without {[*changes]} it does not say why:\n{told}") from error
            lines = [line for line in told.splitlines() if says in line]
            say(f"without {', '.join(changes)}: {lines[0]}")
        else:
            raise SystemExit(f"a copy without {[*changes]} passes")


def _keys(name: str) -> dict[str, str]:
    return {"CONFIG_ENCRYPTION_KEYS": name}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.backup", description=__doc__)
    parser.add_argument("--copies", type=int, default=20, help="eighteen orders each")
    given = parser.parse_args(arguments)
    binlog = ("--log-bin=bin", "--server-id=7", "--binlog-format=ROW")
    with tempfile.TemporaryDirectory(prefix="tcmb") as name, mariadb(options=binlog) as server:
        stage = staged(server.url, Path(name))
        say(f"making {given.copies} patients")
        stage.manage("-m", "tests.scale.parts", "books", "balance", str(given.copies))
        refusals(stage)
        count = "SELECT COUNT(*) FROM balance_transactions"
        database = urlsplit(server.url).path.strip("/")
        entries = int(stage.sql(f"USE {database}; {count}"))
        timed("dump", stage, "dump")
        identity = str(stage.folder / "identity")
        timed("drill", stage, "drill", "--identity", identity)
        stage.manage("manage.py", "shell", "-c", GO_ON)
        time.sleep(1.1)
        moment = stage.sql("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%d %H:%i:%s')")
        time.sleep(1.1)
        stage.manage("manage.py", "shell", "-c", GO_ON)
        timed("logs", stage, "logs")
        stage.done("check")
        if (found := restored(stage, "copy")) != entries:
            raise SystemExit(f"the dump holds {found} entries, not {entries}")
        if (found := restored(stage, "moment", "--until", moment)) != entries + 3:
            raise SystemExit(f"at {moment} there were {entries + 3} entries, not {found}")
        timed("drill to a moment", stage, "drill", "--identity", identity, "--until", moment)
        client = str(stage.folder / "client.cnf")
        to = ("restore", "latest", "--identity", identity, "--client", client, "--database")
        stage.refused("empty database", *to, "copy")
        stage.refused("beyond the kept logs", *to, "none", "--until", "2999-01-01 00:00:00")
        stage.refused("before the dump's own moment", *to, "none", "--until", "2020-01-01 00:00:00")
        stage.sql("RESET MASTER; FLUSH BINARY LOGS; FLUSH BINARY LOGS")
        stage.refused("another log than the one kept", "logs")
        damaged = next((stage.folder / "dumps").glob("*.sql.zst.age"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
        stage.refused("not as it was written", *to, "another")
        without_keys(stage)
        say((stage.folder / "stamp.json").read_text().strip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
