from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from backoffice.demo.data import is_seeded, seed, seed_unfinished
from backoffice.demo.examples import seed_examples


class Command(BaseCommand):
    help = (
        "写入演示数据：员工、患者余额、各种状态的订单、一笔待审核退款（仅限 DEBUG）。"
        "Load the demo's data; only with DEBUG on, and only into a database without orders."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="no progress lines")
        parser.add_argument(
            "--unfinished",
            action="store_true",
            help="neither sealed nor summed up, so that days of the past can be added to",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("seed_demo 只能在 DEBUG=on 时使用 / only with DEBUG on")
        if is_seeded():
            if not options["quiet"]:
                self.stdout.write("已有订单，保留现有数据 / orders exist, data kept")
            return
        for line in seed_unfinished() if options["unfinished"] else seed():
            if not options["quiet"]:
                self.stdout.write(f"✓ {line}")
        seed_examples()
