"""What gateways told us, against itself and against what was booked on its word (E9)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from payments.check_log_rows import odd_bodies, odd_bookings
from payments.models import (
    GatewayExchange,
    PaymentCallback,
    PaymentCallbackBody,
    PaymentException,
    PaymentTransaction,
)
from payments.services.callbacks import BODY_KEPT_MAX
from payments.services.exceptions import AUDIT_OBJECT as CASE
from payments.states import (
    ExchangeKind,
    ExchangeOutcome,
    Verdict,
)
from tcmpay.audit.logs import check_log
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.row_digests import row_digest_holds
from tcmpay.audit.stories import stories
from tcmpay.audit.upgrade import RESTART_LEEWAY
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.common.money import Money

TRANSACTION = PaymentTransaction.AUDIT_OBJECT

BATCH = 1000
# What a decoder writes for bytes that were none of the encoding: the body can't be hashed again.
REPLACED = "\ufffd"
# Messages that say that the money came; one of an unknown number may be matched to an order later.
PAID_VERDICTS = frozenset(
    {Verdict.APPLIED, Verdict.REPEAT, Verdict.LATE, Verdict.SECOND, Verdict.UNKNOWN_ORDER}
)


def check_callback_log(scope: Scope) -> Iterator[Violation]:
    """No callback was changed, added or deleted since it was recorded."""
    began = digests_began(scope.using)
    yield from check_log(scope, PaymentCallback, "log_key", moment="received_at", began=began)


def check_exchange_log(scope: Scope) -> Iterator[Violation]:
    """No line about a call to a gateway was changed, added or deleted since it was written."""
    began = digests_began(scope.using)
    yield from check_log(scope, GatewayExchange, "transaction_id", moment="asked_at", began=began)


def check_bodies(scope: Scope) -> Iterator[Violation]:
    """A kept message is the one whose hash its callback keeps; the oldest may have been trimmed."""
    bodies = PaymentCallbackBody.objects.using(scope.using).select_related("callback")
    if scope.since is not None:
        bodies = bodies.filter(callback__received_at__gte=scope.since)
    for odd in odd_bodies(scope):
        for kept in bodies.filter(callback_id__in=odd).order_by("callback_id"):
            if problem := _body_problem(kept):
                yield _callback_violation(kept.callback_id, problem)
    callback = PaymentCallback.objects.using(scope.using).filter(id=OuterRef("callback_id"))
    orphans = PaymentCallbackBody.objects.using(scope.using).filter(~Exists(callback))
    for callback_id in orphans.values_list("callback_id", flat=True):
        yield _callback_violation(callback_id, _("通知原文没有对应的通知"))
    oldest = bodies.order_by("callback_id").values_list("callback_id", flat=True).first()
    if oldest is not None:
        body = PaymentCallbackBody.objects.using(scope.using).filter(callback_id=OuterRef("id"))
        callbacks = PaymentCallback.objects.using(scope.using).exclude(kept_digest="")
        for callback in in_chunks(callbacks.filter(~Exists(body), id__gt=oldest), "id"):
            yield _callback_violation(callback.id, _("通知原文已被删除，而更早的原文仍在"))


def _body_problem(kept: PaymentCallbackBody) -> str:
    callback, raw = kept.callback, kept.body.encode()
    is_whole = len(raw) < BODY_KEPT_MAX and REPLACED not in kept.body
    if is_whole and hashlib.sha256(raw).hexdigest() != callback.body_sha256:
        return _("通知原文与收到时的哈希不符")
    if callback.log_hash and not row_digest_holds(kept, callback.kept_digest):
        return _("通知原文或报文头与收到时的摘要不符")
    return ""


# What the comparison with messages and answers asks of a payment.
BOOKING_FIELDS = (
    *("transaction_no", "payment_method", "amount", "completed_at", "out_trade_no", "trade_no"),
    *("external_transaction_id", "is_mock", "config_version_id"),
)


def check_bookings(scope: Scope) -> Iterator[Violation]:
    """What was booked as paid at a gateway was told by a verified message or by an answer."""
    booked = PaymentTransaction.objects.using(scope.using).only(*BOOKING_FIELDS)
    began = digests_began(scope.using)
    for odd in odd_bookings(scope, PAID_VERDICTS, _booking_problem):
        batch = list(booked.filter(id__in=odd).order_by("id"))
        told = _told_by_callbacks(scope, batch)
        answers = _told_by_answers(scope, batch, began)
        for payment in batch:
            if _is_sample(payment, began):
                continue
            if problem := _booking_problem(payment, told, answers):
                text = f"{payment.transaction_no}: {problem}"
                yield Violation("E9", TRANSACTION, str(payment.id), text)


# What identifies a payment in a message: way of paying, our number, the gateway's, yuan.
Told = tuple[str, str, str, Money | None]


def _told_by_callbacks(scope: Scope, batch: list[PaymentTransaction]) -> dict[Told, set[bool]]:
    """Whether mocks or gateways told of each payment."""
    found: dict[Told, set[bool]] = defaultdict(set)
    callbacks = PaymentCallback.objects.using(scope.using).filter(
        out_trade_no__in=[payment.out_trade_no for payment in batch], verdict__in=PAID_VERDICTS
    )
    for method, ours, theirs, amount, is_mock in callbacks.values_list(
        "payment_method", "out_trade_no", "external_transaction_id", "amount", "is_mock"
    ):
        found[method, ours, theirs, amount].add(is_mock)
    return found


def _told_by_answers(
    scope: Scope, batch: list[PaymentTransaction], began: datetime | None
) -> dict[UUID, set[tuple[str, Money | None] | None]]:
    """The numbers and amounts of the answers "paid"; None where none were kept yet."""
    found: dict[UUID, set[tuple[str, Money | None] | None]] = defaultdict(set)
    answers = GatewayExchange.objects.using(scope.using).filter(
        transaction_id__in=[payment.id for payment in batch],
        kind=ExchangeKind.QUERY,
        outcome=ExchangeOutcome.ANSWERED,
        answer="paid",
    )
    for attempt_id, number, amount, log_hash in answers.values_list(
        "transaction_id", "external_id", "amount", "log_hash"
    ):
        found[attempt_id].add((number, amount) if log_hash or began is None else None)
    return found


def _is_sample(payment: PaymentTransaction, began: datetime | None) -> bool:
    """Whether it may be one of the demo's payments of former releases, which nobody told of."""
    is_old = began is not None and (payment.completed_at or began) < began - RESTART_LEEWAY
    return payment.is_mock and payment.config_version_id is None and is_old


def _booking_problem(
    payment: Any, told: Mapping[Any, set[Any]], answers: Mapping[Any, set[Any]]
) -> str:
    number = payment.trade_no or ""
    tellers = told.get(
        (payment.payment_method, payment.out_trade_no or "", number, payment.amount), set()
    )
    answered = answers.get(payment.id, set())
    is_answered = (number, payment.amount) in answered or None in answered
    if not tellers and not is_answered:
        return _("入账没有相符的网关通知或查询答复")
    if payment.external_transaction_id not in {number, f"MOCK-{payment.out_trade_no}"}:
        return _("网关流水号与网关交易号不符")
    if payment.is_mock and payment.config_version_id is not None and True not in tellers:
        return _("标记为模拟支付，却没有模拟通知")
    if not payment.is_mock and not is_answered and False not in tellers:
        return _("只有模拟通知，却没有标记为模拟支付")
    return ""


def check_cases(scope: Scope) -> Iterator[Violation]:
    """A case is as its trail tells: what it is about, who owned it, how and by whom it ended."""
    cases = PaymentException.objects.using(scope.using).all()
    if scope.since is not None:
        cases = cases.filter(opened_at__gte=scope.since)
    began = digests_began(scope.using)
    for batch in batches(in_chunks(cases, "id"), BATCH):
        told = stories(scope.using, CASE, [case.id for case in batch])
        for case in batch:
            story = told.get(str(case.id))
            problem = row_problem(case, story, began)
            is_closed = case.closed_at is not None
            if not problem and story and (story.state == "closed") != is_closed:
                problem = _("差错的状态与审计记录不一致")
            if not problem and is_closed != bool(case.outcome):
                problem = _("差错的结果与处理时间不相符")
            if problem:
                yield Violation("E9", CASE, str(case.id), f"{case.out_trade_no}: {problem}")
    yield from lost_objects(scope, CASE, PaymentException)


def _callback_violation(callback_id: object, problem: str) -> Violation:
    return Violation("E9", "payment_callback", str(callback_id), problem)


CHECKS = (check_callback_log, check_exchange_log, check_bodies, check_bookings, check_cases)
