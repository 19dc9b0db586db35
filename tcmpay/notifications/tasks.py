from celery import shared_task

from tcmpay.notifications import services


@shared_task(name="notifications.send")
def send() -> int:
    return services.notifications_send()
