from celery import shared_task

from reconciliation.services import fetching, watching


@shared_task(name="reconciliation.fetch_bills")
def fetch_bills() -> int:
    return fetching.bills_sweep()


@shared_task(name="reconciliation.watch_closing")
def watch_closing() -> int:
    return watching.closing_watch()
