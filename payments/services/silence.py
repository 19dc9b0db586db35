"""Gateways that no longer answer our questions: one case per gateway and cause, for a person.

A refused question changes nothing (payments/services/refusals.py), so a lasting refusal shows
nowhere but in money whose state nobody learns. The log of exchanges tells of it. The case settles
itself when the gateway answers again, and whatever was asked about in vain is due at once.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Q, QuerySet
from django.utils.translation import gettext as _

from payments.models import GatewayExchange, PaymentException, PaymentTransaction
from payments.services.exceptions import exception_end, exception_open
from payments.states import (
    QUESTIONS,
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

# Longer than two questions about the same attempt or refund are ever apart.
LOOK_BACK = timedelta(minutes=65)
LASTING_AFTER = timedelta(minutes=2)
LASTING_COUNT = 3
# Answers that we can't believe: as long as they come, nobody learns anything either.
UNVERIFIED = ("BAD_SIGNATURE", "UNKNOWN_SERIAL", "STALE", "CERTIFICATE_CHANGED")
# Whoever closes a case of a refusal that goes on is not told again for so long.
CLOSED_BY_HAND_FOR = timedelta(hours=24)
# How long after a gateway's recovery what waited for it is still looked for.
RECOVERED_FOR = timedelta(hours=2)


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
    refused = _refused_since_the_last_answer()
    opened = sum(_open(cause, told) for cause, told in refused.items() if _is_lasting(told))
    settled = 0
    for case in list(_cases().filter(closed_at=None)):
        if _cause_of(case) in refused:
            _ask_one_more(case.payment_method)
        else:
            settled += _settle(case)
    return opened + settled


def _refused_since_the_last_answer() -> dict[Cause, list[Refused]]:
    """Refused questions after which no question of that kind was answered, oldest first."""
    since = clock.now() - LOOK_BACK
    asked = GatewayExchange.objects.filter(asked_at__gte=since, kind__in=QUESTIONS)
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


def _is_lasting(told: list[Refused]) -> bool:
    return len(told) >= LASTING_COUNT and told[-1].asked_at - told[0].asked_at >= LASTING_AFTER


@money_unit
def _open(cause: Cause, told: list[Refused]) -> int:
    """One case per cause at a time; a later episode is another case."""
    earlier = [
        case for case in _cases().filter(payment_method=cause.method) if _cause_of(case) == cause
    ]
    if any(_holds_still(case) for case in earlier):
        return 0
    exception_open(
        ExceptionKind.GATEWAY_SILENT,
        method=cause.method,
        fact=f"{cause.code}:{len(earlier)}",
        reason=_reason(cause, told),
        actor=SYSTEM,
    )
    return 1


def _holds_still(case: PaymentException) -> bool:
    if case.closed_at is None:
        return True
    is_by_hand = case.outcome == ExceptionOutcome.CLOSED
    return is_by_hand and case.closed_at > clock.now() - CLOSED_BY_HAND_FOR


def _reason(cause: Cause, told: list[Refused]) -> str:
    names = [str(ExchangeKind(kind).label) for kind in sorted({one.kind for one in told})]
    text = _(
        "%(gateway)s不再回答我们的询问：%(code)s %(message)s。"
        "自 %(since)s 起被拒（%(kinds)s）。请处理：%(advice)s"
    )
    return text % {
        "gateway": PaymentMethod(cause.method).label,
        "code": cause.code,
        "message": told[-1].message[:200],
        "since": told[0].asked_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        "kinds": "、".join(names),
        "advice": _advice(cause.code),
    }


def _advice(code: str) -> str:
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


@money_unit
def _settle(case: PaymentException) -> int:
    locked = PaymentException.objects.select_for_update().get(id=case.id)
    if locked.closed_at is not None:
        return 0
    actor = gateway_actor(case.payment_method)
    exception_end(
        locked, actor, _("网关已恢复回答，等待的询问已全部重新安排"), ExceptionOutcome.SETTLED
    )
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
    return PaymentException.objects.filter(kind=ExceptionKind.GATEWAY_SILENT)


def _cause_of(case: PaymentException) -> Cause:
    return Cause(case.payment_method, case.fact.rpartition(":")[0])
