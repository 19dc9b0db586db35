from celery import shared_task

from tcmpay.limits import services


@shared_task(name="guard.purge")
def purge() -> int:
    return services.guard_purge()
