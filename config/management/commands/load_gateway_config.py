import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from config.gateways.file import GatewayFileRefused, read_gateway_file
from config.gateways.services import gateway_configs_replace
from config.models import PaymentConfig
from tcmpay.common.errors import InvalidInput
from tcmpay.common.operator import operator_actor
from tcmpay.common.sealing import ConfigSecretUnreadable

DEMO_PORT = "3000"


class Command(BaseCommand):
    help = (
        "把 config.json 设为其中支付平台的现行配置；先全部检查，再写入。"
        "Make a config.json the active configuration of the gateways in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--notify-base",
            help="where the gateways reach us, e.g. https://pay.example.com; sets both notify_url "
            "(default with DEBUG on, where none is set: http://127.0.0.1:$PORT)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            configs = read_gateway_file(options["file"])
            for method, values in configs.items():
                if url := self._notify_url(method, options["notify_base"]):
                    values["notify_url"] = url
            gateway_configs_replace(actor=operator_actor(), configs=configs)
        except GatewayFileRefused as error:
            lines = [f"  {name}: {text}" for name, text in error.problems.items()]
            raise CommandError("\n".join([_("配置文件有误，没有任何改动："), *lines])) from error
        except InvalidInput as error:
            texts = [f"  {text}" for messages in error.errors.values() for text in messages]
            raise CommandError("\n".join([_("配置文件有误，没有任何改动："), *texts])) from error
        except ConfigSecretUnreadable as error:
            raise CommandError(str(error)) from error
        for method in configs:
            self.stdout.write(_("%(method)s 的配置已生效") % {"method": method})
        for method in configs:
            if not self._has_notify_url(method):
                self.stderr.write(_("%(method)s 尚未填写 notify_url") % {"method": method})

    def _notify_url(self, method: str, base: str | None) -> str | None:
        if base is None and (not settings.DEBUG or self._has_notify_url(method)):
            return None
        base = base or f"http://127.0.0.1:{os.environ.get('PORT', DEMO_PORT)}"
        return f"{base.rstrip('/')}/payment/callback/{method}"

    @staticmethod
    def _has_notify_url(method: str) -> bool:
        rows = PaymentConfig.objects.filter(payment_method=method, config_key="notify_url")
        return rows.exclude(config_value="").exists()
