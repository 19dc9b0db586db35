import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from payments.services.endings import orders_expire


class Command(BaseCommand):
    help = (
        "结束所有过期未支付的订单（与定时任务相同）。"
        "Expire every due order, as the scheduled task does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = orders_expire()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
        else:
            self.stdout.write(
                _("已过期 %(expired)s 笔，发现已支付 %(paid)s 笔，待网关确认 %(waiting)s 笔")
                % asdict(report)
            )
        if report.waiting:
            # A gateway can't be reached: these orders end when it answers, or after the grace.
            raise SystemExit(1)
