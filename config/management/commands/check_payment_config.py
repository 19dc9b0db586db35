import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import translation
from django.utils.translation import gettext as _

from config.gateways.examine import Depth, examine_current, probe_current
from config.gateways.fields import KNOWN_KEYS
from config.models import GatewayMethod
from gateways.findings import Finding


class Command(BaseCommand):
    help = (
        "检查支付配置：缺少、无法读取或格式错误的配置项及修复方法；有错误时退出码为 1。"
        "Check the gateway configuration; exit 1 when something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--method", choices=sorted(KNOWN_KEYS), help="one gateway only")
        parser.add_argument(
            "--live", action="store_true", help="also ask each gateway one harmless signed query"
        )
        parser.add_argument(
            "--with-order",
            action="store_true",
            help="also an echo, and a real order over one fen that is closed again; with --live",
        )
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        parser.add_argument("--language", choices=["zh-hans", "en"], help="language of the texts")

    def handle(self, *args: Any, **options: Any) -> None:
        methods = [options["method"]] if options["method"] else list(KNOWN_KEYS)
        with translation.override(options["language"] or translation.get_language()):
            depth = Depth.ORDER if options["with_order"] else Depth.QUERY
            found = {
                method: examine_current(method)
                + (probe_current(method, depth) if options["live"] else [])
                for method in methods
            }
            if options["json"]:
                self._print_json(found)
            else:
                self._print_text(found)
        if any(finding.level == "error" for findings in found.values() for finding in findings):
            raise SystemExit(1)

    def _print_json(self, found: dict[str, list[Finding]]) -> None:
        report = {
            method: [
                {
                    "level": finding.level,
                    "key": finding.key,
                    "message": str(finding.message),
                    "fix": str(finding.fix),
                    "unproved": str(finding.unproved),
                }
                for finding in findings
            ]
            for method, findings in found.items()
        }
        self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))

    def _print_text(self, found: dict[str, list[Finding]]) -> None:
        marks = {"error": _("错误"), "warning": _("提醒"), "ok": _("正常")}
        for method, findings in found.items():
            self.stdout.write(f"{GatewayMethod(method).label} ({method})")
            for finding in findings:
                about = f"{finding.key}: " if finding.key else ""
                line = f"  [{marks[finding.level]}] {about}{finding.message}"
                if finding.unproved:
                    line += _("（没有证明：%(what)s）") % {"what": finding.unproved}
                self.stdout.write(f"{line} → {finding.fix}" if finding.fix else line)
