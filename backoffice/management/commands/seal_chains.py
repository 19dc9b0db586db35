from typing import Any

from django.core.management.base import BaseCommand

from balances.invariants import LEDGER
from payments.invariants_seals import CALLBACKS, EXCHANGES
from tcmpay.accounts.invariants import SIGN_INS
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.models import ChainRoot
from tcmpay.audit.roots import chain_seal_and_tell, root_line


class Command(BaseCommand):
    help = (
        "封存余额流水、审计记录、登录记录与网关日志（截至上一个整点），并打印每条链最新的根哈希。"
        "Seal ledger, trail, sign-ins and what gateways said up to the last full hour and print "
        "the newest root of each as a line of JSON: keep it elsewhere."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for chain in (LEDGER, TRAIL, SIGN_INS, CALLBACKS, EXCHANGES):
            chain_seal_and_tell(chain)
            newest = ChainRoot.objects.filter(chain=chain.name).order_by("-number").first()
            if newest is not None:
                self.stdout.write(root_line(newest))
