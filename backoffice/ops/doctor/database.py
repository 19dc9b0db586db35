"""The database: what it is, how it is set, what our account may do there, and its clock."""

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding
from tcmpay.common.database_session import durability_warnings, session_problems

MEGABYTE = 1024 * 1024
PACKET_BYTES_MIN = 16 * MEGABYTE
# Below these CHECK constraints are not kept, or Django does not run.
MARIADB_MIN, MYSQL_MIN = (10, 5), (8, 0, 16)
MARIADB_TRIED = (10, 11)
BINLOG_SECONDS_MIN = 2 * 86_400
SKEW_SECONDS_WARNING, SKEW_SECONDS_ERROR = 2.0, 60.0
VARIABLES = (
    "character_set_database",
    "collation_database",
    "max_allowed_packet",
    "log_bin",
    "binlog_format",
    "binlog_expire_logs_seconds",
    "expire_logs_days",
)
DAILY_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
HARMLESS_RIGHTS = frozenset({"USAGE"})
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<place>\S+) TO .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Server:
    """MariaDB, MySQL or SQLite as it answers; ``skew_seconds``: its clock less this machine's."""

    vendor: str
    version: tuple[int, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    grants: Sequence[str] = ()
    skew_seconds: float = 0.0


def server_seen() -> Server:
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        return Server("sqlite", sqlite3.sqlite_version_info)
    with connection.cursor() as cursor:
        names = ", ".join(["%s"] * len(VARIABLES))
        cursor.execute(f"SHOW VARIABLES WHERE Variable_name IN ({names})", VARIABLES)
        variables = {str(name): str(value) for name, value in cursor.fetchall()}
        cursor.execute("SHOW GRANTS FOR CURRENT_USER")
        grants = [str(row[0]) for row in cursor.fetchall()]
        skew = _skew(cursor)
    vendor = "mariadb" if connection.mysql_is_mariadb else "mysql"  # type: ignore[attr-defined]
    version = connection.mysql_version  # type: ignore[attr-defined]
    return Server(vendor, tuple(version), variables, grants, skew)


def _skew(cursor: Any) -> float:
    before = time.time()
    cursor.execute("SELECT UTC_TIMESTAMP(6)")
    told: datetime = cursor.fetchone()[0]
    middle = (before + time.time()) / 2
    return told.replace(tzinfo=UTC).timestamp() - middle


def version(server: Server) -> Iterator[Finding]:
    shown = f"{server.vendor} {'.'.join(map(str, server.version))}"
    if server.vendor == "sqlite":
        fix = _("生产环境用 MariaDB 10.11 或 MySQL 8：SQLite 同一时间只有一个写入")
        yield warning("version", shown, fix)
        return
    least = MARIADB_MIN if server.vendor == "mariadb" else MYSQL_MIN
    if server.version < least:
        fix = _("升级数据库：这个版本不执行 CHECK 约束，或不受支持")
        yield error("version", shown, fix)
    elif server.vendor == "mariadb" and server.version < MARIADB_TRIED:
        yield warning("version", shown, _("升级到 MariaDB 10.11：在它上面测试过"))
    else:
        yield fine("version", shown)


def session(problems: Sequence[str]) -> Iterator[Finding]:
    """Isolation, sql_mode, time zone and storage engine, as our own connections have them."""
    fix = _("去掉 DATABASE_URL 里改变它的选项，或让中间的代理不要改动会话设置")
    for problem in problems:
        yield error("session", problem, fix)
    if not problems:
        yield fine("session", _("隔离级别、sql_mode、时区、存储引擎都正确"))


def session_seen() -> list[str]:
    return session_problems()


def durability(warnings: Sequence[str]) -> Iterator[Finding]:
    for text in warnings:
        name = text.partition(" ")[0]
        yield error(name, text, _("在数据库的配置文件里设为 1 并重启数据库"))
    if not warnings:
        yield fine("durability", _("答复过的提交不会随断电丢失"))


def durability_seen() -> list[str]:
    return durability_warnings()


def settings_of_server(server: Server) -> Iterator[Finding]:
    """Characters, packets and binary logs (MariaDB and MySQL)."""
    if server.vendor == "sqlite":
        return
    found = server.variables
    yield from _characters(found)
    packet = int(found.get("max_allowed_packet", PACKET_BYTES_MIN))
    if packet < PACKET_BYTES_MIN:
        text = _("max_allowed_packet 只有 %(size)d KB") % {"size": packet // 1024}
        yield warning("max_allowed_packet", text, _("在数据库的配置文件里设为 16M 以上"))
    else:
        yield fine("max_allowed_packet", f"{packet // MEGABYTE} MB")
    yield from _binary_log(found)


def _characters(found: Mapping[str, str]) -> Iterator[Finding]:
    characters = found.get("character_set_database", "")
    if characters != "utf8mb4":
        fix = _("ALTER DATABASE … CHARACTER SET utf8mb4，并转换已有的表：否则有的文字存不下")
        yield error("character_set", characters, fix)
    else:
        yield fine("character_set", found.get("collation_database", characters))


def _binary_log(found: Mapping[str, str]) -> Iterator[Finding]:
    if found.get("log_bin") != "ON":
        fix = _("打开 log_bin：没有二进制日志只能恢复到上一次备份，之后的支付就没有了")
        yield warning("log_bin", _("没有开二进制日志"), fix)
        return
    if found.get("binlog_format", "ROW") == "STATEMENT":
        fix = _("设 binlog_format=ROW：READ COMMITTED 下 STATEMENT 不能写入")
        yield error("binlog_format", "STATEMENT", fix)
    seconds = float(found.get("binlog_expire_logs_seconds") or 0)
    seconds = seconds or float(found.get("expire_logs_days") or 0) * 86_400
    if 0 < seconds < BINLOG_SECONDS_MIN:
        text = _("二进制日志只保留 %(hours)d 小时") % {"hours": seconds // 3600}
        yield warning("log_bin", text, _("至少保留两天：要覆盖两次备份之间的时间"))
    else:
        yield fine("log_bin", "ON")


def rights(server: Server, database: str) -> Iterator[Finding]:
    """Whether our account may do more than daily operation needs."""
    if server.vendor == "sqlite":
        return
    for grant in server.grants:
        match = _GRANT.match(grant)
        if match is None:
            continue  # a role: what it may is granted in lines of its own
        given = {one.strip().upper() for one in _without_columns(match["rights"]).split(",")}
        if grant.rstrip().endswith("WITH GRANT OPTION"):
            given.add("GRANT OPTION")
        place = match["place"].replace("`", "").replace("\\", "")
        yield from _excess(given - HARMLESS_RIGHTS, place, database)


def _excess(given: set[str], place: str, database: str) -> Iterator[Finding]:
    shown = f"{', '.join(sorted(given))} ON {place}"
    if not given:
        return
    if place.partition(".")[0] != database:
        fix = _("REVOKE 掉：平时只需要本系统数据库上的 SELECT、INSERT、UPDATE、DELETE")
        yield error("rights", shown, fix)
    elif given - DAILY_RIGHTS:
        fix = _(
            "平时用只有 SELECT、INSERT、UPDATE、DELETE 的账号，migrate 另用一个（见生产部署文档）"
        )
        yield warning("rights", shown, fix)
    else:
        yield fine("rights", shown)


def _without_columns(text: str) -> str:
    """``text`` of a GRANT without what stands in parentheses."""
    first, *others = text.split("(")
    return first + "".join(other.partition(")")[2] for other in others)


def clock_of_database(server: Server) -> Iterator[Finding]:
    seconds = abs(server.skew_seconds)
    text = _("与本机相差 %(seconds).1f 秒") % {"seconds": server.skew_seconds}
    fix = _("两台机器都开 NTP：到期按数据库的时钟，签名按本机的时钟")
    if seconds > SKEW_SECONDS_ERROR:
        yield error("clock", text, fix)
    elif seconds > SKEW_SECONDS_WARNING:
        yield warning("clock", text, fix)
    else:
        yield fine("clock", text)


@dataclass(frozen=True, slots=True)
class Migrations:
    missing: Sequence[str]
    unknown: Sequence[str]


def migrations_seen() -> Migrations:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    known, ours = executor.loader.disk_migrations, executor.loader.migrated_apps
    applied = [key for key in executor.loader.applied_migrations if key[0] in ours]
    return Migrations(
        [f"{migration.app_label}.{migration.name}" for migration, _is_backwards in plan],
        sorted(".".join(key) for key in applied if key not in known),
    )


def migrations(seen: Migrations) -> Iterator[Finding]:
    if seen.missing:
        text = _("有 %(count)d 个迁移没有执行：%(first)s …")
        facts = {"count": len(seen.missing), "first": seen.missing[0]}
        yield error("migrations", text % facts, _("运行 manage.py migrate"))
    if seen.unknown:
        text = _("数据库里有这个版本没有的迁移：%(first)s") % {"first": seen.unknown[0]}
        yield warning("migrations", text, _("这台机器的程序比数据库旧：换成与其他机器相同的版本"))
    if not seen.missing and not seen.unknown:
        yield fine("migrations", _("全部执行了"))
