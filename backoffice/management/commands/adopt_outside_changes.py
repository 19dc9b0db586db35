from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from tcmpay.audit.marks import marks_adopt
from tcmpay.common.operator import operator_actor


class Command(BaseCommand):
    help = (
        "确认由 SQL 直接修改的价格与支付配置（其他表须逐行指明），并记录原因。"
        "Take over prices and gateway configuration that were changed by SQL (rows of other tables"
        " one by one), with a reason."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="why they are right")
        parser.add_argument(
            "--row",
            action="append",
            default=[],
            metavar="TABLE/KEY",
            help="also this row, as audit_money names it, or TABLE/mark",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("--reason 必填：说明这些改动为何正确 / say why they are right")
        adopted = marks_adopt(actor=operator_actor(), reason=reason, rows=options["row"])
        for name in adopted:
            self.stdout.write(name)
        if missing := sorted(set(options["row"]) - set(adopted)):
            raise CommandError(_("没有需要确认的：%(rows)s") % {"rows": ", ".join(missing)})
        self.stdout.write(_("已确认 %(count)d 行") % {"count": len(adopted)})
