from celery import shared_task

from webhooks.services.dispatch import sequences_give


@shared_task(name="webhooks.dispatch")
def dispatch() -> int:
    return sequences_give()
