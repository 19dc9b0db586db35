"""What the audit trail's codes mean: one table of objects, their actions and their states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from backoffice.models import ExportStatus
from balances.models import AdjustmentStatus
from config.models import PriceChangeStatus
from payments.models import PaymentOrder, PaymentTransaction
from payments.states import OrderStatus, TransactionStatus
from reconciliation.states import CloseStatus, DownloadStatus, ReopeningStatus, UploadStatus
from refunds.models import Refund
from refunds.states import BulkStatus, RefundStatus
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import Role
from webhooks.models import WebhookEndpoint
from webhooks.states import EndpointStatus


@dataclass(frozen=True)
class Audited:
    """One kind of object in words: its name, what is done to it, the page of the admin that shows
    it, the table and column of the number that people know it by, and its states.
    """

    name: Any
    actions: Mapping[str, Any]
    page: str = ""
    number: tuple[type[Model], str] | None = None
    states: Iterable[tuple[str, Any]] = ()


# By the ``object_type`` of its events.
AUDITED: Mapping[str, Audited] = {
    "order": Audited(
        _("订单"),
        page="payments_paymentorder",
        number=(PaymentOrder, "order_no"),
        states=OrderStatus.choices,
        actions={
            "order_created": _("创建订单"),
            "order_paid": _("订单已支付"),
            "order_cancelled": _("取消订单"),
            "order_expired": _("订单过期"),
            "order_refunded": _("订单退款"),
        },
    ),
    "payment_transaction": Audited(
        _("支付流水"),
        page="payments_paymenttransaction",
        number=(PaymentTransaction, "transaction_no"),
        states=TransactionStatus.choices,
        actions={
            "payment_started": _("发起支付"),
            "payment_accepted": _("网关已受理"),
            "payment_not_accepted": _("网关未受理"),
            "payment_applied": _("支付入账"),
            "payment_late": _("订单结束后到账"),
            "payment_second": _("重复支付"),
            "payment_failed": _("支付失败"),
            "refund_started": _("发起退款"),
        },
    ),
    "payment_exception": Audited(
        _("差错"),
        page="payments_paymentexception",
        states=(("open", _("待处理")), ("closed", _("已处理"))),
        actions={
            "exception_opened": _("发现差错"),
            "exception_claimed": _("认领差错"),
            "exception_assigned": _("分派差错"),
            "exception_released": _("放回差错"),
            "exception_action": _("着手处理差错"),
            "exception_action_refused": _("处理未成功"),
            "exception_write_off_asked": _("申请核销"),
            "exception_write_off_declined": _("取消核销申请"),
            "exception_settled": _("差错自动了结"),
            "exception_matched": _("差错匹配入账"),
            "exception_recorded": _("按账单记录"),
            "exception_written_off": _("确认核销"),
            "exception_closed": _("关闭差错"),
            "payment_matched": _("匹配付款到订单"),
        },
    ),
    "refund": Audited(
        _("退款"),
        page="refunds_refund",
        number=(Refund, "refund_no"),
        states=RefundStatus.choices,
        actions={
            "refund_requested": _("申请退款"),
            "refund_withdrawn": _("撤回申请"),
            "refund_first_approval": _("第一次批准"),
            "refund_approved": _("批准退款"),
            "refund_rejected": _("驳回退款"),
            "refund_succeeded": _("退款成功"),
            "refund_failed": _("退款失败"),
            "refund_retried": _("重试退款"),
            "refund_asked_again": _("再次查询退款"),
            "refund_stop_asked": _("申请停止发送"),
            "refund_stopped": _("停止发送"),
            "refund_noted": _("网关答复"),
            "refund_outside": _("商户平台直接退款"),
            "refund_number_taken_back": _("网关说已关闭的退款号其实已成功"),
        },
    ),
    "bill_file": Audited(
        _("账单文件"),
        page="reconciliation_billfile",
        states=(("counts", _("有效")), ("replaced", _("已被替换"))),
        actions={
            "bill_imported": _("导入账单"),
            "bill_replaced": _("账单被替换"),
            "bill_counts_again": _("重新采用账单"),
            "bill_downloaded": _("下载账单原文件"),
        },
    ),
    "bill_download": Audited(
        _("重新下载的账单"),
        states=DownloadStatus.choices,
        actions={
            "bill_download_asked": _("要求重新下载账单"),
            "bill_download_answered": _("后台下载有了结果"),
        },
    ),
    "bill_upload": Audited(
        _("上传的账单"),
        states=UploadStatus.choices,
        actions={
            "bill_sent": _("收下账单，等待导入或确认"),
            "bill_upload_confirmed": _("确认替换现有账单"),
            "bill_upload_answered": _("后台导入有了结果"),
        },
    ),
    "report": Audited(_("报表"), actions={"report_downloaded": _("下载报表")}),
    "reconciled_day": Audited(
        _("对账日"),
        actions={
            "day_compare_asked": _("要求对账"),
            "day_reconciled": _("对账"),
            "day_without_movement": _("网关说当日无交易"),
        },
    ),
    "refund_batch": Audited(
        _("批量审核"),
        page="refunds_refundbatch",
        states=(("open", _("执行中")), ("finished", _("已完成"))),
        actions={
            "refund_batch_confirmed": _("确认批量审核"),
            "refund_batch_finished": _("批量审核完成"),
        },
    ),
    "refund_bulk": Audited(
        _("批量退款"),
        page="refunds_refundbulk",
        states=BulkStatus.choices,
        actions={
            "refund_bulk_asked": _("提交批量退款"),
            "refund_bulk_approved": _("同意批量退款"),
            "refund_bulk_rejected": _("驳回批量退款"),
            "refund_bulk_withdrawn": _("撤回批量退款"),
            "refund_bulk_paused": _("暂停批量退款"),
            "refund_bulk_resumed": _("继续批量退款"),
            "refund_bulk_finished": _("批量退款完成"),
            "refund_bulk_downloaded": _("下载批量退款结果"),
        },
    ),
    "refund_policy_rule": Audited(
        _("退款规则"),
        page="refunds_refundpolicyrule",
        actions={
            "refund_policy_rule_added": _("新增退款规则"),
            "refund_policy_rule_changed": _("修改退款规则"),
        },
    ),
    "refund_note": Audited(
        _("审核常用语"),
        page="refunds_refundnote",
        actions={
            "refund_note_added": _("新增审核常用语"),
            "refund_note_changed": _("修改审核常用语"),
        },
    ),
    "balance": Audited(
        _("用户余额"),
        actions={
            "balance_topped_up": _("余额充值"),
            "balance_freeze": _("冻结余额"),
            "balance_unfreeze": _("解冻余额"),
            "opening_adopted": _("确认期初余额"),
            "balance_opened": _("开立余额账户"),
        },
    ),
    "balance_adjustment": Audited(
        _("余额调整"),
        page="balances_balanceadjustment",
        states=AdjustmentStatus.choices,
        actions={
            "adjustment_requested": _("申请余额调整"),
            "adjustment_approved": _("批准余额调整"),
            "adjustment_rejected": _("驳回余额调整"),
            "adjustment_withdrawn": _("撤回余额调整"),
        },
    ),
    "daily_close": Audited(
        _("日结"),
        states=CloseStatus.choices,
        actions={
            "close_proposed": _("提交日结"),
            "close_signed": _("签字日结"),
            "close_rejected": _("驳回日结"),
            "close_withdrawn": _("撤回日结"),
            "close_reopened": _("重新打开已日结的营业日"),
        },
    ),
    "day_reopening": Audited(
        _("重新打开日结"),
        states=ReopeningStatus.choices,
        actions={
            "reopening_requested": _("申请重新打开"),
            "reopening_approved": _("同意重新打开"),
            "reopening_rejected": _("驳回重新打开的申请"),
            "reopening_withdrawn": _("撤回重新打开的申请"),
        },
    ),
    "price": Audited(
        _("价格"),
        page="config_priceconfig",
        actions={
            "price_created": _("新增价格"),
            "price_changed": _("修改价格"),
            "price_ended": _("价格结束"),
        },
    ),
    "price_change": Audited(
        _("待确认的改价"),
        page="config_pricechangerequest",
        states=PriceChangeStatus.choices,
        actions={
            "price_change_requested": _("提交改价"),
            "price_change_confirmed": _("确认改价"),
            "price_change_refused": _("拒绝改价"),
            "price_change_withdrawn": _("撤回改价"),
        },
    ),
    "payment_config": Audited(
        _("支付配置"),
        actions={
            "config_set": _("设置配置项"),
            "config_changed": _("修改配置项"),
            "config_cleared": _("清空配置项"),
            "config_changed_outside": _("在系统之外修改"),
            "config_keys_rotated": _("更换加密密钥"),
            "config_draft_saved": _("保存配置草稿"),
            "config_draft_discarded": _("放弃配置草稿"),
            "config_draft_test_passed": _("测试配置草稿：通过"),
            "config_draft_test_failed": _("测试配置草稿：没有通过"),
            "config_activated": _("启用配置"),
            "config_rolled_back": _("恢复历史版本"),
            "config_keys_revocation_asked": _("申请作废历史版本的回调密钥"),
            "config_keys_revoked": _("作废历史版本的回调密钥"),
            "config_certificate_kept": _("取得并核对支付宝的新证书"),
        },
    ),
    "webhook_endpoint": Audited(
        _("推送地址"),
        page="webhooks_webhookendpoint",
        number=(WebhookEndpoint, "url"),
        states=EndpointStatus.choices,
        actions={
            "endpoint_added": _("添加推送地址"),
            "endpoint_changed": _("更改订阅的事件"),
            "endpoint_secret_rotated": _("更换推送密钥"),
            "endpoint_disabled": _("停用推送地址"),
            "endpoint_enabled": _("启用推送地址"),
            "endpoint_replayed": _("重新推送事件"),
            "endpoint_pinged": _("发送测试 ping"),
        },
    ),
    "callback_bodies": Audited(
        _("网关通知原文"), actions={"callback_bodies_trimmed": _("按保留期限删除原文")}
    ),
    "user_data": Audited(_("用户资料"), actions={"user_data_exported": _("导出全部资料")}),
    "platform_token": Audited(_("平台令牌"), actions={"token_issued_by_hand": _("用命令签发令牌")}),
    "staff_user": Audited(
        _("员工"),
        page="accounts_staffuser",
        actions={
            "staff_created": _("新建员工"),
            "staff_changed": _("修改员工"),
            "staff_password_set": _("重设密码"),
            "staff_own_password_set": _("修改自己的密码"),
            "staff_sessions_ended": _("强制退出"),
            "staff_second_factor_bound": _("绑定身份验证器"),
            "staff_second_factor_reset": _("重置身份验证器"),
            "staff_recovery_codes_renewed": _("重新生成恢复码"),
            "staff_recovery_code_used": _("使用恢复码"),
            "staff_locked_out": _("登录失败过多，已锁定"),
            "staff_unlocked": _("解除锁定"),
        },
    ),
    "export": Audited(
        _("导出"),
        page="backoffice_exportjob",
        states=ExportStatus.choices,
        actions={
            "export_requested": _("导出列表"),
            "export_downloaded": _("下载导出文件"),
            "export_finished": _("导出结束"),
        },
    ),
    "chain_seal": Audited(_("封存"), actions={"chain_sealed": _("封存流水或审计记录")}),
    "row_digests": Audited(_("内容摘要"), actions={"digests_begun": _("开始保存内容摘要")}),
    "table_mark": Audited(
        _("表的标记"),
        actions={
            "marks_begun": _("开始标记"),
            "outside_change_adopted": _("确认由 SQL 所做的修改"),
        },
    ),
}
OBJECT_NAMES: Mapping[str, Any] = {code: kind.name for code, kind in AUDITED.items()}
ACTION_NAMES: Mapping[str, Any] = {
    code: name for kind in AUDITED.values() for code, name in kind.actions.items()
}
STATE_NAMES: Mapping[str, Mapping[str, Any]] = {
    code: dict(kind.states) for code, kind in AUDITED.items()
}

ROLE_NAMES: Mapping[str, Any] = {
    Role.PATIENT: _("患者"),
    Role.DOCTOR: _("医生"),
    Role.ADMIN: _("平台管理员"),
    Role.SERVICE: _("平台服务"),
    Role.STAFF: _("员工"),
    Role.GATEWAY: _("支付网关"),
    Role.SYSTEM: _("系统"),
}
GATEWAY_NAMES = {"wechat": _("微信支付"), "alipay": _("支付宝"), "balance": _("余额支付")}


def object_name(event: AuditEvent) -> Any:
    return OBJECT_NAMES.get(event.object_type, event.object_type)


def action_name(event: AuditEvent) -> Any:
    return ACTION_NAMES.get(event.action, event.action)


def state_name(event: AuditEvent, code: str) -> Any:
    """One state of the event's object in words."""
    return STATE_NAMES.get(event.object_type, {}).get(code, code)
