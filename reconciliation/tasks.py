from celery import shared_task

from reconciliation.services import fetching


@shared_task(name="reconciliation.fetch_bills")
def fetch_bills() -> int:
    return fetching.bills_sweep()
