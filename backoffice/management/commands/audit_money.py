import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from backoffice.audit import audit, consistent_reads, to_its_end
from balances.checks import LEDGER
from tcmpay.accounts.checks import SIGN_INS
from tcmpay.audit.checks import TRAIL
from tcmpay.audit.roots import KeptRoot, RootsUnreadable, check_kept, check_root_file, kept_roots
from tcmpay.common.clock import day_start
from tcmpay.common.invariants import Check, Scope, Violation

CODES = {chain.name: chain.code for chain in (LEDGER, TRAIL, SIGN_INS)}


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

    def handle(self, *args: Any, **options: Any) -> None:
        scope = Scope(using=settings.SNAPSHOT_DATABASE, since=self._since(options["since"]))
        check_roots = self._root_check(options["root"])
        printed = self._as_json if options["json"] else self._as_text
        with consistent_reads():
            failing = printed(self._findings(scope, check_roots, options), options["strict"])
        if failing:
            raise SystemExit(1)

    def _findings(
        self, scope: Scope, check_roots: Check, options: dict[str, Any]
    ) -> Iterator[Violation]:
        for check, found in audit(scope):
            count = 0
            for count, finding in enumerate(found, start=1):  # noqa: B007
                yield finding
            if options["verbosity"] > 1:
                self.stderr.write(f"{check.__module__}.{check.__name__}: {count}")
        yield from to_its_end(check_roots, scope)

    def _root_check(self, path: str | None) -> Check:
        """Against a file that is asked for, which must be one, or against AUDIT_ROOT_FILE."""
        if path is None:
            return lambda scope: check_root_file(settings.AUDIT_ROOT_FILE, CODES, scope)
        kept = self._kept(path)
        return lambda scope: check_kept(kept, CODES, scope)

    def _kept(self, path: str) -> list[KeptRoot]:
        try:
            with open(path, encoding="utf-8") as file:
                return kept_roots(file)
        except (OSError, UnicodeError, RootsUnreadable) as error:
            raise CommandError(f"--root {path}: {error}") from error

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
