"""What must come regularly: bills, roots kept elsewhere, backups and their drills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from backoffice.ops.backups import (
    BACKUP_OLD_AFTER,
    DRILL_OLD_AFTER,
    LOGS_OLD_AFTER,
    BackupStamp,
    StampUnreadable,
    backup_stamp,
)
from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding
from reconciliation.services.fetching import READY_FROM, bills_due
from reconciliation.services.missing import is_missing
from tcmpay.audit.roots import check_root_file, roots_not_told
from tcmpay.common import clock


@dataclass(frozen=True, slots=True)
class Bills:
    """When we are reminded to close a day (Shanghai), and the bills that are overdue."""

    remind_at: time
    missing: Sequence[str] = ()


def bills_seen() -> Bills:
    missing = [f"{merchant.number} {day}" for merchant, day in bills_due() if is_missing(day)]
    return Bills(settings.DAY_CLOSE_REMIND_AT, missing)


def bills(seen: Bills) -> Iterator[Finding]:
    ready = max(READY_FROM.values())
    if seen.remind_at <= ready:
        text = _("%(at)s 就催日结，账单 %(ready)s 才有") % {"at": seen.remind_at, "ready": ready}
        yield warning("DAY_CLOSE_REMIND_AT", text, _("改到账单到齐之后，如 17:00"))
    for which in seen.missing:
        fix = _("运行 manage.py reconcile --date …，看网关怎么说；或从商户平台下载后用 --file 导入")
        yield error("bills", _("过了时间还没有账单：%(which)s") % {"which": which}, fix)
    if seen.remind_at > ready and not seen.missing:
        yield fine("bills", _("没有迟到的账单"))


@dataclass(frozen=True, slots=True)
class Roots:
    """Whether roots leave the database, those that did not, and what the kept ones contradict."""

    is_leaving: bool
    untold: Sequence[str] = ()
    contradictions: Sequence[str] = ()


def roots_seen() -> Roots:
    wrong = check_root_file(settings.AUDIT_ROOT_FILE, {})
    return Roots(
        bool(settings.AUDIT_ROOT_FILE or settings.AUDIT_ROOT_URL),
        [str(root) for root in roots_not_told()],
        [f"{finding.object_id}: {finding.message}" for finding in wrong],
    )


def roots(seen: Roots) -> Iterator[Finding]:
    if not seen.is_leaving:
        fix = _("设置 AUDIT_ROOT_FILE 或 AUDIT_ROOT_URL：否则换回旧数据库谁也看不出来")
        yield warning("roots", _("封存的根哈希没有保存到数据库之外"), fix)
        return
    for name in seen.untold:
        fix = _("检查 AUDIT_ROOT_FILE 的文件夹或 AUDIT_ROOT_URL 的地址；每十分钟会再试")
        yield error("roots", _("最新的根哈希没有送到：%(name)s") % {"name": name}, fix)
    for text in seen.contradictions:
        fix = _("运行 manage.py audit_money：数据库被换过或改过，或者文件被动过")
        yield error("roots", text, fix)
    if not seen.untold and not seen.contradictions:
        yield fine("roots", _("最新的根哈希都在数据库之外"))


@dataclass(frozen=True, slots=True)
class Backups:
    """``stamp`` is None where none is kept; ``problem``: why it can't be read."""

    now: datetime
    stamp: BackupStamp | None = None
    problem: str = ""


def backups_seen() -> Backups:
    try:
        return Backups(clock.now(), backup_stamp())
    except StampUnreadable as problem:
        return Backups(clock.now(), problem=str(problem))


def backups(seen: Backups) -> Iterator[Finding]:
    if seen.problem:
        fix = _("运行 deploy/backup/backup.sh dump，看它停在哪里")
        text = _("备份的记录读不了：%(why)s") % {"why": seen.problem}
        yield error("backup", text, fix)
        return
    if seen.stamp is None:
        fix = _("按备份文档装好定时备份，设置 BACKUP_STAMP_FILE")
        yield warning("backup", _("不知道有没有备份"), fix)
        return
    stamp = seen.stamp
    yield _aged("backup", stamp.dumped_at, seen.now, BACKUP_OLD_AFTER, is_needed=True)
    yield _aged("binary_log", stamp.logs_at, seen.now, LOGS_OLD_AFTER, is_needed=False)
    yield _aged("drill", stamp.verified_at, seen.now, DRILL_OLD_AFTER, is_needed=False)


def _aged(
    key: str, moment: datetime | None, now: datetime, old_after: timedelta, *, is_needed: bool
) -> Finding:
    texts = {
        "backup": (
            _("备份"),
            _("看 systemctl status tcmbackup@dump tcmbackup@logs；运行 backup.sh dump"),
        ),
        "binary_log": (_("二进制日志的备份"), _("运行 backup.sh logs；没有它，备份之后的支付会丢")),
        "drill": (_("恢复演练"), _("运行 backup.sh drill：没有恢复过的备份不算备份")),
    }
    name, fix = texts[key]
    if moment is None:
        complain = error if is_needed else warning
        return complain(key, _("从来没有：%(what)s") % {"what": name}, fix)
    hours = (now - moment).total_seconds() / 3600
    text = _("%(what)s：%(hours).1f 小时前") % {"what": name, "hours": hours}
    if now - moment > old_after:
        return (error if is_needed else warning)(key, text, fix)
    return fine(key, text)
