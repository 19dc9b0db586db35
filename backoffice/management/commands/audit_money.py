import json
from argparse import ArgumentParser
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from backoffice.audit import audit, consistent_reads
from tcmpay.common.clock import day_start
from tcmpay.common.invariants import Scope, Violation


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
            "--since", metavar="DATE", help="only what changed since this day (Asia/Shanghai)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        scope = Scope(using=settings.SNAPSHOT_DATABASE, since=self._since(options["since"]))
        findings: list[Violation] = []
        with consistent_reads():
            for check, found in audit(scope):
                findings += found
                self._progress(check.__module__, check.__name__, len(found), options)
        failing = [finding for finding in findings if is_failing(finding, options["strict"])]
        if options["json"]:
            self._print_json(findings, failing)
        else:
            self._print_text(findings, failing)
        if failing:
            raise SystemExit(1)

    def _since(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            return day_start(date.fromisoformat(text))
        except ValueError as error:
            raise CommandError(f"--since: YYYY-MM-DD ({text})") from error

    def _progress(self, module: str, name: str, found: int, options: dict[str, Any]) -> None:
        if options["verbosity"] > 1:
            self.stderr.write(f"{module}.{name}: {found}")

    def _print_text(self, findings: list[Violation], failing: list[Violation]) -> None:
        for finding in findings:
            self.stdout.write(
                f"[{_kind(finding)}] {finding.code} {finding.object_type} "
                f"{finding.object_id}: {finding.message}"
            )
        if failing:
            self.stdout.write(_("发现 %(count)s 个问题") % {"count": len(failing)})
        else:
            self.stdout.write(_("账目无误"))

    def _print_json(self, findings: list[Violation], failing: list[Violation]) -> None:
        rows = [
            {
                "kind": KINDS[finding.is_notice, finding.is_unfinished],
                "code": finding.code,
                "object_type": finding.object_type,
                "object_id": finding.object_id,
                "message": str(finding.message),
            }
            for finding in findings
        ]
        body = {"ok": not failing, "failing": len(failing), "findings": rows}
        self.stdout.write(json.dumps(body, ensure_ascii=False, indent=2))


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
