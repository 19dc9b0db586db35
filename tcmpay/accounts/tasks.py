from celery import shared_task

from tcmpay.accounts.invariants import SIGN_INS
from tcmpay.accounts.services import staff
from tcmpay.audit.roots import chain_seal_and_tell


@shared_task(name="accounts.purge_sign_ins")
def purge_sign_ins() -> int:
    return staff.sign_ins_purge()


@shared_task(name="accounts.seal_sign_ins")
def seal_sign_ins() -> bool:
    return chain_seal_and_tell(SIGN_INS) is not None
