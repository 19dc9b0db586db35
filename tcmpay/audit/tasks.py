from celery import shared_task

from tcmpay.audit.checks import TRAIL
from tcmpay.audit.seals import days_seal


@shared_task(name="audit.seal_trail")
def seal_trail() -> int:
    return len(days_seal(TRAIL))
