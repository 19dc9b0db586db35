"""``python -m tests.deploy.upgrade``: an upgrade by the book, under traffic, and back again.

In a throw-away Debian (box.py): the former release is installed as docs/production.md says, with
nginx, MariaDB and Redis under systemd; clients ask at a steady rate through nginx (traffic.py);
meanwhile the release of this folder is gone over to as docs/upgrading.md says. Nothing may be
dropped, no payment that was acknowledged may be missing, and the audit has to be clean. How long
the longest answer took is printed beside a run in which nothing happens: it is the machine's, too.

Needs root, Debian's mariadb-server, redis-server, nginx and python3-venv, and PyPI.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.deploy.box import Box, BoxUnusable, box
from tests.deploy.former import FORMER, checked_out

ROOT = Path(__file__).resolve().parent.parent.parent
# pyenv and the like make environments that name folders a box may not have.
PYTHON = "/usr/bin/python3"
USERS = [f"0192f0c1-0000-7000-8000-0000000002{number:02}" for number in range(10)]
PASSWORD = "Zk3x9Wq71"
PREPARE = f"""
systemctl start mariadb redis-server
mariadb -e "CREATE DATABASE tcm_telemedicine CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
  CREATE USER 'tcm_user'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
  GRANT ALL ON tcm_telemedicine.* TO 'tcm_user'@'127.0.0.1'"
umask 077
cd /etc/credstore
echo mysql://tcm_user:{PASSWORD}@127.0.0.1:3306/tcm_telemedicine > tcmpay.DATABASE_URL
echo redis://127.0.0.1:6379/0 > tcmpay.CELERY_BROKER_URL
echo redis://127.0.0.1:6379/1 > tcmpay.CACHE_URL
{PYTHON} -c 'import secrets; print(secrets.token_urlsafe(48))' > tcmpay.JWT_SECRET
"""
SERVE = """
cp /srv/tcmpay/current/deploy/nginx/tcmpay-host.conf /etc/nginx/conf.d/
cp /srv/tcmpay/current/deploy/nginx/tcmpay.conf /etc/nginx/sites-enabled/
rm -f /etc/nginx/sites-enabled/default
mkdir -p /etc/ssl/tcmpay
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=pay.example.cn -days 3 \
    -keyout /etc/ssl/tcmpay/key.pem -out /etc/ssl/tcmpay/fullchain.pem 2>/dev/null
echo '127.0.0.1 pay.example.cn' >> /etc/hosts
nginx -t -q
systemctl start nginx
systemctl enable --quiet --now tcmpay.target
"""


class Trial:
    def __init__(self, machine: Box, rate: float, seconds: float) -> None:
        self.machine, self.rate, self.seconds = machine, rate, seconds
        self.problems: list[str] = []
        self.acknowledged: list[str] = []
        self._secret = machine.shell("cat /etc/credstore/tcmpay.JWT_SECRET").strip()

    def under_traffic(self, what: str, act: Callable[[], Any]) -> None:
        """Let clients ask while ``act`` runs, and say how it went for them."""
        plan = {
            "base": "https://pay.example.cn",
            "secret": self._secret,
            "users": USERS,
            "rate": self.rate,
            "seconds": self.seconds,
        }
        failed: list[BaseException] = []

        def acting() -> None:
            try:
                act()
            except BaseException as error:  # told by the thread that waits for it
                failed.append(error)

        actor = threading.Timer(3.0, acting)
        actor.start()
        told = self.machine.run(PYTHON, "/run/inside/traffic.py", json.dumps(plan)).stdout
        actor.join()
        met = json.loads(told.splitlines()[-1])
        self.acknowledged += met.pop("acknowledged")
        dropped = met.pop("dropped")
        say(
            f"{what:24} {met['requests']:6} requests  dropped {len(dropped):3}  "
            f"p50 {met['p50_ms']:5} ms  p99 {met['p99_ms']:6} ms  longest {met['longest_ms']:6} ms"
        )
        self.problems += [f"{what}: {one}" for one in dropped[:10]]
        self.problems += [f"{what}: {error}" for error in failed]

    def compare(self) -> None:
        """Every payment that was acknowledged, against the database; then the whole audit."""
        paid = set(
            self.machine.shell(
                "mariadb -N -B tcm_telemedicine -e"
                " \"SELECT id FROM payment_orders WHERE status = 'paid'\""
            ).split()
        )
        self.problems += [f"lost: {order}" for order in self.acknowledged if order not in paid]
        audit = self.machine.run("tcmpay-manage", "audit_money", "--strict", check=False)
        if audit.returncode:
            self.problems.append(f"audit: {audit.stdout[-1500:]}")
        say(f"acknowledged payments: {len(self.acknowledged)}, audit: exit {audit.returncode}")


def prepare(folder: Path, former: str) -> Path:
    """What the box sees as /run/inside: both releases, and all that pip needs without a network."""
    inside = folder / "inside"
    inside.mkdir()
    checked_out(former, inside / "former")
    checked_out("HEAD", inside / "next")
    shutil.copy(ROOT / "tests/deploy/traffic.py", inside)
    subprocess.run([PYTHON, "-m", "venv", folder / "venv"], check=True)
    for release in ("former", "next"):
        wanted = ("--require-hashes", "--requirement", inside / release / "requirements.txt")
        download(folder, inside, *wanted)
    download(folder, inside, "setuptools", "wheel")
    return inside


def download(folder: Path, inside: Path, *wanted: str | Path) -> None:
    subprocess.run(
        [folder / "venv/bin/pip", "--quiet", "download", "--dest", inside / "wheels", *wanted],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def install(machine: Box, release: str) -> None:
    machine.run(
        *("bash", f"/run/inside/{release}/deploy/install.sh", release),
        environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/run/inside/wheels", "PYTHON": PYTHON},
    )


def play(folder: Path, options: argparse.Namespace) -> list[str]:
    inside = prepare(folder, options.former)
    with box(folder, inside=inside) as machine:
        install(machine, "former")
        machine.shell(PREPARE)
        machine.run("tcmpay-upgrade", "former")
        machine.shell(SERVE)
        for user in USERS:
            arguments = ("--user", user, "--amount", "90000.00", "--reason", "trial")
            machine.run("tcmpay-manage", "create_balance", *arguments)
        install(machine, "next")
        trial = Trial(machine, options.rate, options.seconds)
        trial.under_traffic("nothing happens", lambda: None)
        trial.under_traffic("upgrade", lambda: machine.run("tcmpay-upgrade", "next"))
        trial.under_traffic(
            "back, code alone", lambda: machine.run("tcmpay-upgrade", "--only-code", "former")
        )
        trial.under_traffic("forward again", lambda: machine.run("tcmpay-upgrade", "next"))
        trial.under_traffic(
            "reload", lambda: machine.run("systemctl", "reload", "tcmpay-web@1", "tcmpay-web@2")
        )
        trial.compare()
        return trial.problems


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.deploy.upgrade", description=__doc__)
    parser.add_argument("--former", default=FORMER, help="the commit that is upgraded from")
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of traffic, each time")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tcm-upgrade-", dir="/var/tmp") as name:
        try:
            problems = play(Path(name), options)
        except BoxUnusable as error:
            say(f"SKIPPED: {error}")
            return 0
    for problem in problems:
        say(f"PROBLEM {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
