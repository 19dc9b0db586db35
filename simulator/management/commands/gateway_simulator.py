"""The stand-in gateways as a management command, which exists with DEBUG on only."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from simulator.options import add_arguments, from_arguments
from simulator.server import serve


class Command(BaseCommand):
    help = "Serve the WeChat Pay and Alipay stand-ins on 127.0.0.1 until stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        serve(from_arguments(options))
