"""Each judgement of the doctor: a deployment of which it complains, and one that contents it."""

import io
import json
import os
import time as clocks
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from backoffice.ops.backups import BackupStamp
from backoffice.ops.doctor import (
    database,
    environment,
    files,
    gateways,
    records,
    replica,
    rounds,
    services,
)
from backoffice.ops.doctor.deploy_check import deployment_is_sound
from backoffice.ops.doctor.findings import worst_level
from gateways.findings import Finding
from tcmpay.version import __version__

NOW = datetime(2026, 11, 30, 4, tzinfo=UTC)
SOURCES = {name: "environment" for names in environment.WANTED for name in names}
PROXIES = environment.Proxies(1, True, ["8.8.8.8"])
SERVER = database.Server(
    "mariadb",
    (10, 11, 6),
    {
        "character_set_database": "utf8mb4",
        "collation_database": "utf8mb4_unicode_ci",
        "max_allowed_packet": "16777216",
        "log_bin": "ON",
        "binlog_format": "ROW",
        "binlog_expire_logs_seconds": "864000",
    },
    [
        "GRANT USAGE ON *.* TO `tcm_user`@`localhost` IDENTIFIED BY PASSWORD '*1'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `tcm\\_clinic`.* TO `tcm_user`@`localhost`",
        "GRANT `reader` TO `tcm_user`@`localhost`",
    ],
    0.1,
)
STATIC = files.Static(is_served_from_folder=True, is_collected=True)
FOLDER = files.Place("EXPORT_DIR", "/var/lib/tcmpay-exports", exists=True)
SECRET = files.Place("tcmpay.env", "/etc/tcmpay.env", exists=True, mode=0o640)
REDIS = services.RedisServer("127.0.0.1:6379", facts={"maxmemory_policy": "noeviction"})
FULL_OF_ANY = {"maxmemory_policy": "allkeys-lru", "maxmemory": 1}
CACHE = services.Cache(True, True, REDIS, "127.0.0.1:6379")
STAMP = BackupStamp(NOW - timedelta(hours=5), NOW - timedelta(minutes=50), NOW - timedelta(days=3))


def _server(**changes: Any) -> database.Server:
    return replace(SERVER, **changes)


def _setting(name: str, value: str) -> database.Server:
    return replace(SERVER, variables={**SERVER.variables, name: value})


def _grant(text: str) -> database.Server:
    return replace(SERVER, grants=[text])


def _stamp(**changes: Any) -> records.Backups:
    return records.Backups(NOW, replace(STAMP, **changes))


def _rights(server: database.Server) -> Iterable[Finding]:
    return database.rights(server, "tcm_clinic")


def _wanted(sources: dict[str, str], is_debug: bool = False) -> Iterable[Finding]:
    return environment.wanted_variables(sources, is_debug)


Judge = Callable[[Any], Iterable[Finding]]
# What each judgement is content with, ...
CONTENT: list[tuple[Judge, Any]] = [
    (environment.variables, SOURCES),
    (_wanted, SOURCES),
    (_wanted, {**SOURCES, "AUDIT_ROOT_FILE": ""}),  # one place outside is enough
    (environment.proxy_hops, PROXIES),
    (environment.proxy_hops, environment.Proxies(0, False, [])),
    (database.version, SERVER),
    (database.version, _server(vendor="mysql", version=(8, 0, 40))),
    (database.session, []),
    (database.durability, []),
    (database.settings_of_server, SERVER),
    (database.settings_of_server, _setting("binlog_expire_logs_seconds", "0")),
    (_rights, SERVER),
    (database.clock_of_database, SERVER),
    (replica.replica, None),
    (replica.replica, replica.Replica()),
    (database.migrations, database.Migrations([], [])),
    (files.static_files, STATIC),
    (files.static_files, files.Static(is_served_from_folder=False, is_collected=False)),
    (files.folder, FOLDER),
    (files.secret_file, SECRET),
    (services.queue, services.Queue(redis=REDIS)),
    (services.cache_state, CACHE),
    (services.workers, services.Workers({"celery@a": __version__})),
    (services.beat, services.Beat("/b", NOW - timedelta(minutes=4), NOW)),
    (gateways.gateways, [gateways.Configured("wechat", True, [Finding("ok", "", "whole")])]),
    (records.bills, records.Bills(time(17))),
    (records.roots, records.Roots(is_leaving=True)),
    (records.backups, _stamp()),
]
# ... and what it complains of: how loudly, and about what.
COMPLAINTS: list[tuple[Judge, Any, str, str]] = [
    *((_wanted, {**SOURCES, name: ""}, "warning", name) for name in SOURCES if "ROOT" not in name),
    (_wanted, {}, "warning", "AUDIT_ROOT_FILE / AUDIT_ROOT_URL"),
    (lambda seen: _wanted(seen, is_debug=True), SOURCES, "warning", "DEBUG"),
    (environment.proxy_hops, environment.Proxies(0, True, []), "error", "TRUSTED_PROXY_HOPS"),
    (
        environment.proxy_hops,
        environment.Proxies(1, True, ["127.0.0.1", "10.0.0.8"]),
        "warning",
        "TRUSTED_PROXY_HOPS",
    ),
    (database.version, _server(vendor="sqlite", version=(3, 40, 1)), "warning", "version"),
    (database.version, _server(version=(10, 4, 30)), "error", "version"),
    (database.version, _server(version=(10, 6, 1)), "warning", "version"),
    (database.version, _server(vendor="mysql", version=(8, 0, 15)), "error", "version"),
    (database.session, ["sql_mode is not strict"], "error", "session"),
    (database.durability, ["sync_binlog is not 1: …"], "error", "sync_binlog"),
    (
        database.settings_of_server,
        _setting("character_set_database", "latin1"),
        "error",
        "character_set",
    ),
    (
        database.settings_of_server,
        _setting("max_allowed_packet", "1048576"),
        "warning",
        "max_allowed_packet",
    ),
    (database.settings_of_server, _setting("log_bin", "OFF"), "warning", "log_bin"),
    (
        database.settings_of_server,
        _setting("binlog_format", "STATEMENT"),
        "error",
        "binlog_format",
    ),
    (
        database.settings_of_server,
        _setting("binlog_expire_logs_seconds", "3600"),
        "warning",
        "log_bin",
    ),
    (
        _rights,
        _grant("GRANT ALL PRIVILEGES ON *.* TO `u`@`%` WITH GRANT OPTION"),
        "error",
        "rights",
    ),
    (_rights, _grant("GRANT FILE ON *.* TO `u`@`%`"), "error", "rights"),
    (_rights, _grant("GRANT SELECT ON `other`.* TO `u`@`%`"), "error", "rights"),
    (_rights, _grant("GRANT ALL PRIVILEGES ON `tcm_clinic`.* TO `u`@`%`"), "warning", "rights"),
    (
        _rights,
        _grant("GRANT SELECT, CREATE, DROP ON `tcm_clinic`.* TO `u`@`%`"),
        "warning",
        "rights",
    ),
    (database.clock_of_database, _server(skew_seconds=-5.0), "warning", "clock"),
    (database.clock_of_database, _server(skew_seconds=90.0), "error", "clock"),
    (replica.replica, replica.Replica(problem="(2003, 'no way')"), "error", "reachable"),
    (replica.replica, replica.Replica(is_the_primary=True), "warning", "same"),
    (replica.replica, replica.Replica(is_read_only=False), "error", "read_only"),
    (replica.replica, replica.Replica(is_near=False), "warning", "lag"),
    (replica.replica, replica.Replica(is_near=None), "warning", "lag"),
    (replica.replica, replica.Replica(is_acknowledging=False), "warning", "semi_sync"),
    (database.migrations, database.Migrations(["refunds.0001"], []), "error", "migrations"),
    (database.migrations, database.Migrations([], ["refunds.0999"]), "warning", "migrations"),
    (files.static_files, replace(STATIC, is_collected=False), "error", "staticfiles"),
    (files.static_files, replace(STATIC, stale=["a.css"]), "error", "staticfiles"),
    (files.folder, replace(FOLDER, exists=False), "error", "EXPORT_DIR"),
    (files.folder, replace(FOLDER, is_reachable=False), "error", "EXPORT_DIR"),
    (files.folder, replace(FOLDER, mode=0o755), "error", "EXPORT_DIR"),
    (files.folder, replace(FOLDER, free_share=0.03), "warning", "EXPORT_DIR"),
    (files.secret_file, replace(SECRET, mode=0o644), "error", "tcmpay.env"),
    (files.secret_file, replace(SECRET, mode=0o660), "warning", "tcmpay.env"),
    (services.queue, services.Queue("refused"), "error", "CELERY_BROKER_URL"),
    (
        services.queue,
        services.Queue(redis=replace(REDIS, facts=FULL_OF_ANY)),
        "warning",
        "maxmemory-policy",
    ),
    (services.cache_state, services.Cache(is_shared=False), "warning", "CACHE_URL"),
    (services.cache_state, replace(CACHE, is_answering=False), "error", "CACHE_URL"),
    (
        services.cache_state,
        replace(CACHE, redis=replace(REDIS, facts={"maxmemory": 1})),
        "warning",
        "maxmemory-policy",
    ),
    (
        services.cache_state,
        replace(CACHE, redis=replace(REDIS, facts=FULL_OF_ANY)),
        "warning",
        "maxmemory-policy",
    ),
    (
        services.cache_state,
        replace(CACHE, redis=replace(REDIS, facts={"rdb_last_bgsave_status": "err"})),
        "error",
        "persistence",
    ),
    (services.workers, services.Workers({}), "error", "worker"),
    (
        services.workers,
        services.Workers({"celery@a": __version__, "celery@b": "0.9"}),
        "error",
        "worker",
    ),
    (services.beat, services.Beat("/b", None, NOW), "error", "beat"),
    (services.beat, services.Beat("/b", NOW - timedelta(hours=1), NOW), "error", "beat"),
    (gateways.gateways, [gateways.Configured("alipay", False)], "warning", "alipay"),
    (
        gateways.gateways,
        [gateways.Configured("wechat", True, [Finding("warning", "cert", "12 days")])],
        "warning",
        "wechat.cert",
    ),
    (records.bills, records.Bills(time(9)), "warning", "DAY_CLOSE_REMIND_AT"),
    (records.bills, records.Bills(time(17), ["1900 2026-11-29"]), "error", "bills"),
    (records.roots, records.Roots(is_leaving=False), "warning", "roots"),
    (records.roots, records.Roots(True, untold=["audit_events #7"]), "error", "roots"),
    (records.roots, records.Roots(True, contradictions=["#7: gone"]), "error", "roots"),
    (records.backups, records.Backups(NOW), "warning", "backup"),
    (records.backups, records.Backups(NOW, problem="no such file"), "error", "backup"),
    (records.backups, _stamp(dumped_at=NOW - timedelta(hours=30)), "error", "backup"),
    (records.backups, _stamp(logs_at=None), "warning", "binary_log"),
    (records.backups, _stamp(logs_at=NOW - timedelta(hours=3)), "warning", "binary_log"),
    (records.backups, _stamp(verified_at=NOW - timedelta(days=20)), "warning", "drill"),
]


@pytest.mark.parametrize(("judge", "seen"), CONTENT, ids=range(len(CONTENT)))
def test_what_is_well_is_said_to_be_well(judge: Judge, seen: Any):
    assert [one for one in judge(seen) if one.level != "ok"] == []


@pytest.mark.parametrize(
    ("judge", "seen", "level", "about"), COMPLAINTS, ids=range(len(COMPLAINTS))
)
def test_what_is_wrong_is_told_with_what_to_do(judge: Judge, seen: Any, level: str, about: str):
    complaints = [one for one in judge(seen) if one.level != "ok"]
    assert (level, about) in {(one.level, one.key) for one in complaints}
    if judge is not gateways.gateways:
        assert all(one.fix for one in complaints)


def test_every_judgement_is_in_both_tables():
    judged = {
        getattr(module, name)
        for module in (database, environment, files, gateways, records, replica, services)
        for name in module.__dict__
        if "Finding" in str(getattr(getattr(module, name), "__annotations__", {}).get("return"))
        and not name.startswith("_")
        and getattr(module, name).__module__ == module.__name__
    }
    in_tables = {judge for judge, *_rest in CONTENT}
    assert judged - in_tables - {environment.wanted_variables, database.rights} == set()
    never_wrong = {environment.variables}
    complained = {judge for judge, *_rest in COMPLAINTS}
    assert judged - complained - never_wrong - {
        environment.wanted_variables, database.rights,
    } == set()  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting_for_workers(monkeypatch):
    monkeypatch.setattr(services, "WORKER_SECONDS", 0.1)


# --- what is gathered ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_part_can_be_looked_at_here():
    parts = {name: found for name, _title, found in rounds.looked_at(rounds.Asked())}
    assert set(parts) == set(rounds.rounds(rounds.Asked()))
    for name, found in parts.items():
        assert [one for one in found if one.key == name and "没能检查" in one.message] == []
    assert worst_level(parts["migrations"]) == "ok"
    assert {one.key for one in parts["environment"]} >= {"SECRET_KEY", "DATABASE_URL"}


@pytest.mark.django_db
def test_the_report_ends_with_the_worst_and_is_told_in_both_languages():
    def told(*arguments: str) -> tuple[str, int]:
        out = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("doctor", *arguments, stdout=out)
        return out.getvalue(), int(str(end.value.code))

    text, code = told("--json", "--language", "en")
    report = json.loads(text)
    assert (report["worst"], code) == ("error", 1)  # no worker runs here
    (worker,) = [one for one in report["findings"] if one["part"] == "workers"]
    assert worker["message"] == "No worker answers"
    assert worker["fix"].startswith("systemctl start")
    assert "没有 worker 应答" in told("--language", "zh-hans")[0]


def test_a_part_that_fails_hides_no_other():
    def broken() -> Any:
        raise ValueError("surprising")
        yield

    (finding,) = rounds.found("cache", broken)
    assert (finding.level, finding.key) == ("error", "cache")
    assert "surprising" in finding.message


def test_folders_and_files_are_seen_as_they_are(tmp_path: Path, settings):
    settings.EXPORT_DIR = str(tmp_path / "exports")
    settings.AUDIT_ROOT_FILE = ""
    (seen, *_rest) = files.folders_seen()
    assert worst_level(files.folder(seen)) == "ok", "made when it is first needed"
    (tmp_path / "exports").mkdir(mode=0o755)
    (seen, *_rest) = files.folders_seen()
    assert worst_level(files.folder(seen)) == "error", "anybody may look into it"
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o604)
    settings.ENVIRONMENT_FILES = [str(secret)]
    assert [worst_level(files.secret_file(one)) for one in files.secret_files_seen()] == ["error"]
    secret.chmod(0o600)
    assert [worst_level(files.secret_file(one)) for one in files.secret_files_seen()] == ["ok"]


def test_static_files_of_another_version_are_noticed(tmp_path: Path, settings):
    settings.DEBUG = False
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "a.css").write_text("new")
    settings.STATICFILES_DIRS, settings.STATIC_ROOT = [tmp_path / "ours"], tmp_path / "root"
    assert worst_level(files.static_files(files.static_seen())) == "error", "none collected"
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "staticfiles.json").write_text('{"paths": {"a.css": "a.1.css"}}')
    (tmp_path / "root" / "a.css").write_text("old")
    assert files.static_seen().stale == ["a.css"]
    (tmp_path / "root" / "a.css").write_text("new")
    assert worst_level(files.static_files(files.static_seen())) == "ok"


@pytest.mark.django_db  # whose clock it is
def test_beats_file_tells_when_it_was_there(tmp_path: Path):
    path = tmp_path / "beat-schedule"
    assert worst_level(services.beat(services.beat_seen(str(path)))) == "error"
    path.write_text("{}")
    assert worst_level(services.beat(services.beat_seen(str(path)))) == "ok"
    hour_ago = clocks.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    assert worst_level(services.beat(services.beat_seen(str(path)))) == "error"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "level"),
    [
        (None, "error"),
        ("{", "error"),
        ('{"dumped_at": "2026-11-30T04:00:00"}', "error"),  # in which zone?
        ('{"dumped_at": "2020-01-01T04:00:00+00:00"}', "error"),
    ],
)
def test_a_stamp_that_tells_of_no_backup_is_an_error(tmp_path: Path, settings, content, level):
    settings.BACKUP_STAMP_FILE = str(tmp_path / "stamp.json")
    if content is not None:
        (tmp_path / "stamp.json").write_text(content)
    assert worst_level(records.backups(records.backups_seen())) == level


def test_check_deploy_tells_what_needs_no_other_program(settings, tmp_path: Path):
    settings.EXPORT_DIR = str(tmp_path)
    tmp_path.chmod(0o777)
    with translation.override("en"):
        told = deployment_is_sound()
    assert {message.id for message in told} >= {"doctor.environment", "doctor.files"}
    assert all(message.hint for message in told)
