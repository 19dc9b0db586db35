"""The stand-in gateways as a management command; everything it does is plain Python."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from simulator.options import add_arguments, from_arguments
from simulator.server import serve


class Command(BaseCommand):
    help = "Serve the WeChat Pay and Alipay stand-ins on 127.0.0.1 until stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            # Whoever points a gateway's address at it makes up payments.
            raise CommandError("仅用于开发环境 / For DEBUG=on only")
        serve(from_arguments(options))
