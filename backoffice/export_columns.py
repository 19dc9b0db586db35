"""What an export of each list holds: its columns, and which amount its last line sums up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from tcmpay.common import clock


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and where its value comes from: a field's way from the row, or a function."""

    title: Any
    source: str | Callable[[Any], Any]

    def value(self, row: Any) -> Any:
        """Text, a Decimal (yuan) or None; moments as text in Asia/Shanghai."""
        if callable(self.source):
            return self.source(row)
        value = row
        for name in self.source.split("."):
            value = getattr(value, name, None)
        return value.astimezone(clock.SHANGHAI).strftime(TIME) if is_moment(value) else value


TIME = "%Y-%m-%d %H:%M:%S"


def is_moment(value: Any) -> bool:
    return isinstance(value, datetime)


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
    """One list that can be exported. ``summed`` is the row's amount that is added up."""

    title: Any
    columns: Sequence[Column]
    summed: str = ""


LISTS: Mapping[str, ExportList] = {
    "payments_paymentorder": ExportList(
        _("订单"),
        (
            Column(_("订单号"), "order_no"),
            Column(_("状态"), named("status")),
            Column(_("金额（元）"), "amount"),
            Column(_("支付方式"), named("payment_method")),
            Column(_("类型"), named("order_type")),
            Column(_("服务"), "service_type"),
            Column(_("用户"), "user_id"),
            Column(_("预约"), "appointment_id"),
            Column(_("创建时间"), "created_at"),
            Column(_("支付时间"), "payment_time"),
            Column(_("过期时间"), "expire_time"),
            Column(_("说明"), "description"),
        ),
        summed="amount",
    ),
    "payments_paymenttransaction": ExportList(
        _("支付流水"),
        (
            Column(_("流水号"), "transaction_no"),
            Column(_("类型"), named("transaction_type")),
            Column(_("状态"), named("status")),
            Column(_("金额（元）"), "amount"),
            Column(_("支付方式"), named("payment_method")),
            Column(_("入账情况"), named("disposition")),
            Column(_("订单号"), "order.order_no"),
            Column(_("商户订单号"), "out_trade_no"),
            Column(_("网关交易号"), "trade_no"),
            Column(_("网关流水号"), "external_transaction_id"),
            Column(_("发起时间"), "initiated_at"),
            Column(_("完成时间"), "completed_at"),
            Column(_("错误"), lambda attempt: attempt.error_message or attempt.error_code),
        ),
        summed="amount",
    ),
    "refunds_refund": ExportList(
        _("退款"),
        (
            Column(_("退款单号"), "refund_no"),
            Column(_("状态"), named("status")),
            Column(_("退款金额（元）"), "refund_amount"),
            Column(_("支付方式"), named("transaction.payment_method")),
            Column(_("订单号"), "order.order_no"),
            Column(_("原支付流水"), "transaction.transaction_no"),
            Column(_("收款用户"), "user_id"),
            Column(_("缘由"), named("cause")),
            Column(_("退款原因"), "refund_reason"),
            Column(_("申请人"), "requested_by"),
            Column(_("申请时间"), "created_at"),
            Column(_("审核人"), "reviewed_by"),
            Column(_("审核时间"), "reviewed_at"),
            Column(_("审核备注"), "review_notes"),
            Column(_("网关退款号"), "external_refund_id"),
            Column(_("完成时间"), "completed_at"),
        ),
        summed="refund_amount",
    ),
    "payments_paymentexception": ExportList(
        _("差错"),
        (
            Column(_("发现时间"), "opened_at"),
            Column(_("类型"), named("kind")),
            Column(_("金额（元）"), "amount"),
            Column(_("支付方式"), named("payment_method")),
            Column(_("商户订单号"), "out_trade_no"),
            Column(_("网关交易号"), "external_transaction_id"),
            Column(_("订单号"), "order.order_no"),
            Column(_("说明"), "reason"),
            Column(_("处理时间"), "closed_at"),
            Column(_("处理说明"), "resolution"),
        ),
        summed="amount",
    ),
    "payments_paymentcallback": ExportList(
        _("网关通知"),
        (
            Column(_("收到时间"), "received_at"),
            Column(_("支付方式"), "payment_method"),
            Column(_("结论"), named("verdict")),
            Column(_("原因"), "reason"),
            Column(_("金额（元）"), "amount"),
            Column(_("商户订单号"), "out_trade_no"),
            Column(_("网关交易号"), "external_transaction_id"),
            Column(_("来源地址"), "remote_address"),
            Column(_("请求编号"), "request_id"),
        ),
    ),
    "balances_userbalance": ExportList(
        _("用户余额"),
        (
            Column(_("用户"), "user_id"),
            Column(_("可用余额（元）"), "balance"),
            Column(_("冻结余额（元）"), "frozen_balance"),
            Column(_("累计收入（元）"), "total_income"),
            Column(_("累计支出（元）"), "total_expense"),
            Column(_("创建时间"), "created_at"),
            Column(_("更新时间"), "updated_at"),
        ),
        summed="balance",
    ),
    "balances_balancetransaction": ExportList(
        _("余额流水"),
        (
            Column(_("时间"), "created_at"),
            Column(_("用户"), "user_id"),
            Column(_("序号"), "sequence"),
            Column(_("类型"), named("transaction_type")),
            Column(_("金额（元）"), "amount"),
            Column(_("变动前余额（元）"), "balance_before"),
            Column(_("变动后余额（元）"), "balance_after"),
            Column(_("关联"), named("related_type")),
            Column(_("关联编号"), "related_id"),
            Column(_("说明"), "description"),
        ),
    ),
    "audit_auditevent": ExportList(
        _("审计记录"),
        (
            Column(_("时间"), "created_at"),
            Column(_("对象类型"), "object_type"),
            Column(_("对象编号"), "object_id"),
            Column(_("版本"), "version"),
            Column(_("动作"), "action"),
            Column(_("原状态"), "from_state"),
            Column(_("新状态"), "to_state"),
            Column(_("操作人"), "actor_id"),
            Column(_("操作人名称"), "actor_name"),
            Column(_("操作人角色"), "actor_role"),
            Column(_("原因"), "reason"),
            Column(_("请求编号"), "request_id"),
            Column(_("哈希"), "hash"),
        ),
    ),
}
