from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from backoffice.ops.alarms import ALARMS, beyond
from backoffice.ops.figures import figures
from backoffice.ops.rules import rule_tests_text, rules_text


class Command(BaseCommand):
    help = "报警：列出、写出 Prometheus 的规则。List the alarms, write Prometheus' rules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("part", choices=("list", "rules", "rule-tests"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["part"] == "list":
            self._list()
        else:
            texts = {"rules": rules_text, "rule-tests": rule_tests_text}
            self.stdout.write(texts[options["part"]](), ending="")

    def _list(self) -> None:
        found: dict[str, list[str]] = {}
        for one in beyond(ALARMS, figures()):
            found.setdefault(one.alarm.name, []).append(f"{one.key}={one.value:g}")
        for alarm in ALARMS:
            state = " ".join(found.get(alarm.name, ())) or "-"
            self.stdout.write(f"{alarm.severity:<8} {alarm.name:<24} {state}  {alarm.title}")
