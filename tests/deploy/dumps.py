"""``python -m tests.deploy.dumps [COMMIT NAME]``: demo data as one release wrote it, as SQL.

Checks COMMIT out beside (this folder without one), makes its tables and its demo data in SQLite
and writes dumps/NAME.sql.gz (NAME: the version). The keys are those of the tests, which open
nothing. ``test_dumps.py`` takes each to the present release and audits it.
"""

import gzip
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.deploy.former import ROOT, checked_out
from tests.programs import ENVIRONMENT

FOLDER = Path(__file__).resolve().parent / "dumps"


def environment(database: Path) -> dict[str, str]:
    found = {**os.environ, **ENVIRONMENT, "DATABASE_URL": f"sqlite:///{database}"}
    return {**found, "EXPORT_DIR": str(database.parent / "exports")}


def manage(folder: Path, database: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env=environment(database),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def restore(dump: Path, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.executescript(gzip.decompress(dump.read_bytes()).decode())
    connection.close()


def main(arguments: Sequence[str]) -> int:
    commit, name = (*arguments, "", "")[:2]
    with tempfile.TemporaryDirectory(prefix="tcm-dump-") as folder_name:
        folder, database = ROOT, Path(folder_name) / "db.sqlite3"
        if commit:
            folder = Path(folder_name) / "release"
            checked_out(commit, folder)
        for command in (("migrate", "--verbosity", "0"), ("seed_demo",)):
            done = manage(folder, database, *command)
            if done.returncode:
                raise SystemExit(f"{command}: {done.stdout[-3000:]}")
        connection = sqlite3.connect(database)
        text = "\n".join(connection.iterdump())
        connection.close()
    if not name:
        from tcmpay.version import __version__ as name
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.sql.gz"
    # No time in it: the same data is the same file.
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    sys.stdout.write(f"{file}: {file.stat().st_size // 1024} KB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
