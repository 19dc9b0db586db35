import random
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from backoffice.gateway_trial import Plan, Stage, TrialFailed, trial_run
from backoffice.gateway_trial_parts import PARTS


class Command(BaseCommand):
    help = (
        "在随机故障的模拟网关上进行大量支付与退款，再逐分核对双方账目，有差异时退出码为 1。"
        "Pay and refund at stand-in gateways that fail at random, on a scratch database beside the "
        "configured one, then compare both books to the fen; exit 1 on any difference."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--payments", type=int, default=2000)
        parser.add_argument("--refunds", type=int, default=500)
        parser.add_argument(
            "--fault-percent", type=float, default=10.0, help="chance of EACH kind of fault (10)"
        )
        parser.add_argument("--seed", type=int, help="of behaviour and faults (default: random)")
        parser.add_argument("--port", type=int, default=0, help="of the stand-ins (any free one)")
        parser.add_argument(
            "--speed", type=float, default=60.0, help="seconds of the trial's clock per real one"
        )
        parser.add_argument("--part", nargs=2, help=SUPPRESS)
        parser.add_argument("--number", type=int, default=0, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("仅用于开发环境 / For DEBUG=on only")
        if options["part"]:
            name, folder = options["part"]
            PARTS[name](Stage.read(Path(folder)), options["number"])
            return
        seed = options["seed"]
        plan = Plan(
            payments=options["payments"],
            refunds=options["refunds"],
            fault_percent=options["fault_percent"],
            seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
            port=options["port"],
            speed=options["speed"],
        )
        try:
            result = trial_run(plan, self._say)
        except TrialFailed as error:
            raise CommandError(f"seed {plan.seed}: {error}") from error
        for name, value in result["figures"].items():
            self._say(f"  {name}: {value}")
        for difference in result["differences"]:
            self._say(f"[difference] {difference}")
        self._say(f"{result['seconds']} s, seed {plan.seed}")
        if result["differences"]:
            raise SystemExit(1)
        self._say("双方账目一致 / Both books agree")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
