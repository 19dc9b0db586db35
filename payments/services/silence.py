"""Gateways that no longer answer our questions: one case per gateway and cause, for a person.

A refused question changes nothing (payments/services/refusals.py), so a lasting refusal shows
nowhere but in money whose state nobody learns. The log of exchanges tells of it. The case settles
itself when the gateway answers again, and whatever was asked about in vain is due at once.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from payments.models import PaymentException, PaymentTransaction
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
)
from payments.states import (
    QUESTIONS,
    ExceptionKind,
    ExceptionOutcome,
    ExchangeKind,
)
from tcmpay.common import clock
from tcmpay.common.db import money_unit

# How long after a gateway's recovery what waited for it is still looked for.
RECOVERED_FOR = timedelta(hours=2)


def silent_methods() -> list[str]:
    """The gateways that refuse our questions, as the open cases say."""
    open_cases = _cases().filter(closed_at=None)
    return list(open_cases.order_by().values_list("payment_method", flat=True).distinct())


def answering_again() -> Mapping[str, datetime]:
    """The gateways that began to answer again lately, and when that was noticed."""
    settled = _cases().filter(
        outcome=ExceptionOutcome.SETTLED, closed_at__gt=clock.now() - RECOVERED_FOR
    )
    newest = settled.order_by().values("payment_method").annotate(newest=Max("closed_at"))
    return dict(newest.values_list("payment_method", "newest"))


def gateways_silent_report() -> int:
    """Open a case for each cause that lasts, settle those that are over; returns how many."""
    refused = refused_since_the_last_answer(QUESTIONS)
    opened = sum(
        cause_case_open(ExceptionKind.GATEWAY_SILENT, cause, reason=_reason(cause, told))
        for cause, told in refused.items()
        if is_lasting(told)
    )
    settled = 0
    for case in list(_cases().filter(closed_at=None)):
        if cause_of(case) in refused:
            _ask_one_more(case.payment_method)
        else:
            settled += _settle(case)
    return opened + settled


def _reason(cause: Cause, told: list[Refused]) -> str:
    names = [str(ExchangeKind(kind).label) for kind in sorted({one.kind for one in told})]
    text = _(
        "%(gateway)s不再回答我们的询问：%(code)s %(message)s。"
        "自 %(since)s 起被拒（%(kinds)s）。请处理：%(advice)s"
    )
    return text % (facts_told(cause, told) | {"kinds": "、".join(names)})


@money_unit
def _settle(case: PaymentException) -> int:
    if not cause_case_settle(case, _("网关已恢复回答，等待的询问已全部重新安排")):
        return 0
    _asked_in_vain(case.payment_method).update(next_check_at=clock.now())
    return 1


def _ask_one_more(method: str) -> None:
    """While the gateway refuses, the next sweep asks about one attempt, so that we notice."""
    one = _asked_in_vain(method).order_by("next_check_at").values_list("id", flat=True).first()
    if one is not None:
        PaymentTransaction.objects.pending().filter(id=one).update(next_check_at=clock.now())


def _asked_in_vain(method: str) -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.pending().filter(
        payment_method=method, error_code__isnull=False, next_check_at__gt=clock.now()
    )


def _cases() -> QuerySet[PaymentException]:
    return cause_cases(ExceptionKind.GATEWAY_SILENT)
