"""Refunds that a gateway gives no clear answer about: cases for a person."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from payments.services.exceptions import still_told
from payments.services.silence import silent_methods
from payments.states import ExceptionKind
from refunds.models import Refund
from refunds.services.lasting_refusals import refunds_told_of_together
from refunds.services.own_cases import is_handled_otherwise, refund_case_open
from refunds.services.states import refund_lock
from refunds.states import ABNORMAL, RefundStatus
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

BATCH = 100
# About twenty minutes of questions (submission.BACKOFF_SECONDS) that brought only errors.
DOUBTS_MAX = 8
# To a bank card a refund takes up to three working days; a weekend may lie between.
PROCESSING_MAX = timedelta(days=5)


def refunds_stuck_report() -> int:
    """Open a case for each processing refund past its time; returns how many."""
    is_in_doubt = Q(submissions__gte=DOUBTS_MAX) & ~Q(error_code__in=("", ABNORMAL))
    is_old = Q(created_at__lt=clock.now() - PROCESSING_MAX)
    processing = Refund.objects.filter(status=RefundStatus.PROCESSING)
    # Most sweeps find none: they need not ask who was told of what.
    if not processing.filter(is_in_doubt | is_old).exists():
        return 0
    # Where the gateway answers nobody, or refuses all, one case tells of all.
    is_asked = ~Q(transaction__payment_method__in=silent_methods())
    going = processing.filter(is_in_doubt & is_asked | is_old, stopped_by=None)
    # Nor do staff wait for what they gave back another way.
    going = going.filter(~is_handled_otherwise())
    going = going.exclude(id__in=list(refunds_told_of_together().values_list("id", flat=True)))
    # Nor for what waits for the merchant's account to be filled: one case tells of all.
    going = going.filter(short_since=None)
    # But whoever stopped one waits for its end.
    stopped = processing.filter(is_in_doubt | is_old, stopped_by__isnull=False)
    return _report_all(going, ExceptionKind.STUCK_REFUND) + _report_all(
        stopped, ExceptionKind.STOPPED_REFUND
    )


def _report_all(refunds: QuerySet[Refund], kind: ExceptionKind) -> int:
    untold = refunds.exclude(id__in=_told_of(kind)).order_by("created_at")
    ids = list(untold.values_list("id", flat=True)[:BATCH])
    return sum(_report(refund_id, kind) for refund_id in ids)


def _told_of(kind: ExceptionKind) -> list[UUID]:
    """Refunds still processing that have their case: they must not stand before the others."""
    cases = still_told(kind).filter(transaction__refunds__status=RefundStatus.PROCESSING)
    return [UUID(case.subject) for case in cases.only("fact_key")]


@money_unit
def _report(refund_id: UUID, kind: ExceptionKind) -> int:
    _order, payment, refund = refund_lock(refund_id)
    if refund.status != RefundStatus.PROCESSING:
        return 0
    reason = _("已询问 %(times)d 次，仍无结果。%(error)s") % {
        "times": refund.submissions,
        "error": refund.error_message,
    }
    return int(refund_case_open(kind, refund, payment, reason, actor=SYSTEM))
