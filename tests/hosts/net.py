"""Hosts on a bridge, in a network of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.play import Skipped

IS_INSIDE = "TCM_HOSTS_INSIDE"
BRIDGE = "br-tcm"
HERE = "10.77.0.1"
NETNS = Path("/run/netns")
TOOLS = ("ip", "unshare", "mount", "socat")


def enter(arguments: Sequence[str]) -> None:
    """Go on in namespaces of our own, which end with us. Raises Skipped where that can't be."""
    if os.environ.get(IS_INSIDE):
        _make_bridge()
        return
    if os.geteuid():
        raise Skipped("hosts are network namespaces, which root alone can make")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise Skipped(f"not installed: {', '.join(missing)}")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        raise Skipped("namespaces are not allowed here")
    command = [*unshare, sys.executable, "-m", "tests.hosts", *arguments]
    os.execvpe(unshare[0], command, {**os.environ, IS_INSIDE: "yes"})


def _make_bridge() -> None:
    NETNS.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "tmpfs", str(NETNS))
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"{' '.join(words)}: {done.stderr.strip()}")


class Host:
    """``name`` has ``address``; what runs on it is started with ``prefix`` before its command."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.77.0.{number}"
        _run("ip", "netns", "add", name)
        ends = (f"{name}-v", f"{name}-h")
        _run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        _run("ip", "link", "set", ends[0], "master", BRIDGE, "up")
        _run("ip", "link", "set", ends[1], "netns", name)
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", ends[1]),
            ("link", "set", ends[1], "up"),
            ("link", "set", "lo", "up"),
        ):
            _run("ip", "-n", name, *words)
        self._cable = ends[0]

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def cut_off(self) -> None:
        """Nothing reaches it, nothing leaves it; connections stay open at both ends."""
        _run("ip", "link", "set", self._cable, "down")

    def connect(self) -> None:
        _run("ip", "link", "set", self._cable, "up")
