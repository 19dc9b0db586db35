"""The replica that audits and exports read: reached, read-only, near enough, acknowledging."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.utils.translation import gettext as _

from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding

LAG_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Replica:
    """As it answers. ``is_near``: it had, within LAG_SECONDS_MAX, all that the primary had when
    asked; None where that can't be measured. ``is_acknowledging``: both ends say semi-sync.
    ``is_the_primary``: its address is the primary's own, or leads to the same server."""

    problem: str = ""
    is_the_primary: bool = False
    is_read_only: bool = True
    is_near: bool | None = True
    is_acknowledging: bool = True


def replica_seen() -> Replica | None:
    """None where no replica of its own is configured."""
    primary, replica = connections[DEFAULT_DB_ALIAS], connections[settings.SNAPSHOT_DATABASE]
    if replica.vendor == "sqlite" or not settings.IS_REPLICA_SET:
        return None
    with primary.cursor() as ours:
        ours_is = _identity(ours)
        is_sending = _status(ours, "Rpl_semi_sync_master_status") == "ON"
        position = ""
        if primary.mysql_is_mariadb:  # type: ignore[attr-defined]
            position = _value(ours, "SELECT @@GLOBAL.gtid_binlog_pos") or ""
    try:
        with replica.cursor() as theirs:
            # No right is needed for any of these, unlike for SHOW SLAVE STATUS.
            if _identity(theirs) == ours_is:
                return Replica(is_the_primary=True)
            is_read_only = bool(_value(theirs, "SELECT @@GLOBAL.read_only"))
            is_receiving = _status(theirs, "Rpl_semi_sync_slave_status") == "ON"
            is_near = None
            if position:
                wait = "SELECT MASTER_GTID_WAIT(%s, %s)"
                is_near = _value(theirs, wait, [position, LAG_SECONDS_MAX]) == 0
    except DatabaseError as problem:
        return Replica(problem=str(problem))
    return Replica("", False, is_read_only, is_near, is_sending and is_receiving)


def _identity(cursor: Any) -> tuple[Any, ...]:
    """Of the server: an endpoint before it has another address."""
    cursor.execute("SELECT @@hostname, @@port, @@server_id")
    return tuple(cursor.fetchone())


def _value(cursor: Any, sql: str, arguments: list[Any] | None = None) -> Any:
    cursor.execute(sql, arguments)
    return cursor.fetchone()[0]


def _status(cursor: Any, name: str) -> str:
    cursor.execute("SHOW GLOBAL STATUS LIKE %s", [name])
    row = cursor.fetchone()
    return str(row[1]) if row else ""


def replica(seen: Replica | None) -> Iterator[Finding]:
    if seen is None:
        yield fine("replica", _("没有另设从库：报表和审计读主库"))
        return
    if seen.problem:
        fix = _("启动从库，核对 DATABASE_REPLICA_URL；从库要停一阵就先不设它")
        yield error("reachable", _("从库不能回答：%(why)s") % {"why": seen.problem}, fix)
        return
    if seen.is_the_primary:
        fix = _("把 DATABASE_REPLICA_URL 改成从库的地址，没有从库就不设它")
        yield warning("same", _("DATABASE_REPLICA_URL 通向主库自己"), fix)
        return
    if not seen.is_read_only:
        fix = _(
            "在从库上 SET GLOBAL read_only = ON；刚切换过的话，把 DATABASE_REPLICA_URL 改成新的从库"
        )
        yield error("read_only", _("从库可以写入"), fix)
    if seen.is_near is None:
        fix = _("在从库上看 SHOW REPLICA STATUS")
        yield warning("lag", _("量不出从库落后多少"), fix)
    elif not seen.is_near:
        text = _("%(seconds)d 秒之后从库还没有追上") % {"seconds": LAG_SECONDS_MAX}
        yield warning("lag", text, _("在从库上看 SHOW SLAVE STATUS：停了就 START SLAVE"))
    if not seen.is_acknowledging:
        fix = _("从库追上之后在主库上 SET GLOBAL rpl_semi_sync_master_enabled = ON")
        yield warning("semi_sync", _("提交不等从库：主库的磁盘坏了会丢答复过的支付"), fix)
    if seen == Replica():
        yield fine("replica", _("只读，跟得上，半同步"))
