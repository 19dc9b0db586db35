import json
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from backoffice.ops.audit import (
    CHECKS,
    LONGEST,
    ROOT_CODES,
    audit,
    consistent_reads,
    few_collections,
)
from backoffice.ops.audit_processes import PROCESSES_MAX, audit_in_processes, processes_possible
from tcmpay.audit.roots import (
    KeptRoot,
    RootsUnreadable,
    check_kept,
    check_root_file,
    kept_by,
    kept_roots,
)
from tcmpay.common import clock
from tcmpay.common.clock import day_start
from tcmpay.common.invariants import Check, Scope, Violation

# A dump shows the moment just after it was begun.
RESTORED_LEEWAY = timedelta(seconds=60)


class Command(BaseCommand):
    help = (
        "核对账目：从数据库检查所有资金不变量，发现问题时退出码为 1。"
        "Check every invariant of the money from the database alone; exit 1 on a violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--strict", action="store_true", help="also fail on unfinished work past its time"
        )
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")
        parser.add_argument(
            "--root",
            metavar="FILE",
            help="compare with the roots kept in FILE (AUDIT_ROOT_FILE when not given)",
        )
        parser.add_argument(
            "--since", metavar="DATE", help="only what changed since this day (Asia/Shanghai)"
        )
        parser.add_argument(
            "--as-of",
            metavar="MOMENT",
            help="of a restored copy: judge it as it was then (2026-11-30T04:00:00+00:00); roots "
            "that were kept since are not looked for",
        )
        parser.add_argument(
            "--processes",
            type=int,
            default=0,
            metavar="NUMBER",
            help=f"how many processes look (as many as there are cores, at most {PROCESSES_MAX})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        scope = Scope(using=settings.SNAPSHOT_DATABASE, since=self._since(options["since"]))
        as_of = self._moment(options["as_of"])
        check_roots = self._root_check(options["root"], as_of)
        printed = self._as_json if options["json"] else self._as_text
        processes = options["processes"] or processes_possible(scope.using)
        with clock.frozen(as_of + RESTORED_LEEWAY) if as_of else nullcontext():
            findings = self._findings(scope, check_roots, processes, options["verbosity"])
            failing = printed(findings, options["strict"])
        if failing:
            raise SystemExit(1)

    def _findings(
        self, scope: Scope, check_roots: Check, processes: int, verbosity: int
    ) -> Iterator[Violation]:
        for check, found in _found(scope, check_roots, processes):
            count = 0
            for count, finding in enumerate(found, start=1):  # noqa: B007
                yield finding
            if verbosity > 1:
                self.stderr.write(f"{check.__module__}.{check.__name__}: {count}")

    def _root_check(self, path: str | None, as_of: datetime | None) -> Check:
        """Against a file that is asked for, which must be one, or against AUDIT_ROOT_FILE."""
        if path is None:
            return lambda _scope: check_root_file(settings.AUDIT_ROOT_FILE, ROOT_CODES, as_of)
        kept = self._kept(path)
        return lambda _scope: check_kept(kept_by(kept, as_of), ROOT_CODES)

    def _kept(self, path: str) -> list[KeptRoot]:
        try:
            with open(path, encoding="utf-8") as file:
                return kept_roots(file)
        except (OSError, UnicodeError, RootsUnreadable) as error:
            raise CommandError(f"--root {path}: {error}") from error

    def _moment(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise CommandError(f"--as-of: 2026-11-30T04:00:00+00:00 ({text})") from error
        if moment.utcoffset() is None:
            raise CommandError(f"--as-of: in which time zone? ({text})")
        return moment

    def _since(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            return day_start(date.fromisoformat(text))
        except ValueError as error:
            raise CommandError(f"--since: YYYY-MM-DD ({text})") from error

    def _as_text(self, findings: Iterator[Violation], is_strict: bool) -> int:
        """Print each finding as it is found; returns how many make the audit fail."""
        failing = 0
        for finding in findings:
            failing += is_failing(finding, is_strict)
            self.stdout.write(
                f"[{_kind(finding)}] {finding.code} {finding.object_type} "
                f"{finding.object_id}: {finding.message}"
            )
        if failing:
            self.stdout.write(_("发现 %(count)s 个问题") % {"count": failing})
        else:
            self.stdout.write(_("账目无误"))
        return failing

    def _as_json(self, findings: Iterator[Violation], is_strict: bool) -> int:
        """One JSON object, written row by row: nothing is kept."""
        failing, separator = 0, ""
        self.stdout.write('{"findings": [', ending="")
        for finding in findings:
            failing += is_failing(finding, is_strict)
            row = {
                "kind": KINDS[finding.is_notice, finding.is_unfinished],
                "code": finding.code,
                "object_type": finding.object_type,
                "object_id": finding.object_id,
                "message": str(finding.message),
            }
            text = json.dumps(row, ensure_ascii=False)
            self.stdout.write(f"{separator}\n  {text}", ending="")
            separator = ","
        verdict = {"ok": not failing, "failing": failing}
        self.stdout.write("\n], " + json.dumps(verdict)[1:])
        return failing


def _found(
    scope: Scope, check_roots: Check, processes: int
) -> Iterator[tuple[Check, Iterable[Violation]]]:
    with few_collections():
        if processes > 1:
            others = [check for check in CHECKS if check not in LONGEST]
            yield from audit_in_processes(scope, [*LONGEST, *others, check_roots], processes)
        else:
            with consistent_reads():
                yield from audit(scope, check_roots)


KINDS = {
    (False, False): "violation",
    (False, True): "unfinished",
    (True, False): "notice",
    (True, True): "notice",
}


def _kind(finding: Violation) -> str:
    texts = {"violation": _("违规"), "unfinished": _("未完成"), "notice": _("提示")}
    return texts[KINDS[finding.is_notice, finding.is_unfinished]]


def is_failing(finding: Violation, is_strict: bool) -> bool:
    if finding.is_notice:
        return False
    return is_strict or not finding.is_unfinished
