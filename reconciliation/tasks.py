from celery import shared_task

from reconciliation.services import fetching, queueing, watching


@shared_task(name="reconciliation.fetch_bills")
def fetch_bills() -> int:
    return fetching.bills_sweep()


@shared_task(name=queueing.RUN_TASK)
def compare_days() -> int:
    return queueing.days_compare()


@shared_task(name="reconciliation.watch_closing")
def watch_closing() -> int:
    return watching.closing_watch()
