from celery import shared_task

from tcmpay.accounts.services import staff


@shared_task(name="accounts.purge_sign_ins")
def purge_sign_ins() -> int:
    return staff.sign_ins_purge()
