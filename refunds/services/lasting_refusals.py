"""Refunds that a gateway refuses for a reason of ours: one case per gateway and cause.

They stay in progress and go again by themselves (payments/services/refusals.py), so a lasting
refusal shows nowhere else.
"""

from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from payments.models import GatewayExchange, PaymentException
from payments.services.lasting_refusals import (
    Cause,
    Refused,
    cause_case_open,
    cause_case_settle,
    cause_cases,
    cause_of,
    facts_told,
    is_lasting,
    refused_since_the_last_answer,
    told_causes,
)
from payments.states import (
    ExceptionKind,
    ExchangeKind,
    ExchangeOutcome,
)
from refunds.models import Refund
from refunds.services.own_cases import is_handled_otherwise
from refunds.states import RefundStatus
from tcmpay.common.db import money_unit

KIND = ExceptionKind.GATEWAY_REFUSING


def gateways_refusing_report() -> int:
    """Open a case for each cause that lasts, settle those that no refund waits for; how many."""
    refused = refused_since_the_last_answer({ExchangeKind.REFUND})
    open_cases = list(cause_cases(KIND).filter(closed_at=None))
    # Most sweeps find neither: they need not look at every refund in progress.
    if not refused and not open_cases:
        return 0
    waiting = {
        Cause(*cause) for cause in _refused_refunds().values_list("method", "told").distinct()
    }
    opened = sum(
        cause_case_open(KIND, cause, reason=_reason(cause, told))
        for cause, told in refused.items()
        if cause in waiting and is_lasting(told)
    )
    return opened + sum(_settle(case) for case in open_cases if cause_of(case) not in waiting)


def refunds_told_of_together() -> QuerySet[Any]:
    """The refunds in progress that a case of their gateway and cause tells of."""
    is_told = Q(pk__in=[])
    for cause in told_causes(KIND):
        is_told |= Q(method=cause.method, told=cause.code)
    return _refused_refunds().filter(is_told)


def _refused_refunds() -> QuerySet[Any]:
    """Refunds in progress whose newest sending was refused, by ``method`` and what was ``told``,
    and which go again by themselves."""
    sent = GatewayExchange.objects.filter(
        transaction_id=OuterRef("transaction_id"),
        refund_id=OuterRef("pk"),
        kind=ExchangeKind.REFUND,
    ).order_by("-asked_at")
    return (
        Refund.objects.filter(
            ~is_handled_otherwise(),
            status=RefundStatus.PROCESSING,
            sendings__gt=0,
            refused_code="",
            short_since=None,
            stopped_by=None,
        )
        .exclude(error_code="")
        .annotate(
            method=F("transaction__payment_method"),
            outcome=Subquery(sent.values("outcome")[:1]),
            told=Subquery(sent.values("answer")[:1]),
        )
        .filter(outcome=ExchangeOutcome.REJECTED)
    )


def _reason(cause: Cause, told: list[Refused]) -> str:
    text = _(
        "%(gateway)s拒绝我们的退款请求：%(code)s %(message)s。自 %(since)s 起被拒。"
        "等待的退款保持原状，五分钟内会自动再试。请处理：%(advice)s"
    )
    return text % facts_told(cause, told)


@money_unit
def _settle(case: PaymentException) -> int:
    return int(cause_case_settle(case, _("没有退款再因此被拒")))
