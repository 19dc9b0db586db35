"""What gateways told us, what we promised, and under which configuration (E1, E3, E6)."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from config.models import PaymentConfigVersion
from payments.check_log_rows import odd_callbacks
from payments.models import PaymentCallback, PaymentException, PaymentTransaction
from payments.states import (
    HELD_VERDICTS,
    SURPLUS_DISPOSITIONS,
    Disposition,
    PaymentMethod,
    TransactionStatus,
    TransactionType,
    Verdict,
)
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, in_chunks

TRANSACTION = PaymentTransaction.AUDIT_OBJECT

# Surplus money goes back within a minute, notices are taken within seconds: five are a failure.
PROMISE_LATE_AFTER = timedelta(minutes=5)
# Past the death of what the payer was shown by so much, a close that is still owed is no use.
CLOSE_LATE_AFTER = timedelta(hours=24)
# How the gateways call a message about money that came in.
PAID_EVENTS = frozenset({"TRANSACTION.SUCCESS", "TRADE_SUCCESS", "TRADE_FINISHED"})
DISPOSITION_OF_VERDICT: Mapping[str, Disposition] = {
    Verdict.APPLIED: Disposition.APPLIED,
    Verdict.LATE: Disposition.LATE,
    Verdict.SECOND: Disposition.SECOND,
}
# What the verdict is compared with.
CALLBACK_FIELDS = (
    *("verdict", "amount", "out_trade_no", "is_picked_up", "refund_notice"),
    *("transaction__status", "transaction__disposition", "transaction__amount"),
)


def check_callbacks(scope: Scope) -> Iterator[Violation]:
    """Each message led to exactly what its verdict says (E1)."""
    callbacks = PaymentCallback.objects.using(scope.using).select_related("transaction")
    callbacks = callbacks.only(*CALLBACK_FIELDS)
    if scope.since is not None:
        callbacks = callbacks.filter(received_at__gte=scope.since)
    for odd in odd_callbacks(scope, _callback_problem):
        for callback in callbacks.filter(id__in=odd).order_by("id"):
            if problem := _callback_problem(callback):
                yield _callback_violation(callback, problem)
    for callback in in_chunks(_held(callbacks).filter(~Exists(_case(scope))), "id"):
        yield _callback_violation(callback, _("待人工处理的通知没有对应的差错"))


def _callback_problem(callback: Any) -> str:
    payment = callback.transaction
    if (callback.is_picked_up is None) != (callback.refund_notice is None):
        return _("退款通知的处理标记与内容不相符")
    if callback.verdict == Verdict.UNTRUSTED:
        is_bound = payment is not None or callback.amount is not None
        return _("未通过验证的通知不应关联任何流水") if is_bound else ""
    if callback.verdict not in {*DISPOSITION_OF_VERDICT, Verdict.REPEAT}:
        return ""
    if payment is None or payment.status != TransactionStatus.SUCCESS:
        return _("支付成功的通知没有对应的成功流水")
    expected = DISPOSITION_OF_VERDICT.get(callback.verdict, payment.disposition)
    if payment.disposition != expected or callback.amount != payment.amount:
        return _("通知的结论或金额与流水不符")
    return ""


def _held(callbacks: QuerySet[PaymentCallback]) -> QuerySet[PaymentCallback]:
    # A message about an unknown order needs a case only when it says that money came.
    is_paid = Q(verdict=Verdict.UNKNOWN_ORDER, event__in=PAID_EVENTS)
    others = HELD_VERDICTS - {Verdict.UNKNOWN_ORDER}
    return callbacks.filter(Q(verdict__in=others) | is_paid)


def _case(scope: Scope) -> QuerySet[PaymentException]:
    return PaymentException.objects.using(scope.using).filter(
        kind=OuterRef("verdict"),
        payment_method=OuterRef("payment_method"),
        out_trade_no=OuterRef("out_trade_no"),
    )


def check_open_cases(scope: Scope) -> Iterator[Violation]:
    """Money that a person has to look at: told every time, wrong only if nobody knew."""
    cases = PaymentException.objects.using(scope.using).filter(closed_at=None)
    for case in in_chunks(cases, "id"):
        yield Violation(
            code="E1",
            object_type="payment_exception",
            object_id=str(case.id),
            message=_("待人工处理：%(kind)s %(number)s %(reason)s")
            % {
                "kind": case.get_kind_display(),
                "number": case.out_trade_no,
                "reason": case.reason,
            },
            is_notice=True,
        )


def check_promises(scope: Scope) -> Iterator[Violation]:
    """Promised outside effects end, or a person knows of them (E3)."""
    now = clock.now()
    attempts = PaymentTransaction.objects.using(scope.using)
    ended = attempts.filter(is_close_owed=True).exclude(status=TransactionStatus.PENDING)
    for attempt in in_chunks(ended, "id"):
        yield _violation("E3", attempt, _("已结束的支付仍标记为待关闭"))
    late = now - CLOSE_LATE_AFTER
    forgotten = attempts.filter(is_close_owed=True, status=TransactionStatus.PENDING).filter(
        Q(gateway_expires_at__lt=late) | Q(gateway_expires_at=None, initiated_at__lt=late)
    )
    for attempt in in_chunks(forgotten, "id"):
        yield _violation("E3", attempt, _("应在网关关闭的支付超过一天未关闭"), is_unfinished=True)
    yield from _check_notices(scope)
    yield from _check_surplus(scope)


def _check_notices(scope: Scope) -> Iterator[Violation]:
    late = clock.now() - PROMISE_LATE_AFTER
    is_late = Q(next_take_at=None, received_at__lt=late) | Q(next_take_at__lt=late)
    waiting = PaymentCallback.objects.using(scope.using).filter(is_late, is_picked_up=False)
    for callback in in_chunks(waiting, "id"):
        yield Violation(
            "E3",
            "payment_callback",
            str(callback.id),
            _("退款通知超过 5 分钟未处理：%(number)s") % {"number": callback.out_trade_no},
            is_unfinished=True,
        )


def _check_surplus(scope: Scope) -> Iterator[Violation]:
    """Late or double money is on its way back, or a person knows of it."""
    case = PaymentException.objects.using(scope.using).filter(transaction_id=OuterRef("id"))
    kept = PaymentTransaction.objects.using(scope.using).filter(
        disposition__in=SURPLUS_DISPOSITIONS,
        status=TransactionStatus.SUCCESS,
        refund_reserved__lt=F("amount"),
    )
    for payment in in_chunks(kept.filter(~Exists(case)), "id"):
        yield _violation("E3", payment, _("多余的款项没有退回，也没有对应的差错"))
    if settings.LATE_PAYMENT_POLICY == "refund":
        overdue = kept.filter(
            refund_reserved=0,
            refunds=None,
            booked_at__lt=clock.now() - PROMISE_LATE_AFTER,
        ).exclude(Exists(case.exclude(closed_at=None)))
        for payment in in_chunks(overdue, "id"):
            yield _violation(
                "E3", payment, _("多余的款项超过 5 分钟未发起退回"), is_unfinished=True
            )


def check_versions(scope: Scope) -> Iterator[Violation]:
    """An attempt at a gateway keeps the configuration that it began with (E6)."""
    rows = PaymentTransaction.objects.using(scope.using).filter(
        transaction_type=TransactionType.PAYMENT, is_mock=False
    )
    if scope.since is not None:
        rows = rows.filter(initiated_at__gte=scope.since)
    version = PaymentConfigVersion.objects.using(scope.using).filter(
        id=OuterRef("config_version_id"), payment_method=OuterRef("payment_method")
    )
    at_gateways = rows.exclude(payment_method=PaymentMethod.BALANCE)
    for attempt in in_chunks(at_gateways.filter(~Exists(version)), "id"):
        yield _violation("E6", attempt, _("支付没有可查的配置版本"))


def _violation(
    code: str, payment: PaymentTransaction, message: str, *, is_unfinished: bool = False
) -> Violation:
    return Violation(
        code,
        TRANSACTION,
        str(payment.id),
        f"{payment.transaction_no}: {message}",
        is_unfinished=is_unfinished,
    )


def _callback_violation(callback: PaymentCallback, problem: str) -> Violation:
    text = f"{callback.out_trade_no} {callback.get_verdict_display()}: {problem}"
    return Violation("E1", "payment_callback", str(callback.id), text)


CHECKS = (check_callbacks, check_open_cases, check_promises, check_versions)
