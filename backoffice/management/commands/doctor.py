import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import translation
from django.utils.translation import gettext as _

from backoffice.ops.doctor.findings import EXIT_CODES, worst_level
from backoffice.ops.doctor.rounds import Asked, looked_at
from gateways.findings import Finding
from gateways.texts import Text


class Command(BaseCommand):
    help = (
        "检查整个部署：环境、数据库、文件、队列、worker、网关、账单、备份，每项写明怎么办。"
        "Look at the whole deployment, each finding with what to do; exit 1 on an error, 3 when "
        "there are warnings only."
    )
    # What is wrong with the settings is told by the doctor itself, beside everything else.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--gateways",
            action="store_true",
            help="also send each gateway one harmless signed query and compare the clocks",
        )
        parser.add_argument(
            "--beat-schedule",
            metavar="FILE",
            default="/var/lib/tcmpay/beat/schedule",
            help="where beat keeps its schedule (%(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        parser.add_argument("--language", choices=["zh-hans", "en"], help="language of the texts")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = Asked(options["gateways"], options["beat_schedule"])
        with translation.override(options["language"] or translation.get_language()):
            parts = list(looked_at(asked))
            level = worst_level(finding for _name, _title, found in parts for finding in found)
            if options["json"]:
                self._print_json(parts, level)
            else:
                self._print_text(parts, options["verbosity"] > 1)
        if code := EXIT_CODES[level]:
            raise SystemExit(code)

    def _print_json(self, parts: list[tuple[str, Text, list[Finding]]], level: str) -> None:
        findings = [
            {
                "part": name,
                "level": finding.level,
                "about": finding.key,
                "message": str(finding.message),
                "fix": str(finding.fix),
            }
            for name, _title, found in parts
            for finding in found
        ]
        report = {"worst": level, "findings": findings}
        self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))

    def _print_text(self, parts: list[tuple[str, Text, list[Finding]]], is_whole: bool) -> None:
        """What is well is only counted, but for ``is_whole``."""
        marks = {"error": _("错误"), "warning": _("提醒"), "ok": _("正常")}
        for _name, title, found in parts:
            shown = [one for one in found if is_whole or one.level != "ok"]
            count = _("%(count)d 项正常") % {"count": sum(one.level == "ok" for one in found)}
            self.stdout.write(f"{title}: {count}")
            for finding in shown:
                line = f"  [{marks[finding.level]}] {finding.key}: {finding.message}"
                self.stdout.write(f"{line} → {finding.fix}" if finding.fix else line)
