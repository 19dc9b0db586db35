"""What a database has to be like before money is trusted to it.

Django and our settings ask for all of it on every connection; DATABASE_URL's options, a proxy in
between or the server may say otherwise, so it is read back.
"""

import logging
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.backends.signals import connection_created

logger = logging.getLogger(__name__)

UTC_NAMES = frozenset({"+00:00", "UTC"})
STRICT_MODES = frozenset({"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"})
# Under one of its names: MariaDB says tx_isolation before 11.1, MySQL 8 only the other.
ISOLATION = ("transaction_isolation", "tx_isolation")
VARIABLES = (
    *ISOLATION,
    "sql_mode",
    "time_zone",
    "default_storage_engine",
    "innodb_flush_log_at_trx_commit",
    "innodb_rollback_on_timeout",
    "log_bin",
    "sync_binlog",
    "wsrep_on",
    "wsrep_sync_wait",
)
# Reads, updates and inserts of a Galera node wait for what the cluster wrote before.
WSREP_WAIT_FOR_ALL = 7
_UID = "tcmpay.common.database_session"


def session_problems(database: Any = connection) -> list[str]:
    """Why money must not be moved over this connection; empty when it may."""
    if database.vendor == "sqlite":
        return _sqlite_problems(database)
    return _mysql_problems(session_variables(database))


def session_variables(database: Any = connection) -> dict[str, str]:
    """The session's values of VARIABLES, of those that this server knows (MariaDB and MySQL)."""
    names = ", ".join(["%s"] * len(VARIABLES))
    with database.cursor() as cursor:
        cursor.execute(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})", VARIABLES)
        return {str(name): str(value) for name, value in cursor.fetchall()}


def _mysql_problems(found: dict[str, str]) -> list[str]:
    problems = []
    isolation = next((found[name] for name in ISOLATION if name in found), "")
    if isolation != "READ-COMMITTED":
        problems.append(f"the isolation level is {isolation}, it must be READ COMMITTED")
    if not STRICT_MODES & set(found.get("sql_mode", "").split(",")):
        problems.append("sql_mode is not strict: amounts would be cut off silently")
    if found.get("time_zone") not in UTC_NAMES:
        problems.append(f"time_zone is {found.get('time_zone')}, it must be +00:00")
    if found.get("default_storage_engine") != "InnoDB":
        problems.append("default_storage_engine is not InnoDB: it would not roll back")
    return problems


def _sqlite_problems(database: Any) -> list[str]:
    problems = []
    database.ensure_connection()  # the mode is read from the options as it connects
    if database.transaction_mode != "IMMEDIATE":
        problems.append("transaction_mode must be IMMEDIATE")
    with database.cursor() as cursor:
        if not cursor.execute("PRAGMA foreign_keys").fetchone()[0]:
            problems.append("foreign_keys is off")
        if cursor.execute("PRAGMA synchronous").fetchone()[0] < 2:
            problems.append("synchronous must be FULL: a commit must survive a power cut")
    return problems


def durability_warnings(database: Any = connection) -> list[str]:
    """Server settings under which a commit that was answered may be lost with the machine."""
    if database.vendor == "sqlite":
        return []
    found = session_variables(database)
    warnings = []
    if found.get("innodb_flush_log_at_trx_commit") != "1":
        warnings.append(
            "innodb_flush_log_at_trx_commit is not 1: a power cut loses payments that were answered"
        )
    if found.get("log_bin") == "ON" and found.get("sync_binlog") != "1":
        warnings.append(
            "sync_binlog is not 1: after a power cut replicas and backups may miss payments"
        )
    waits = int(found.get("wsrep_sync_wait", "0")) & WSREP_WAIT_FOR_ALL
    if found.get("wsrep_on") == "ON" and waits != WSREP_WAIT_FOR_ALL:
        warnings.append(
            "wsrep_sync_wait is not 7: after a fail-over money would be decided on old rows"
        )
    return warnings


def takes_writes(database: Any = connection) -> bool:
    """Whether the server answers and is no replica or former primary, set to be read only.

    Raises OperationalError when it does not answer.
    """
    # Words or figures, by the server's version.
    asked = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only"
    with database.cursor() as cursor:
        cursor.execute("SELECT 0" if database.vendor == "sqlite" else asked)
        return {str(value) for value in cursor.fetchone()} <= {"0", "OFF"}


def require_sound_database() -> None:
    """Called where a process that moves money starts. Raises ImproperlyConfigured.

    A database that is away is no reason to stay down: its first connection is looked at instead.
    """
    connection_created.connect(_look_at_connection, dispatch_uid=_UID)
    try:
        connection.ensure_connection()
    except OperationalError as error:
        logger.warning("database_not_checked", extra={"error": str(error)})
    finally:
        # Opened before the process forks, it must not be shared by its children.
        connection.close()


def _look_at_connection(connection: Any, **kwargs: Any) -> None:
    if connection.alias != "default":
        return
    if problems := session_problems(connection):
        connection.close()
        raise ImproperlyConfigured(
            "tcmpay moves no money in this database: "
            + "; ".join(problems)
            + ". See docs/en/operations.md, The database."
        )
    connection_created.disconnect(dispatch_uid=_UID)
