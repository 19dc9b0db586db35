import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from balances.selectors import unadopted_openings
from balances.services import opening_adopt
from tcmpay.common.invariants import in_chunks
from tcmpay.common.operator import operator_actor


class Command(BaseCommand):
    help = (
        "确认由 SQL 写入的期初余额，并记录原因。"
        "Adopt balances that were put in by SQL, with a reason, for the record."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", help="why these balances are right (required to adopt)")
        parser.add_argument("--user", action="append", help="only this user; may be repeated")
        parser.add_argument("--list", action="store_true", help="only list them")
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["list"] and not (options["reason"] or "").strip():
            raise CommandError("--reason 必填：说明这些余额为何正确 / say why they are right")
        accounts = unadopted_openings()
        if options["user"]:
            accounts = accounts.filter(user_id__in=options["user"])
        rows = []
        for account in in_chunks(accounts, "id"):
            adopted = not options["list"] and opening_adopt(
                user_id=account.user_id, reason=options["reason"].strip(), actor=operator_actor()
            )
            rows.append(
                {
                    "user_id": str(account.user_id),
                    "balance": str(account.balance),
                    "adopted": adopted,
                }
            )
        self._print(rows, options["json"])

    def _print(self, rows: list[dict[str, Any]], is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            state = _("已确认") if row["adopted"] else _("待确认")
            self.stdout.write(f"{row['user_id']} {row['balance']} {state}")
        self.stdout.write(_("共 %(count)s 个账户") % {"count": len(rows)})
