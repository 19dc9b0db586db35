"""Gateways that refuse whoever asks: one case per gateway and cause, whatever was refused.

The log of exchanges tells what is refused lastingly: again and again since the newest answer to the
same kind of call. Who opens such cases, for questions or for refunds, says when they are over.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from payments.models import GatewayExchange, PaymentException
from payments.services.exceptions import exception_end, exception_open, still_told
from payments.states import (
    ExceptionKind,
    ExceptionOutcome,
    ExchangeKind,
    ExchangeOutcome,
    PaymentMethod,
)
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, gateway_actor
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.db import money_unit

# Longer than two calls about the same attempt or refund are ever apart.
LOOK_BACK = timedelta(minutes=65)
LASTING_AFTER = timedelta(minutes=2)
LASTING_COUNT = 3
# Answers that we can't believe: as long as they come, nobody learns anything either.
UNVERIFIED = ("BAD_SIGNATURE", "UNKNOWN_SERIAL", "STALE", "CERTIFICATE_CHANGED")


@dataclass(frozen=True, slots=True)
class Cause:
    """Which gateway refuses, and the code that it says."""

    method: str
    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    kind: str
    asked_at: datetime
    message: str


def refused_since_the_last_answer(kinds: Collection[ExchangeKind]) -> dict[Cause, list[Refused]]:
    """Refused calls after which no call of that kind was answered, oldest first."""
    since = clock.now() - LOOK_BACK
    asked = GatewayExchange.objects.filter(asked_at__gte=since, kind__in=kinds)
    is_unverified = Q(outcome=ExchangeOutcome.UNKNOWN, answer__in=UNVERIFIED)
    rows = asked.filter(Q(outcome=ExchangeOutcome.REJECTED) | is_unverified).order_by("asked_at")
    told = list(
        rows.values_list("transaction__payment_method", "kind", "answer", "asked_at", "message")
    )
    answered = asked.filter(outcome=ExchangeOutcome.ANSWERED)
    last = {
        (method, kind): answered.filter(transaction__payment_method=method, kind=kind)
        .order_by("-asked_at")
        .values_list("asked_at", flat=True)
        .first()
        for method, kind in {(method, kind) for method, kind, *_rest in told}
    }
    found: dict[Cause, list[Refused]] = defaultdict(list)
    for method, kind, code, asked_at, message in told:
        last_answer = last[method, kind]
        if last_answer is None or asked_at > last_answer:
            found[Cause(method, code)].append(Refused(kind, asked_at, message))
    return found


def is_lasting(told: list[Refused]) -> bool:
    return len(told) >= LASTING_COUNT and told[-1].asked_at - told[0].asked_at >= LASTING_AFTER


@money_unit
def cause_case_open(kind: ExceptionKind, cause: Cause, *, reason: str) -> int:
    """One case per cause at a time; a later episode is another case. Returns how many."""
    return exception_open(kind, method=cause.method, fact=cause.code, reason=reason, actor=SYSTEM)


def cause_case_settle(case: PaymentException, text: str) -> bool:
    """Close the case as over, in the caller's unit; False where somebody closed it meanwhile."""
    locked = PaymentException.objects.select_for_update().get(id=case.id)
    if locked.closed_at is not None:
        return False
    exception_end(locked, gateway_actor(case.payment_method), text, ExceptionOutcome.SETTLED)
    return True


def told_causes(kind: ExceptionKind) -> set[Cause]:
    """The causes that staff know of: their case is open, or was closed by hand lately."""
    return {cause_of(case) for case in still_told(kind)}


def cause_cases(kind: ExceptionKind) -> QuerySet[PaymentException]:
    return PaymentException.objects.filter(kind=kind)


def cause_of(case: PaymentException) -> Cause:
    return Cause(case.payment_method, case.subject)


def facts_told(cause: Cause, told: list[Refused]) -> dict[str, Any]:
    """What a case's reason says of its cause; times in Asia/Shanghai."""
    return {
        "gateway": PaymentMethod(cause.method).label,
        "code": cause.code,
        "message": told[-1].message[:200],
        "since": told[0].asked_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        "advice": advice(cause.code),
    }


def advice(code: str) -> str:
    """What usually stands behind a code, and what to do about it."""
    if code in UNVERIFIED:
        return _(
            "核对网关用来签名的公钥或证书（微信支付公钥、平台证书、支付宝公钥），并校准服务器时间"
        )
    name = code.upper().replace("_", "").replace("-", "")
    if "TIMESTAMP" in name:
        return _("校准服务器时间")
    if "SIGN" in name:
        return _("核对商户私钥、证书序列号与平台上登记的公钥，并校准服务器时间")
    if any(word in name for word in ("NOAUTH", "PERMISSION", "40006", "APPID", "MCH")):
        return _("在商户平台检查商户状态、产品与接口权限、AppID 与商户号的绑定")
    return _("运行支付配置检查；仍不明白时把错误码和时间告诉网关客服")
