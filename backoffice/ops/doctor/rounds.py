"""Which parts are looked at, in which order, and what each gathers before it judges."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.ops.doctor import (
    database,
    environment,
    files,
    gateways,
    records,
    replica,
    services,
)
from backoffice.ops.doctor.findings import error, worst_first
from gateways.findings import Finding, Findings
from gateways.texts import Text

logger = logging.getLogger(__name__)

Look = Callable[[], Findings]


@dataclass(frozen=True, slots=True)
class Asked:
    """What whoever calls the doctor said: ask the gateways too, and where beat's file lies."""

    is_asking_gateways: bool = False
    beat_schedule: str = ""


def _environment() -> Findings:
    sources = environment.sources_seen()
    yield from environment.wanted_variables(sources, settings.DEBUG)
    yield from environment.variables(sources)


def _proxies() -> Findings:
    yield from environment.proxy_hops(environment.proxies_seen())


def _database() -> Findings:
    server = database.server_seen()
    name = str(connection.settings_dict["NAME"])
    yield from database.version(server)
    yield from database.session(database.session_seen())
    yield from database.durability(database.durability_seen())
    yield from database.settings_of_server(server)
    yield from database.rights(server, name)
    yield from database.clock_of_database(server)


def _replica() -> Findings:
    yield from replica.replica(replica.replica_seen())


def _migrations() -> Findings:
    yield from database.migrations(database.migrations_seen())


def _files() -> Findings:
    yield from files.static_files(files.static_seen())
    for place in files.folders_seen():
        yield from files.folder(place)
    for place in files.secret_files_seen():
        yield from files.secret_file(place)


def _queue() -> Findings:
    yield from services.queue(services.queue_seen())


def _cache() -> Findings:
    yield from services.cache_state(services.cache_seen())


def _workers() -> Findings:
    yield from services.workers(services.workers_seen())


def _beat(path: str) -> Findings:
    yield from services.beat(services.beat_seen(path))


def _gateways(is_asking: bool) -> Findings:
    yield from gateways.gateways(gateways.gateways_seen(is_asking=is_asking))


def _bills() -> Findings:
    yield from records.bills(records.bills_seen())


def _roots() -> Findings:
    yield from records.roots(records.roots_seen())


def _backups() -> Findings:
    yield from records.backups(records.backups_seen())


# What asks no other program: ``check --deploy`` looks at these.
HERE: dict[str, tuple[Text, Look]] = {
    "environment": (gettext_lazy("环境变量"), _environment),
    "files": (gettext_lazy("文件和目录"), _files),
    "backups": (gettext_lazy("备份"), _backups),
}


def rounds(asked: Asked) -> dict[str, tuple[Text, Look]]:
    return {
        "environment": HERE["environment"],
        "database": (gettext_lazy("数据库"), _database),
        "replica": (gettext_lazy("从库"), _replica),
        "migrations": (gettext_lazy("迁移"), _migrations),
        "proxies": (gettext_lazy("代理"), _proxies),
        "files": HERE["files"],
        "queue": (gettext_lazy("队列"), _queue),
        "cache": (gettext_lazy("缓存"), _cache),
        "workers": (gettext_lazy("worker"), _workers),
        "beat": (gettext_lazy("beat"), partial(_beat, asked.beat_schedule)),
        "gateways": (gettext_lazy("支付网关"), partial(_gateways, asked.is_asking_gateways)),
        "bills": (gettext_lazy("账单"), _bills),
        "roots": (gettext_lazy("根哈希"), _roots),
        "backups": HERE["backups"],
    }


def looked_at(asked: Asked) -> Iterator[tuple[str, Text, list[Finding]]]:
    """Each part with its findings, worst first; one that can't be looked at hides no other."""
    for name, (title, look) in rounds(asked).items():
        yield name, title, worst_first(found(name, look))


def found(name: str, look: Look) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except DatabaseError as problem:
        text = _("数据库不能回答：%(why)s") % {"why": problem}
        findings.append(error(name, text, _("启动数据库，核对 DATABASE_URL；先运行 migrate")))
    except Exception as problem:
        logger.exception("doctor_part_failed", extra={"part": name})
        text = _("没能检查：%(why)s") % {"why": f"{type(problem).__name__}: {problem}"}
        findings.append(error(name, text, _("堆栈在日志里；请报告给开发者")))
    return findings
