"""What people do when a database host is away: the statements that docs/hosts.md prints."""

# Of both servers, in their configuration: each comes up as a replica that takes no writes.
SERVER_OPTIONS = (
    "--log-bin",
    "--log-slave-updates",
    "--sync-binlog=1",
    "--binlog-format=ROW",
    "--gtid-strict-mode=ON",
    "--read-only=ON",
    "--skip-slave-start",
    "--slave-net-timeout=10",
    "--init-rpl-role=SLAVE",
    "--rpl-semi-sync-slave-enabled=ON",
    "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
    # Milliseconds, fifty days: never without the replica unless a person says so.
    "--rpl-semi-sync-master-timeout=4294967295",
)
# On the primary, once its replica listens.
GUARD = ("SET GLOBAL rpl_semi_sync_master_enabled = ON",)
# On the primary, when its replica is away and writes have to go on.
ALONE = ("SET GLOBAL rpl_semi_sync_master_enabled = OFF",)
# On the replica, when the primary is away.
STOP_LISTENING = ("STOP SLAVE IO_THREAD",)
LOOK = "SHOW SLAVE STATUS"
# What it was told and has not applied yet; 0 when it is done.
APPLY_ALL = "SELECT MASTER_GTID_WAIT('{position}', 300)"
PROMOTE = (
    "STOP SLAVE",
    "RESET SLAVE ALL",
    "SET GLOBAL read_only = OFF",
)
# On the former primary, before it takes the new one's dump.
EMPTY = (
    "SET GLOBAL read_only = ON",
    "SET GLOBAL rpl_semi_sync_master_enabled = OFF",
    "STOP SLAVE",
    "RESET SLAVE ALL",
    "SET sql_log_bin = 0",
    "RESET MASTER",
    "SET GLOBAL gtid_slave_pos = ''",
)
FOLLOW = (
    "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}',"
    " MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
)
LISTEN = ("START SLAVE",)
