from celery import shared_task

from balances.checks import LEDGER
from tcmpay.audit.seals import days_seal


@shared_task(name="balances.seal_ledger")
def seal_ledger() -> int:
    return len(days_seal(LEDGER))
