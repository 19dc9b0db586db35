"""Bills that staff want from the gateway again: a worker asks for them as the one who wants them.

What there was none of is imported, what differs from the bill that counts is put away until
somebody lets it replace that one, and the day is compared anew.
"""

import logging
from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from gateways.interface import OpenedBill
from reconciliation.errors import AnotherBillThere
from reconciliation.models import BillDownload
from reconciliation.services.fetching import Fetched
from reconciliation.services.importing import ensure_day_over
from reconciliation.services.queueing import day_compare_ask
from reconciliation.services.uploads import bill_fetched_keep
from reconciliation.states import BillType, DownloadStatus
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError
from tcmpay.common.sweep import by_itself, in_time

logger = logging.getLogger(__name__)

RUN_TASK = "reconciliation.download_bills"
# No further one is begun then: tasks are stopped after 90 seconds.
RUN_SECONDS = 40.0
LEASE = timedelta(minutes=10)  # a download that did not end by then is taken to have died
TRIES_MAX = 3


@money_unit
def bills_download_ask(*, actor: Actor, merchant: Merchant, day: date) -> None:
    """Have the day's bills asked for soon, as ``actor`` wants. Raises BillNotReady."""
    ensure_day_over(day)
    now = {
        "asked_by": actor.id,
        "asked_at": clock.now(),
        "status": DownloadStatus.WAITING,
        "reason": "",
        "due_at": clock.now(),
        "tries": 0,
    }
    row, _is_new = BillDownload.objects.update_or_create(
        payment_method=merchant.method, merchant=merchant.number, day=day, defaults=now
    )
    _audit(row, actor, "bill_download_asked")
    ring(RUN_TASK)


def bills_download() -> int:
    """Ask for what is wanted, each by itself; how many there were."""
    done = 0
    due = BillDownload.objects.filter(due_at__lte=clock.now()).order_by("due_at")
    for wanted in in_time(list(due), seconds=RUN_SECONDS):
        held_until = clock.now() + LEASE
        mine = BillDownload.objects.filter(id=wanted.id, due_at=wanted.due_at)
        if mine.update(due_at=held_until, tries=wanted.tries + 1):
            with by_itself(logger, "bill_download_failed", day=str(wanted.day)):
                _download(wanted, held_until)
            done += 1
    return done


def _download(wanted: BillDownload, held_until: datetime) -> None:
    if wanted.tries >= TRIES_MAX:
        text = _("下载了几次都没有完成，什么都没有改变：请联系管理员")
        _end(wanted, held_until, DownloadStatus.REFUSED, text)
        return
    actor = Actor(wanted.asked_by, Role.STAFF)
    merchant, day = Merchant(wanted.payment_method, wanted.merchant), wanted.day

    def put_away(bill_type: BillType, opened: OpenedBill, error: AnotherBillThere) -> None:
        bill_fetched_keep(
            actor=actor,
            merchant=merchant,
            day=day,
            bill_type=bill_type,
            opened=opened,
            error=error,
        )

    fetched = Fetched(actor, merchant, day, put_away=put_away)
    try:
        fetched.trade()
        fetched.fund()
    except DomainError as error:
        _end(wanted, held_until, DownloadStatus.REFUSED, str(error.text))
        return
    day_compare_ask(actor=actor, merchant=merchant, day=day)
    _end(wanted, held_until, DownloadStatus.DONE)


@money_unit
def _end(wanted: BillDownload, held_until: datetime, status: str, reason: str = "") -> None:
    """Say what came of it, unless somebody wants them once more meanwhile."""
    rows = BillDownload.objects.select_for_update()
    row = rows.filter(id=wanted.id, due_at=held_until).first()
    if row is None:
        return
    columns_write(row, status=status, reason=reason[:500], due_at=None)
    _audit(row, SYSTEM, "bill_download_answered")


def _audit(row: BillDownload, actor: Actor, action: str) -> None:
    audit_record(
        object_type=BillDownload.AUDIT_OBJECT,
        object_id=row.id,
        action=action,
        actor=actor,
        to_state=row.status,
        details={
            "day": row.day.isoformat(),
            "payment_method": row.payment_method,
            "merchant": row.merchant,
            "reason": row.reason,
        },
    )
