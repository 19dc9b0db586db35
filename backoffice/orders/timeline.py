"""An order's whole story in one line of time: who did what, what the gateways said, what moved.

Each source is read up to a bound and told in plain words; the words of other actions come from
the trail's own table.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from backoffice.payments.panels import VERDICT_TONES
from backoffice.site.bases import admin_link
from backoffice.site.display import BAD, EMPTY, GOOD, NEUTRAL, RUNNING, WAITING
from backoffice.site.own_words import own_words
from backoffice.site.words import CALLBACK_PAGE, method_text
from backoffice.trail.pages import actor_text, change_text
from backoffice.trail.words import action_name
from balances.models import BalanceTransaction, RelatedType
from gateways.interface import CloseState, RefundState, TradeState
from payments.models import GatewayExchange, PaymentCallback, PaymentOrder, PaymentTransaction
from payments.states import ExchangeKind, ExchangeOutcome, TransactionType
from refunds.models import Refund
from tcmpay.audit.models import AuditEvent

SOURCE_ROWS_MAX = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: when (UTC), who, what in plain words, and more if there is more."""

    at: datetime
    key: str  # the row's id, which grows with time: it orders things of one moment
    who: str
    what: str
    more: str = ""
    tone: str = NEUTRAL
    request_id: str = ""


@dataclass(frozen=True)
class Story:
    """An order with everything that belongs to it, read once."""

    order: PaymentOrder
    attempts: list[PaymentTransaction]
    refunds: list[Refund]

    @classmethod
    def of(cls, order: PaymentOrder) -> "Story":
        return cls(
            order,
            list(order.transactions.order_by("initiated_at")[:SOURCE_ROWS_MAX]),
            list(order.refunds.order_by("created_at")[:SOURCE_ROWS_MAX]),
        )

    @property
    def payments(self) -> list[PaymentTransaction]:
        """The attempts to pay. What gives money back is told by its refund."""
        return [
            attempt
            for attempt in self.attempts
            if attempt.transaction_type == TransactionType.PAYMENT
        ]

    @property
    def cases(self) -> Iterable[Any]:
        return self.order.exceptions.order_by("opened_at")[:SOURCE_ROWS_MAX]

    def words_of(self, event: AuditEvent) -> Mapping[str, Any]:
        """What the sentences of an event's object may name."""
        return self._words.get((event.object_type, event.object_id), {})

    @property
    def _words(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        words: dict[tuple[str, str], Mapping[str, Any]] = {
            ("order", str(self.order.pk)): {"amount": self.order.amount}
        }
        for attempt in self.payments:
            words["payment_transaction", str(attempt.pk)] = {
                "amount": attempt.amount,
                "method": method_text(attempt.payment_method),
                "number": attempt.out_trade_no or attempt.transaction_no,
            }
        for refund in self.refunds:
            words["refund", str(refund.pk)] = {
                "amount": refund.refund_amount,
                "number": refund.refund_no,
            }
        return words


def timeline(story: Story) -> list[Moment]:
    """Everything that happened to the order, oldest first."""
    sources = (_money, _events, _callbacks, _exchanges, _entries)
    moments = [moment for source in sources for moment in source(story)]
    return sorted(moments, key=lambda moment: (moment.at, moment.key))


def timeline_context(story: Story) -> dict[str, Any]:
    """The story as the pages' templates take it."""
    moments = timeline(story)
    return {"timeline": moments, "timeline_is_cut": len(moments) >= SOURCE_ROWS_MAX}


def ledger_entries(story: Story) -> QuerySet[BalanceTransaction]:
    """What the order and its refunds moved on the owner's balance."""
    facts = Q(related_type=RelatedType.ORDER, related_id=story.order.pk)
    keys = [refund.pk for refund in story.refunds]
    if keys:
        facts |= Q(related_type=RelatedType.REFUND, related_id__in=keys)
    return BalanceTransaction.objects.filter(facts).order_by("created_at")[:SOURCE_ROWS_MAX]


# --- when the money moved, where that was not when we booked it -----------------------------------


def _money(story: Story) -> Iterator[Moment]:
    for row in story.attempts:
        if row.completed_at is None or row.booked_at in (None, row.completed_at):
            continue
        is_payment = row.transaction_type == TransactionType.PAYMENT
        sentence = PAID_AT if is_payment else GIVEN_BACK_AT
        yield Moment(
            at=row.completed_at,
            key="",  # first of its second: gateways tell whole ones
            who=method_text(row.payment_method),
            what=str(sentence) % {"amount": row.amount},
            tone=GOOD,
        )


PAID_AT = gettext_lazy("网关时间：用户付款 %(amount)s 元")
GIVEN_BACK_AT = gettext_lazy("网关时间：退款 %(amount)s 元完成")


# --- what people and the system did -------------------------------------------------------------

SENTENCES: Mapping[str, Any] = {
    "order_created": gettext_lazy("创建订单，应付 %(amount)s 元"),
    "order_paid": gettext_lazy("订单已支付"),
    "order_cancelled": gettext_lazy("取消订单"),
    "order_expired": gettext_lazy("超过支付期限，订单过期"),
    "order_refunded": gettext_lazy("订单退款状态更新"),
    "payment_started": gettext_lazy("发起%(method)s %(amount)s 元，商户订单号 %(number)s"),
    "payment_applied": gettext_lazy("%(method)s %(amount)s 元入账"),
    "payment_late": gettext_lazy("订单已结束，%(method)s 仍到账 %(amount)s 元：不入账，需退回"),
    "payment_second": gettext_lazy("订单已支付，%(method)s 又到账 %(amount)s 元：不入账，需退回"),
    "payment_failed": gettext_lazy("这次%(method)s未成功，商户订单号 %(number)s"),
    "refund_requested": gettext_lazy("申请退款 %(amount)s 元，退款单号 %(number)s"),
    "refund_withdrawn": gettext_lazy("撤回退款申请 %(number)s"),
    "refund_first_approval": gettext_lazy("第一次批准退款 %(amount)s 元，等待另一人复核"),
    "refund_approved": gettext_lazy("批准退款 %(amount)s 元"),
    "refund_rejected": gettext_lazy("驳回退款 %(amount)s 元"),
    "refund_succeeded": gettext_lazy("退款 %(amount)s 元成功，退款单号 %(number)s"),
    "refund_failed": gettext_lazy("退款 %(amount)s 元失败，退款单号 %(number)s"),
    "refund_retried": gettext_lazy("重试退款 %(amount)s 元，退款单号不变：%(number)s"),
    "refund_stop_asked": gettext_lazy("申请停止发送退款 %(number)s，等待另一人同意"),
    "refund_stopped": gettext_lazy("停止发送退款 %(number)s"),
    "exception_opened": gettext_lazy("登记差错，等待财务处理"),
    "exception_closed": gettext_lazy("差错处理完毕"),
}
NOTED = frozenset({"payment_accepted", "payment_not_accepted", "refund_noted"})
EVENT_TONES: Mapping[str, str] = {
    "order_paid": GOOD,
    "payment_applied": GOOD,
    "payment_late": BAD,
    "payment_second": BAD,
    "payment_failed": BAD,
    "refund_requested": WAITING,
    "refund_first_approval": WAITING,
    "refund_approved": RUNNING,
    "refund_succeeded": GOOD,
    "refund_failed": BAD,
    "exception_opened": BAD,
}


def _events(story: Story) -> Iterator[Moment]:
    wanted = Q(object_type="order", object_id=str(story.order.pk))
    for kind, rows in (
        ("payment_transaction", story.payments),
        ("refund", story.refunds),
        ("payment_exception", story.cases),
    ):
        keys = [str(row.pk) for row in rows]
        if keys:
            wanted |= Q(object_type=kind, object_id__in=keys)
    # What a gateway answered is told by the exchange itself.
    events = AuditEvent.objects.filter(wanted).exclude(action__in=NOTED)
    for event in events[:SOURCE_ROWS_MAX]:
        yield Moment(
            at=event.created_at,
            key=str(event.pk),
            who=actor_text(event),
            what=_sentence(story, event),
            more=own_words(event.reason),
            tone=EVENT_TONES.get(event.action, NEUTRAL),
            request_id=event.request_id,
        )


def _sentence(story: Story, event: AuditEvent) -> str:
    sentence, words = SENTENCES.get(event.action), story.words_of(event)
    if sentence is not None and (words or "%(" not in str(sentence)):
        return str(sentence) % words
    change = change_text(event)
    name = str(action_name(event))
    return name if change == EMPTY else f"{name}（{change}）"


# --- what the gateways told us ------------------------------------------------------------------


def _callbacks(story: Story) -> Iterator[Moment]:
    numbers = [attempt.out_trade_no for attempt in story.attempts if attempt.out_trade_no]
    callbacks = PaymentCallback.objects.filter(
        Q(transaction__order_id=story.order.pk) | Q(out_trade_no__in=numbers)
    ).order_by("received_at")[:SOURCE_ROWS_MAX]
    for callback in callbacks:
        yield Moment(
            at=callback.received_at,
            key=str(callback.pk),
            who=method_text(callback.payment_method),
            what=format_html(
                _("收到{}：{}"),
                admin_link(
                    CALLBACK_PAGE,
                    callback.pk,
                    _("模拟通知") if callback.is_mock else pgettext("one", "网关通知"),
                ),
                callback.get_verdict_display(),
            ),
            more=own_words(callback.reason),
            tone=VERDICT_TONES.get(callback.verdict, NEUTRAL),
            request_id=callback.request_id,
        )


# --- what we asked the gateways -----------------------------------------------------------------

PAYMENT_ANSWERS: Mapping[str, Any] = {
    TradeState.PAID: gettext_lazy("已支付"),
    TradeState.UNPAID: gettext_lazy("尚未支付"),
    TradeState.CLOSED: gettext_lazy("已关闭，未支付"),
    TradeState.NOT_FOUND: gettext_lazy("还没有这笔交易"),
    CloseState.ALREADY_PAID: gettext_lazy("已支付，不能关闭"),
}
REFUND_ANSWERS: Mapping[str, Any] = {
    RefundState.SUCCESS: gettext_lazy("退款成功"),
    RefundState.PROCESSING: gettext_lazy("退款处理中"),
    RefundState.CLOSED: gettext_lazy("退款已关闭，款项未退"),
    RefundState.ABNORMAL: gettext_lazy("退款异常，需在商户平台处理"),
    RefundState.NOT_FOUND: gettext_lazy("还没有这笔退款"),
}
OUTCOME_TONES: Mapping[str, str] = {
    ExchangeOutcome.REJECTED: BAD,
    ExchangeOutcome.UNKNOWN: WAITING,
    ExchangeOutcome.UNTRUSTED: BAD,
}


def _exchanges(story: Story) -> Iterator[Moment]:
    methods = {attempt.pk: attempt.payment_method for attempt in story.attempts}
    exchanges = GatewayExchange.objects.filter(transaction_id__in=list(methods)).order_by(
        "asked_at"
    )[:SOURCE_ROWS_MAX]
    for exchange in exchanges:
        yield Moment(
            at=exchange.asked_at,
            key=str(exchange.pk),
            who=str(_("系统")),
            what=_("向%(method)s%(asked)s：%(answer)s")
            % {
                "method": method_text(methods[exchange.transaction_id]),
                "asked": exchange.get_kind_display(),
                "answer": _answer_text(exchange),
            },
            more=exchange.message,
            tone=OUTCOME_TONES.get(exchange.outcome, NEUTRAL),
            request_id=exchange.request_id,
        )


def _answer_text(exchange: GatewayExchange) -> str:
    outcome = str(exchange.get_outcome_display())
    if exchange.outcome == ExchangeOutcome.ANSWERED:
        is_refund = exchange.kind in {ExchangeKind.REFUND, ExchangeKind.QUERY_REFUND}
        answers = REFUND_ANSWERS if is_refund else PAYMENT_ANSWERS
        return str(answers.get(exchange.answer, exchange.answer or outcome))
    return f"{outcome}（{exchange.answer}）" if exchange.answer else outcome


# --- what moved on the balance ------------------------------------------------------------------


def _entries(story: Story) -> Iterator[Moment]:
    for entry in ledger_entries(story):
        yield Moment(
            at=entry.created_at,
            key=str(entry.pk),
            who=str(_("余额账户")),
            what=_("%(kind)s %(amount)s 元，余额 %(before)s → %(after)s 元")
            % {
                "kind": entry.get_transaction_type_display(),
                "amount": entry.amount,
                "before": entry.balance_before,
                "after": entry.balance_after,
            },
            more=entry.description,
        )
