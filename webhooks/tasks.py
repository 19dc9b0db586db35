from celery import shared_task

from webhooks.services.purging import events_purge
from webhooks.services.turns import turn_take


@shared_task(name="webhooks.dispatch")
def dispatch() -> int:
    return turn_take(is_rung=True)


@shared_task(name="webhooks.sweep")
def sweep() -> int:
    return turn_take()


@shared_task(name="webhooks.purge")
def purge() -> int:
    return events_purge()
