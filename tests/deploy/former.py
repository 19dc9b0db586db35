"""``python -m tests.deploy.former``: the former release's tests, on this release's tables.

While one host after the other goes over to a new release, the former one's code reads and writes
tables that the new one's migrations made. So its own tests have to pass on them: its code is
checked out beside, the tables are made by this folder's migrations (MariaDB), and its tests find
them there (``--reuse-db``). Needs a MariaDB in DATABASE_URL: ``python -m tests.servers -- …``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The release that is upgraded from: set anew, to its commit, with each release.
FORMER = "cc6055df"
# What asks the API and moves money. Tests that drop or make tables themselves are none of them.
TESTS = [
    *("payments/tests", "refunds/tests", "balances/tests", "webhooks/tests"),
    *("tests/api", "tests/events", "tests/engine"),
]
# Left out: what compares the whole schema, or tells by name what this release may have changed.
LEFT_OUT = "not migrat and not description and not race and not browser"
MAKE = (
    "import django; django.setup(); from django.db import connection;"
    "connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)"
)


def checked_out(commit: str, folder: Path) -> None:
    """The files of ``commit`` in ``folder``, without history."""
    folder.mkdir(parents=True)
    archive = subprocess.Popen(
        ["git", "archive", "--format=tar", commit], cwd=ROOT, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
    if archive.wait():
        raise SystemExit(f"no such commit here: {commit} (a clone without its history?)")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.deploy.former", description=__doc__)
    parser.add_argument("--former", default=FORMER)
    parser.add_argument("tests", nargs="*", default=TESTS)
    options = parser.parse_args(arguments)
    if not os.environ.get("DATABASE_URL", "").startswith("mysql"):
        raise SystemExit(
            "needs a MariaDB: python -m tests.servers -- python -m tests.deploy.former"
        )
    from tests.programs import ENVIRONMENT

    environment = {**os.environ, **ENVIRONMENT}
    environment["DATABASE_URL"] = os.environ["DATABASE_URL"]
    subprocess.run([sys.executable, "-c", MAKE], cwd=ROOT, env=environment, check=True)
    with tempfile.TemporaryDirectory(prefix="tcm-former-") as name:
        folder = Path(name) / "former"
        checked_out(options.former, folder)
        wanted = [test for test in options.tests if (folder / test).exists()]
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "--reuse-db", "-n", "0"),
                *("-p", "no:cacheprovider", "--show-capture=no", "-k", LEFT_OUT, *wanted),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
