"""A throw-away Debian in namespaces: systemd as process 1 over a layer above this machine's files.

    with box(folder) as machine:
        machine.run("systemctl", "is-system-running")

What is installed, written or started in it is gone at its end, and nothing of it reaches this
machine: files (overlay), processes, network (loopback alone), users and units are its own. Needs
root, Linux and systemd. Standard library only.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

START_SECONDS_MAX = 60.0
# The first process's own: in the new namespaces, before systemd.
PREPARE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$BOX"
mkdir "$BOX/upper" "$BOX/work" "$BOX/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" "$BOX/root"
cd "$BOX/root"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mkdir -p run/systemd/system run/inside etc/systemd/system
[ -z "$INSIDE" ] || mount --bind "$INSIDE" run/inside
# Units of this machine start nothing here: whoever uses the box starts what it needs.
rm -rf etc/systemd/system/*.wants
ip link set lo up
pivot_root . mnt
cd /
umount -l /mnt
# Credentials are mounted by a helper of systemd and have to be seen outside of it.
mount --make-rshared /
export container=box
exec /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no
"""


class BoxUnusable(RuntimeError):
    """Why no box can be had on this machine."""


class Box:
    """A running one; ``pid`` is its systemd as this machine sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def command(self, *command: str) -> list[str]:
        enter = ["nsenter", "--target", str(self.pid), *("-m", "-p", "-u", "-i", "-n", "-C")]
        return [*enter, "--root", "--wd", *command]

    def run(
        self, *command: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run as its root; output is text. Raises CalledProcessError, its output told."""
        done = subprocess.run(
            self.command(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        if check and done.returncode:
            sys.stderr.write(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n")
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
        return done

    def shell(self, script: str, *, check: bool = True) -> str:
        return self.run("sh", "-ec", script, check=check).stdout


@contextlib.contextmanager
def box(folder: Path, *, inside: Path | None = None) -> Iterator[Box]:
    """Start one; ``inside`` is seen in it as /run/inside. Raises BoxUnusable."""
    if problem := why_unusable():
        raise BoxUnusable(problem)
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "box.log").open("ab")
    mounts = folder / "box"
    mounts.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [
            *("unshare", "--pid", "--mount", "--fork", "--uts", "--ipc", "--cgroup", "--net"),
            *("--kill-child=SIGKILL", "bash", "-c", PREPARE),
        ],
        env={**os.environ, "BOX": str(mounts), "INSIDE": str(inside or "")},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        yield Box(_started(process, folder))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        log.close()


def why_unusable() -> str:
    """Why this machine can't have one; "" when it can."""
    if sys.platform != "linux" or os.geteuid():
        return "a box needs Linux and root"
    if not all(shutil.which(name) for name in ("unshare", "nsenter", "ip")):
        return "a box needs util-linux and iproute2"
    if not Path("/lib/systemd/systemd").exists():
        return "a box needs systemd"
    tried = subprocess.run(
        ["unshare", "-pmfuiCn", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return "" if tried.returncode == 0 else "namespaces can't be had here"


def _started(process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """The id of its systemd, once that has come up."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            machine = Box(int(children[0]))
            state = machine.run("systemctl", "is-system-running", check=False)
            if state.stdout.strip() in {"running", "degraded"}:
                return machine.pid
        time.sleep(0.2)
    raise BoxUnusable(f"systemd did not come up:\n{(folder / 'box.log').read_text()[-2000:]}")
