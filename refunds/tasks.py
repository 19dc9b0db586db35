from uuid import UUID

from celery import shared_task

from refunds.services import notices, submission, surplus


@shared_task(name="refunds.submit")
def submit(refund_id: str) -> None:
    submission.refund_submit(refund_id=UUID(refund_id))


@shared_task(name="refunds.take_notices")
def take_notices() -> int:
    return notices.notices_take()


@shared_task(name="refunds.sweep")
def sweep() -> int:
    return notices.notices_take() + surplus.surplus_sweep() + submission.refunds_sweep()
