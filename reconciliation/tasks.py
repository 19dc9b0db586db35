from celery import shared_task

from reconciliation.services import downloading, fetching, queueing, uploads, watching


@shared_task(name="reconciliation.fetch_bills")
def fetch_bills() -> int:
    return fetching.bills_sweep()


@shared_task(name=queueing.RUN_TASK)
def compare_days() -> int:
    return queueing.days_compare()


@shared_task(name=downloading.RUN_TASK)
def download_bills() -> int:
    return downloading.bills_download()


@shared_task(name=uploads.RUN_TASK)
def import_uploads() -> int:
    return uploads.bill_uploads_import()


@shared_task(name="reconciliation.watch_closing")
def watch_closing() -> int:
    return watching.closing_watch()
