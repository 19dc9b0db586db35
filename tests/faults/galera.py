"""Three Galera nodes on loopback with one address to write to, which follows a living node."""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import MySQLdb

from tests.faults.play import Skipped
from tests.faults.programs import StageBroken
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage, stage_on
from tests.servers import MariaDB, ServerFailed, find_program, free_port

NODES = 3
INIT_FILE = "init.sql"
SERVICE_USER = "mysql"  # Debian's package makes it
PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
WATCH_SECONDS = 0.2
SYNCED_SECONDS_MAX = 300.0
RECOVERED_POSITION = re.compile(r"Recovered position: ?([0-9a-f-]{36}):(-?\d+)")


class Node(MariaDB):
    """One node: a MariaDB with three more ports (group, state transfer whole and incremental)."""

    def __init__(self, directory: Path, number: int, provider: str) -> None:
        directory.mkdir()
        super().__init__(directory, database="faults")
        if os.geteuid() == 0:
            # rsync, started by root, would receive as nobody: the nodes run as their own user.
            self._user_options = [f"--user={SERVICE_USER}"]
            shutil.chown(directory, SERVICE_USER)
        self.name = f"node-{number}"
        self.number = number
        self.port = free_port()
        self.group_port, self.ist_port, self.sst_port = free_port(), free_port(), free_port()
        self._provider = provider
        self.peers: list[Node] = []
        self.is_bootstrapping = False
        self._start_position = ""

    def initialise(self) -> None:
        """The first node's tables are made; the others get theirs from it."""
        if self.number == 0:
            super().initialise()
        else:
            self.datadir.mkdir(mode=0o700)
            shutil.copy(self.peers[0].directory / INIT_FILE, self.directory)
        if os.geteuid() == 0:
            for file in (self.directory, *self.directory.rglob("*")):
                shutil.chown(file, SERVICE_USER)

    def command(self) -> list[str]:
        addresses = ",".join(f"127.0.0.1:{node.group_port}" for node in self.peers)
        provider_options = ";".join(
            [
                f"gmcast.listen_addr=tcp://127.0.0.1:{self.group_port}",
                f"ist.recv_addr=127.0.0.1:{self.ist_port}",
                "gcache.size=64M",
                # A node that says nothing for so long is out; the default takes five seconds more.
                "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S",
                "evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.5S",
            ]
        )
        return [
            *super().command(),
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            "--wsrep-sync-wait=7",
            f"--wsrep-provider={self._provider}",
            f"--wsrep-cluster-address=gcomm://{addresses}",
            "--wsrep-cluster-name=faults",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-node-address=127.0.0.1:{self.group_port}",
            f"--wsrep-node-incoming-address=127.0.0.1:{self.port}",
            f"--wsrep-provider-options={provider_options}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{self.sst_port}",
            *(["--wsrep-new-cluster"] if self.is_bootstrapping else []),
            *([self._start_position] if self._start_position else []),
        ]

    def bootstrap(self) -> None:
        """Begin the cluster with this node's data."""
        state = self.datadir / "grastate.dat"
        if state.exists():
            text = state.read_text().replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1")
            state.write_text(text)
        self.is_bootstrapping = True
        try:
            self.start()
        finally:
            self.is_bootstrapping = False
            self._start_position = ""

    def rejoin(self) -> None:
        """Start after a kill: what is missing comes from the others, not everything."""
        if (self.datadir / "grastate.dat").exists():
            self.recovered_position()
        try:
            self.start()
        finally:
            self._start_position = ""

    def recovered_position(self) -> int:
        """The number of the last write in this killed node's data (``--wsrep-recover``)."""
        self._start_position = ""
        done = subprocess.run(
            [*self.command(), "--wsrep-recover", f"--log-error={self.directory / 'recover.log'}"],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        log = (self.directory / "recover.log").read_text(errors="replace")
        found = RECOVERED_POSITION.findall(log)
        if not found:
            raise StageBroken(f"{self.name}: no position ({done.returncode}):\n{log[-3000:]}")
        group, number = found[-1]
        self._start_position = f"--wsrep-start-position={group}:{number}"
        return int(number)

    def is_synced(self) -> bool:
        """Whether it belongs to the primary component and takes writes."""
        if not self.is_running():
            return False
        try:
            with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SHOW STATUS WHERE Variable_name IN"
                    " ('wsrep_local_state', 'wsrep_ready', 'wsrep_cluster_status')"
                )
                state = dict(cursor.fetchall())
        except MySQLdb.Error:
            return False
        return state == {
            "wsrep_local_state": "4", "wsrep_ready": "ON", "wsrep_cluster_status": "Primary",
        }  # fmt: skip

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def connect(self) -> MySQLdb.Connection:
        host, port = self.address
        return MySQLdb.connect(
            host=host,
            port=port,
            user=self.user,
            password=self.password,
            connect_timeout=2,
            read_timeout=2,
        )


class Cluster:
    """What the product sees as one server: ``port`` leads to the node that is written to."""

    endpoint = "127.0.0.1"

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)
        for node in self.nodes:
            node.peers = self.nodes
            node.password = self.nodes[0].password
        self._line: Proxy | None = None
        self._is_over = threading.Event()
        self._primary = self.nodes[0]
        self.failovers = 0

    @property
    def port(self) -> int:
        if self._line is None:
            raise StageBroken("the cluster does not run yet")
        return self._line.port

    @property
    def url(self) -> str:
        node = self.nodes[0]
        return node.url.replace(f":{node.port}/", f":{self.port}/")

    def start(self) -> None:
        first, *others = self.nodes
        for node in self.nodes:
            node.initialise()
        first.bootstrap()
        for node in others:
            self._join(node)
        self.open_endpoint()
        threading.Thread(target=self._watch, daemon=True).start()

    def open_endpoint(self) -> None:
        if self._line is None:
            self._line = Proxy(self._primary.address, name="cluster", host=self.endpoint)

    def stop(self) -> None:
        self._is_over.set()
        for node in reversed(self.nodes):
            node.stop()
        if self._line is not None:
            self._line.close()

    def is_running(self) -> bool:
        return all(node.is_running() for node in self.nodes)

    def kill_one(self, *, is_primary: bool) -> None:
        others = [node for node in self.nodes if node is not self._primary]
        (self._primary if is_primary else others[0]).kill()

    def kill_all(self) -> None:
        for node in self.nodes:
            node.kill()

    def recover(self) -> None:
        """What the operator does: with none left, begin with the node that knows most."""
        if not any(node.is_running() for node in self.nodes):
            newest = max(self.nodes, key=Node.recovered_position)
            newest.bootstrap()
            self._wait_until_synced(newest)
        for node in self.nodes:
            if not node.is_running():
                self._join(node)

    def _join(self, node: Node) -> None:
        try:
            node.rejoin()
        except ServerFailed as error:
            raise StageBroken(str(error)) from error
        self._wait_until_synced(node)

    def _wait_until_synced(self, node: Node) -> None:
        deadline = time.monotonic() + SYNCED_SECONDS_MAX
        while not node.is_synced():
            if time.monotonic() > deadline or not node.is_running():
                raise StageBroken(f"{node.name} did not join:\n{node.log_tail()}")
            time.sleep(WATCH_SECONDS)

    def _watch(self) -> None:
        """Lead writes to one node as long as it lives, else to another one."""
        while not self._is_over.wait(WATCH_SECONDS):
            if self._primary.is_synced():
                continue
            healthy = next((node for node in self.nodes if node.is_synced()), None)
            if healthy is not None and self._line is not None:
                self._primary = healthy
                self.failovers += 1
                self._line.switch(healthy.address)


def installed_provider() -> str:
    """Raises Skipped where Galera, or what it copies a node's data with, is not installed."""
    provider = next((path for path in PROVIDERS if Path(path).exists()), None)
    if provider is None:
        raise Skipped("Galera is not installed: apt-get install galera-4 rsync")
    try:
        find_program("rsync")
    except ServerFailed as error:
        raise Skipped("rsync is not installed: apt-get install rsync") from error
    return provider


@contextlib.contextmanager
def galera_stage(folder: Path) -> Iterator[Stage]:
    """The product on a cluster. Raises Skipped where Galera is not installed."""
    provider = installed_provider()
    home = folder / "nodes"
    home.mkdir()
    for passage in (folder.parent, folder, home):
        passage.chmod(0o711)
    cluster = Cluster([Node(home / str(number), number, provider) for number in range(NODES)])
    try:
        cluster.start()
        with stage_on(folder, cluster, processes=1) as stage:
            yield stage
    finally:
        cluster.stop()
