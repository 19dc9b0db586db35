from typing import Any

from django.core.management.base import BaseCommand

from balances.checks import LEDGER
from tcmpay.audit.checks import TRAIL
from tcmpay.audit.models import ChainSeal
from tcmpay.audit.seals import days_seal


class Command(BaseCommand):
    help = (
        "封存已结束的日子（流水与审计记录），并打印每条链最新的根哈希。"
        "Seal the days that are over and print the newest root of each chain: keep it elsewhere."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for chain in (LEDGER, TRAIL):
            made = days_seal(chain)
            newest = ChainSeal.objects.filter(chain=chain.name).order_by("-day").first()
            root = f"{newest.day} {newest.root}" if newest else "-"
            self.stdout.write(f"{chain.name}: +{len(made)}, {root}")
