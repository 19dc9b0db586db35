import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from backoffice.ops.encryption_keys import encryption_keys_rotate
from tcmpay.common.operator import operator_actor
from tcmpay.common.sealing import ConfigSecretUnreadable


class Command(BaseCommand):
    help = (
        "用 CONFIG_ENCRYPTION_KEYS 的第一个密钥重新加密全部配置；之后可移除旧密钥。"
        "Re-encrypt all stored configuration with the first key; then the others may go."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = encryption_keys_rotate(actor=operator_actor())
        except ConfigSecretUnreadable as error:
            raise CommandError(_("没有任何改动。") + str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(result)))
            return
        self.stdout.write(
            _(
                "已用新密钥加密 %(rows)s 个配置项、%(versions)s 个历史版本、%(drafts)s 个草稿、"
                "%(devices)s 个身份验证器、%(endpoints)s 个推送密钥"
            )
            % {
                "rows": result.rows,
                "versions": result.versions,
                "drafts": result.drafts,
                "devices": result.authenticators,
                "endpoints": result.endpoints,
            }
        )
        if result.newly_sealed:
            self.stdout.write(_("其中 %(count)s 个原为明文") % {"count": result.newly_sealed})
