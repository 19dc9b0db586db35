"""What an export of each list holds: its columns, its totals, and what of them counts."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext_lazy as _

from backoffice.cases.words import case_state
from backoffice.site.display import reached
from backoffice.trail.words import OBJECT_NAMES, ROLE_NAMES, action_name, state_name
from payments.models import PaymentOrder
from payments.selectors import service_names
from payments.states import PAID_STATUSES, PaymentMethod, TransactionStatus, TransactionType
from refunds.models import Refund
from refunds.states import SURPLUS_CAUSES, RefundStatus
from tcmpay.accounts.selectors import staff_names
from tcmpay.common import clock
from tcmpay.common.money import ZERO, Money

# The tables in which codes and ids are looked up; each is read once for a file.
WORDS: Mapping[str, Callable[[], Mapping[Any, Any]]] = {
    "services": service_names,
    "people": staff_names,
    "methods": lambda: dict(PaymentMethod.choices),
    "objects": lambda: OBJECT_NAMES,
    "roles": lambda: ROLE_NAMES,
}
Words = Mapping[str, Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and where its value comes from: a field's way from the row, or a function.

    ``words`` names the table that says what the value means; what is not there stays as it is.
    """

    title: Any
    source: str | Callable[[Any], Any]
    words: str = ""
    width: int = 20
    is_summed: bool = False

    def value(self, row: Any, words: Words) -> Any:
        """Text, a Decimal (yuan), a moment in Asia/Shanghai or None."""
        value = self.source(row) if callable(self.source) else reached(row, self.source)
        if self.words:
            return words[self.words].get(value, value)
        return value.astimezone(clock.SHANGHAI) if isinstance(value, datetime) else value


def amount(title: Any, source: str | Callable[[Any], Any]) -> Column:
    """A column of yuan that is added up."""
    return Column(title, source, width=16, is_summed=True)


def text(title: Any, source: str | Callable[[Any], Any]) -> Column:
    """A column of what people or gateways wrote."""
    return Column(title, source, width=40)


def number(title: Any, source: str) -> Column:
    """A column of numbers and ids of up to 36 characters."""
    return Column(title, source, width=38)


def named(field: str) -> Callable[[Any], str]:
    """The words of a field with choices, in the reader's language."""

    def words(row: Any) -> str:
        *way, name = field.split(".")
        for step in way:
            row = getattr(row, step)
        return str(getattr(row, f"get_{name}_display")() or "")

    return words


@dataclass(frozen=True, slots=True)
class ExportList:
    """One list that can be exported.

    ``grouped_by`` are the fields by which totals are kept apart: money that was paid is not
    added to money that was asked for. ``counts`` says which rows count in the amount that the
    export itself is listed with (its first column that is added up), and ``counted`` what that
    amount is called; a list without ``counted`` has none. ``fetched`` comes with each
    chunk of rows.
    """

    title: Any
    columns: Sequence[Column]
    grouped_by: Sequence[str] = ()
    counts: Mapping[str, Container[str]] = field(default_factory=dict)
    counted: Any = ""
    fetched: Sequence[Prefetch] = ()

    def words(self) -> Words:
        """The tables that the columns look their values up in."""
        return {column.words: WORDS[column.words]() for column in self.columns if column.words}


def refunded(order: PaymentOrder) -> Money:
    """What was given back of what the order brought, in yuan."""
    done: list[Refund] = order.refunds_done  # type: ignore[attr-defined]
    return sum((refund.refund_amount for refund in done), ZERO)


# Not those of money that came late or twice: it was never part of the order.
REFUNDS_DONE = Prefetch(
    "refunds",
    queryset=Refund.objects.filter(status=RefundStatus.SUCCESS)
    .exclude(cause__in=SURPLUS_CAUSES)
    .only("order_id", "refund_amount"),
    to_attr="refunds_done",
)

LISTS: Mapping[str, ExportList] = {
    "payments_paymentorder": ExportList(
        _("订单"),
        (
            number(_("订单号"), "order_no"),
            Column(_("状态"), named("status")),
            amount(_("金额（元）"), "amount"),
            amount(_("已退（元）"), refunded),
            Column(_("支付方式"), named("payment_method")),
            Column(_("类型"), named("order_type")),
            Column(_("服务"), "service_type", words="services"),
            number(_("用户"), "user_id"),
            number(_("预约"), "appointment_id"),
            Column(_("创建时间"), "created_at"),
            Column(_("支付时间"), "payment_time"),
            Column(_("入账时间"), "booked_at"),
            Column(_("计入营业日"), "paid_on"),
            Column(_("过期时间"), "expire_time"),
            text(_("说明"), "description"),
        ),
        grouped_by=("status",),
        counts={"status": PAID_STATUSES},
        counted=_("已支付的订单"),
        fetched=(REFUNDS_DONE,),
    ),
    "payments_paymenttransaction": ExportList(
        _("支付流水"),
        (
            number(_("流水号"), "transaction_no"),
            Column(_("类型"), named("transaction_type")),
            Column(_("状态"), named("status")),
            amount(_("金额（元）"), "amount"),
            Column(_("支付方式"), named("payment_method")),
            Column(_("入账情况"), named("disposition")),
            number(_("订单号"), "order.order_no"),
            number(_("商户订单号"), "out_trade_no"),
            number(_("网关交易号"), "trade_no"),
            number(_("网关流水号"), "external_transaction_id"),
            Column(_("发起时间"), "initiated_at"),
            Column(_("完成时间"), "completed_at"),
            Column(_("入账时间"), "booked_at"),
            text(_("错误"), lambda attempt: attempt.error_message or attempt.error_code),
        ),
        grouped_by=("transaction_type", "status"),
        counts={
            "transaction_type": {TransactionType.PAYMENT},
            "status": {TransactionStatus.SUCCESS},
        },
        counted=_("成功的支付"),
    ),
    "refunds_refund": ExportList(
        _("退款"),
        (
            number(_("退款单号"), "refund_no"),
            Column(_("状态"), named("status")),
            amount(_("退款金额（元）"), "refund_amount"),
            Column(_("支付方式"), named("transaction.payment_method")),
            number(_("订单号"), "order.order_no"),
            number(_("原支付流水"), "transaction.transaction_no"),
            number(_("收款用户"), "user_id"),
            Column(_("缘由"), named("cause")),
            text(_("退款原因"), "refund_reason"),
            Column(_("申请人"), "requested_by", words="people"),
            Column(_("申请时间"), "created_at"),
            Column(_("审核人"), "reviewed_by", words="people"),
            Column(_("审核时间"), "reviewed_at"),
            text(_("审核备注"), "review_notes"),
            number(_("网关退款号"), "external_refund_id"),
            Column(_("完成时间"), "completed_at"),
            Column(_("入账时间"), "booked_at"),
            Column(_("计入营业日"), "completed_on"),
        ),
        grouped_by=("status",),
        counts={"status": {RefundStatus.SUCCESS}},
        counted=_("已完成的退款"),
    ),
    "payments_paymentexception": ExportList(
        _("差错"),
        (
            Column(_("发现时间"), "opened_at"),
            Column(_("处理情况"), lambda case: case_state(case)[0]),
            Column(_("类型"), named("kind")),
            amount(_("金额（元）"), "amount"),
            Column(_("支付方式"), named("payment_method")),
            number(_("商户订单号"), "out_trade_no"),
            number(_("网关交易号"), "external_transaction_id"),
            number(_("订单号"), "order.order_no"),
            text(_("说明"), "reason"),
            Column(_("负责人"), "owner_id", words="people"),
            Column(_("处理人"), "closed_by", words="people"),
            Column(_("处理时间"), "closed_at"),
            text(_("处理说明"), "resolution"),
        ),
        grouped_by=("kind",),
    ),
    "payments_paymentcallback": ExportList(
        _("网关通知"),
        (
            Column(_("收到时间"), "received_at"),
            Column(_("支付方式"), "payment_method", words="methods"),
            Column(_("结论"), named("verdict")),
            text(_("原因"), "reason"),
            Column(_("金额（元）"), "amount"),
            number(_("商户订单号"), "out_trade_no"),
            number(_("网关交易号"), "external_transaction_id"),
            Column(_("来源地址"), "remote_address"),
            number(_("请求编号"), "request_id"),
        ),
    ),
    "balances_userbalance": ExportList(
        _("用户余额"),
        (
            number(_("用户"), "user_id"),
            amount(_("可用余额（元）"), "balance"),
            amount(_("冻结余额（元）"), "frozen_balance"),
            amount(_("累计收入（元）"), "total_income"),
            amount(_("累计支出（元）"), "total_expense"),
            Column(_("创建时间"), "created_at"),
            Column(_("更新时间"), "updated_at"),
        ),
        counted=_("可用余额"),
    ),
    "balances_balancetransaction": ExportList(
        _("余额流水"),
        (
            Column(_("时间"), "created_at"),
            number(_("用户"), "user_id"),
            Column(_("序号"), "sequence"),
            Column(_("类型"), named("transaction_type")),
            amount(_("金额（元）"), "amount"),
            Column(_("变动前余额（元）"), "balance_before"),
            Column(_("变动后余额（元）"), "balance_after"),
            Column(_("关联"), named("related_type")),
            number(_("关联编号"), "related_id"),
            text(_("说明"), "description"),
        ),
        grouped_by=("transaction_type",),
    ),
    "audit_auditevent": ExportList(
        _("审计记录"),
        (
            Column(_("时间"), "created_at"),
            Column(_("对象类型"), "object_type", words="objects"),
            number(_("对象编号"), "object_id"),
            Column(_("版本"), "version"),
            Column(_("动作"), action_name),
            Column(_("原状态"), lambda event: state_name(event, event.from_state)),
            Column(_("新状态"), lambda event: state_name(event, event.to_state)),
            number(_("操作人"), "actor_id"),
            Column(_("操作人名称"), "actor_name"),
            Column(_("操作人角色"), "actor_role", words="roles"),
            text(_("原因"), "reason"),
            number(_("请求编号"), "request_id"),
            number(_("哈希"), "hash"),
        ),
    ),
}
