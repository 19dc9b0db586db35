from celery import shared_task

from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.roots import chain_seal_and_tell


@shared_task(name="audit.seal_trail")
def seal_trail() -> bool:
    return chain_seal_and_tell(TRAIL) is not None
