from uuid import UUID

from celery import shared_task

from payments.services import day_figures
from refunds.day_figures import REFUNDED
from refunds.services import (
    batches,
    bulk_runs,
    funds,
    lasting_refusals,
    notices,
    stuck,
    submission,
    surplus,
)


@shared_task(name="refunds.submit")
def submit(refund_id: str) -> None:
    submission.refund_submit(refund_id=UUID(refund_id))


@shared_task(name="refunds.take_notices")
def take_notices() -> int:
    return notices.notices_take()


@shared_task(name="refunds.sweep")
def sweep() -> int:
    # First what asks nobody: a sweep that is cut short must not cost the batches and the cases.
    done = batches.batches_sweep() + bulk_runs.bulks_sweep()
    done += funds.accounts_filled_report() + lasting_refusals.gateways_refusing_report()
    done += stuck.refunds_stuck_report()
    return done + notices.notices_take() + surplus.surplus_sweep() + submission.refunds_sweep()


@shared_task(name="refunds.run_batch")
def run_batch(batch_id: str) -> int:
    return batches.batch_run(batch_id=UUID(batch_id))


@shared_task(name="refunds.run_bulk")
def run_bulk(bulk_id: str) -> int:
    return bulk_runs.bulk_run(bulk_id=UUID(bulk_id))


@shared_task(name="refunds.keep_day_figures")
def keep_day_figures() -> int:
    return day_figures.keep(REFUNDED)
