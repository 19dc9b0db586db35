"""Three Galera nodes, each on its host, and one write endpoint that follows a living node."""

import socket
from pathlib import Path

from tests.faults.galera import INIT_FILE, Cluster, Node
from tests.hosts.net import Host


class HostedNode(Node):
    def __init__(self, host: Host, directory: Path, number: int, provider: str) -> None:
        super().__init__(directory, number, provider)
        self.host = host
        self.name = host.name

    @property
    def address(self) -> tuple[str, int]:
        return (self.host.address, self.port)

    def initialise(self) -> None:
        super().initialise()
        file = self.directory / INIT_FILE
        file.write_text(file.read_text().replace("'@'127.0.0.1'", "'@'%'"))

    def command(self) -> list[str]:
        text = "\n".join([*self.host.prefix, *super().command()])
        text = text.replace("--bind-address=127.0.0.1", "--bind-address=0.0.0.0")
        for node in self.peers:
            if isinstance(node, HostedNode):
                group = f"127.0.0.1:{node.group_port}"
                text = text.replace(group, f"{node.host.address}:{node.group_port}")
        # Its own: state transfers and clients.
        return text.replace("127.0.0.1", self.host.address).split("\n")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self.address, timeout=2) as connection:
                return self.greets(connection)
        except OSError:
            return False


class HostedCluster(Cluster):
    """What ``tests.hosts`` breaks and mends."""

    endpoint = "0.0.0.0"

    def __init__(self, hosts: list[Host], folder: Path, provider: str) -> None:
        super().__init__(
            [HostedNode(host, folder / host.name, n, provider) for n, host in enumerate(hosts)]
        )
        self.servers = self.nodes
        self.open_endpoint()  # its address is known before anything runs

    def url_at(self, address: str) -> str:
        return self.url.replace("127.0.0.1", address)

    def host_of(self, role: str) -> str:
        """The host that is written to now, or one that is not."""
        others = [node for node in self.nodes if node is not self._primary]
        return (self._primary if role == "writer" else others[0]).name

    def before_it_is_back(self, host: str) -> None:
        """A node that was away joins by itself."""

    def remedy(self, host: str) -> str:
        """Nothing is to be done: the endpoint follows."""
        return f"{self.failovers} changes of the writer so far"

    def mend(self, host: str) -> None:
        self.recover()
        for node in self.nodes:
            self._wait_until_synced(node)
