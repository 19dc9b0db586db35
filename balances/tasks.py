from celery import shared_task

from balances.invariants import LEDGER
from tcmpay.audit.roots import chain_seal_and_tell


@shared_task(name="balances.seal_ledger")
def seal_ledger() -> bool:
    return chain_seal_and_tell(LEDGER) is not None
