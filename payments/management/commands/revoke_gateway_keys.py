import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from config.gateways.fields import KNOWN_KEYS
from config.gateways.revocation import Revocation, revocation_done, revocation_find
from payments.services.key_revocation import (
    booked_lines,
    booked_on_their_word,
    gateway_keys_revoke,
    unattributed_count,
)
from payments.states import Verdict
from tcmpay.common.errors import DomainError
from tcmpay.common.operator import operator_actor


class Command(BaseCommand):
    help = (
        "立即作废一个历史配置版本的回调密钥，并列出凭这些密钥入账的通知；再次运行只列出。"
        "Withdraw a former configuration's callback keys now; prints what was booked on their "
        "word. Run again, it prints that again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("method", choices=sorted(KNOWN_KEYS))
        parser.add_argument("--version", required=True, dest="config_version", help="id or number")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version (of Django) would stand in the way.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        method, reason = options["method"], options["reason"].strip()
        if not reason:
            raise CommandError(_("请填写原因"))
        try:
            version = revocation_find(method, options["config_version"])
            dropped = 0
            if version.revoked_at is None:
                done = gateway_keys_revoke(
                    actor=operator_actor(), method=method, version_id=version.id, reason=reason
                )
                dropped = done.notices_dropped if done else 0
                version.refresh_from_db()
        except DomainError as error:
            raise CommandError(str(error.text)) from error
        revocation = revocation_done(version)
        if options["json"]:
            self.stdout.write(
                json.dumps(self._report(method, revocation, dropped), ensure_ascii=False)
            )
        else:
            self._print(method, revocation, dropped)

    @staticmethod
    def _report(method: str, revocation: Revocation, dropped: int) -> dict[str, Any]:
        return {
            "method": method,
            "versions": [
                {
                    "id": str(version.id),
                    "number": version.number,
                    "revoked_at": version.revoked_at.isoformat().replace("+00:00", "Z")
                    if version.revoked_at
                    else None,
                    "reason": version.revocation_reason,
                }
                for version in revocation.versions
            ],
            "keys": sorted(revocation.marks),
            "notices_dropped": dropped,
            "booked": list(booked_lines(booked_on_their_word(method, revocation))),
            "unattributed": unattributed_count(method, revocation),
        }

    def _print(self, method: str, revocation: Revocation, dropped: int) -> None:
        numbers = ", ".join(map(str, revocation.numbers))
        self.stdout.write(
            _("%(method)s 版本 %(numbers)s 的回调密钥已作废")
            % {"method": method, "numbers": numbers}
        )
        count = 0
        for line in booked_lines(booked_on_their_word(method, revocation)):
            count += 1
            verdict = Verdict(str(line["verdict"])).label
            subject = line["order_no"] or line["out_trade_no"] or "-"
            parts = (line["received_at"], verdict, subject, line["refund_no"], line["amount"])
            self.stdout.write("  " + "  ".join(str(part) for part in parts if part))
        self.stdout.write(_("凭这些密钥入账的通知：%(count)s 条") % {"count": count})
        if dropped:
            self.stdout.write(_("尚未处理而被丢弃的退款通知：%(count)s 条") % {"count": dropped})
        if unknown := unattributed_count(method, revocation):
            self.stdout.write(
                _("此外有 %(count)s 条较早的通知没有记下由哪个密钥验证，请与商户平台核对")
                % {"count": unknown}
            )
