"""MariaDB on a host, and a primary with its semi-synchronous replica behind one write endpoint."""

import contextlib
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import MySQLdb
from MySQLdb.cursors import DictCursor

from tests.faults.programs import StageBroken
from tests.faults.proxy import Proxy
from tests.hosts import book
from tests.hosts.net import Host
from tests.servers import MariaDB, find_program

PORT = 3306
DATABASE = "faults"
ADMIN, REPLICATION = "root_of_hosts", "replication"
CAUGHT_UP_SECONDS_MAX = 300.0


class HostedMariaDB(MariaDB):
    """One server on its host. The product's account has its own database alone, so that it is bound
    by ``read_only``; the operator's is bound by nothing."""

    def __init__(self, host: Host, number: int, passwords: dict[str, str]) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix=f"tcm-{host.name}-")), database=DATABASE)
        self.host = host
        self.name = host.name
        self.number = number
        self.port = PORT
        self.password = passwords["tcm_user"]
        self._passwords = passwords

    def initialise(self) -> None:
        super().initialise()
        lines = ["SET sql_log_bin = 0;", f"CREATE DATABASE IF NOT EXISTS `{DATABASE}`;"]
        for user, rights in (
            ("tcm_user", f"ALL PRIVILEGES ON `{DATABASE}`.*"),
            (ADMIN, "ALL PRIVILEGES ON *.*"),
            (REPLICATION, "REPLICATION SLAVE ON *.*"),
        ):
            account = f"'{user}'@'%'"
            lines.append(
                f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self._passwords[user]}';"
            )
            lines.append(f"GRANT {rights} TO {account};")
        (self.directory / "init.sql").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [
            *self.host.prefix,
            *super().command(),
            "--bind-address=0.0.0.0",
            f"--server-id={self.number}",
            *book.SERVER_OPTIONS,
        ]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host.address, PORT), timeout=2) as connection:
                return self.greets(connection)
        except OSError:
            return False

    @contextlib.contextmanager
    def admin(self) -> Iterator[Any]:
        connection = MySQLdb.connect(
            host=self.host.address, port=PORT, user=ADMIN, password=self._passwords[ADMIN],
            autocommit=True, connect_timeout=5, read_timeout=120, cursorclass=DictCursor,
        )  # fmt: skip
        try:
            yield connection
        finally:
            connection.close()

    def run(self, *statements: str) -> list[dict[str, Any]]:
        """Each one in turn; the rows of the last."""
        rows: list[dict[str, Any]] = []
        with self.admin() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def status(self, name: str) -> str:
        rows = self.run(f"SHOW GLOBAL STATUS LIKE '{name}'")
        return str(rows[0]["Value"]) if rows else ""


class Pair:
    """A primary and its replica. ``line`` is the write endpoint, apart from both."""

    def __init__(self, hosts: tuple[Host, Host]) -> None:
        passwords = {user: secrets.token_hex(8) for user in ("tcm_user", ADMIN, REPLICATION)}
        self._passwords = passwords
        self.servers = [HostedMariaDB(host, n, passwords) for n, host in enumerate(hosts, 1)]
        self.primary, self.replica = self.servers
        self.former = ""  # the name of a primary that was replaced and is not rebuilt yet
        self.line = Proxy((self.primary.host.address, PORT), name="database", host="0.0.0.0")
        self.port = self.line.port

    def url_at(self, address: str) -> str:
        return f"mysql://tcm_user:{self._passwords['tcm_user']}@{address}:{self.port}/{DATABASE}"

    @property
    def url(self) -> str:
        return self.url_at("127.0.0.1")

    def replica_url(self) -> str:
        """Past the endpoint: where reads that may lag go."""
        return self.url_at(self.replica.host.address).replace(f":{self.port}/", f":{PORT}/")

    def host_of(self, role: str) -> str:
        return (self.primary if role == "primary" else self.replica).name

    def start(self) -> None:
        for server in self.servers:
            server.initialise()
            server.start()
        self.primary.run(*book.PROMOTE[-1:])
        self._follow(self.replica, of=self.primary)
        self.guard()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self.line.close()

    def guard(self) -> None:
        """From now on no commit is answered that the replica has not got."""
        self.primary.run(*book.GUARD)
        self._until(
            lambda: (
                self.primary.status("Rpl_semi_sync_master_clients") == "1"
                and self.primary.status("Rpl_semi_sync_master_status") == "ON"
            ),
            "the replica acknowledges",
        )

    def remedy(self, host: str) -> str:
        """What people do while ``host`` is away; what they note."""
        begun = time.monotonic()
        if host == self.primary.name:
            self.fail_over()
            return f"failed over in {time.monotonic() - begun:.1f} s of work"
        self.go_on_alone()
        return "writes go on without the replica"

    def before_it_is_back(self, host: str) -> None:
        """A former primary is dead for certain before anything can reach it."""
        if self.former == host:
            self.replica.kill()

    def mend(self, host: str) -> None:
        """``host`` is back."""
        if self.former == host:
            self.rebuild()
        else:
            self.catch_up()

    def go_on_alone(self) -> None:
        """The replica is away: a person decides that writes go on without it."""
        self.primary.run(*book.ALONE)

    def fail_over(self) -> None:
        """The primary is away: the replica, with all it was told, becomes it."""
        replica = self.replica
        replica.run(*book.STOP_LISTENING)
        [state] = replica.run(book.LOOK)
        [waited] = replica.run(book.APPLY_ALL.format(position=state["Gtid_IO_Pos"]))
        if list(waited.values()) != [0]:
            raise StageBroken(f"{replica.name} did not apply all it was told: {waited}")
        replica.run(*book.PROMOTE)
        self.primary, self.replica = replica, self.primary
        self.former = self.replica.name
        self.line.switch((self.primary.host.address, PORT))

    def rebuild(self) -> None:
        """The former primary comes back as the replica: with the new one's data, not its own.

        What it committed and nobody acknowledged is thrown away with it.
        """
        former = self.replica
        if not former.is_running():
            former.start()
        former.run(*book.EMPTY, f"DROP DATABASE IF EXISTS `{DATABASE}`")
        dump = former.directory / "dump.sql"
        self._client(self.primary, "mariadb-dump", "--single-transaction", "--master-data=1",
                     "--gtid", "--databases", DATABASE, output=dump)  # fmt: skip
        self._client(former, "mariadb", "--init-command=SET sql_log_bin = 0", source=dump)
        self._follow(former, of=self.primary)
        self.guard()
        self.former = ""

    def catch_up(self) -> None:
        """The replica was away and is back with what it had."""
        if not self.replica.is_running():
            self.replica.start()
        self.replica.run(*book.LISTEN)
        self.wait_until_equal()
        self.guard()

    def wait_until_equal(self) -> None:
        [row] = self.primary.run("SELECT @@gtid_binlog_pos AS position")
        self._until(
            lambda: (
                self.replica.run(f"SELECT MASTER_GTID_WAIT('{row['position']}', 1) AS done")
                == [{"done": 0}]
            ),
            "the replica has everything",
        )

    def _follow(self, server: HostedMariaDB, *, of: HostedMariaDB) -> None:
        server.run(
            book.FOLLOW.format(
                host=of.host.address, port=PORT, user=REPLICATION,
                password=self._passwords[REPLICATION],
            ),
            *book.LISTEN,
        )  # fmt: skip
        self._until(
            lambda: server.run(book.LOOK)[0]["Slave_IO_Running"] == "Yes", "the replica listens"
        )

    def _client(
        self, server: HostedMariaDB, program: str, *arguments: str, source: Path | None = None,
        output: Path | None = None,
    ) -> None:  # fmt: skip
        with contextlib.ExitStack() as files:
            stdin = files.enter_context(source.open("rb")) if source else subprocess.DEVNULL
            stdout = files.enter_context(output.open("wb")) if output else subprocess.DEVNULL
            subprocess.run(
                [find_program(program), "--no-defaults", "--protocol=tcp",
                 f"--host={server.host.address}", f"--port={PORT}", f"--user={ADMIN}", *arguments],
                env={**os.environ, "MYSQL_PWD": self._passwords[ADMIN]},
                stdin=stdin, stdout=stdout, check=True,
            )  # fmt: skip

    @staticmethod
    def _until(condition: Any, what: str) -> None:
        deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
        while True:
            with contextlib.suppress(MySQLdb.Error):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise StageBroken(f"waited in vain until {what}")
            time.sleep(0.2)
