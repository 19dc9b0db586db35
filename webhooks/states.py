"""What the platform is told of, and the states of what tells it, as tables."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _


class EventType(models.TextChoices):
    ORDER_CREATED = "order.created", _("订单已创建")
    ORDER_PAID = "order.paid", _("订单已支付")
    ORDER_CANCELLED = "order.cancelled", _("订单已取消")
    ORDER_EXPIRED = "order.expired", _("订单已过期")
    ORDER_REFUNDED = "order.refunded", _("订单已退款（部分或全部）")
    REFUND_REQUESTED = "refund.requested", _("已申请退款")
    REFUND_REJECTED = "refund.rejected", _("退款已拒绝或撤回")
    REFUND_SUCCEEDED = "refund.succeeded", _("退款成功")
    REFUND_FAILED = "refund.failed", _("退款失败")
    TOPUP_SUCCEEDED = "topup.succeeded", _("充值成功")
    CASE_OPENED = "case.opened", _("新差错")


class EndpointStatus(models.TextChoices):
    ENABLED = "enabled", _("启用")
    DISABLED = "disabled", _("停用")


ENDPOINT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    EndpointStatus.ENABLED: frozenset({EndpointStatus.DISABLED}),
    EndpointStatus.DISABLED: frozenset({EndpointStatus.ENABLED}),
}


class DisabledBecause(models.TextChoices):
    """Why an endpoint gets nothing."""

    NONE = "", _("未停用")
    BY_HAND = "by_hand", _("人工停用")
    GONE = "gone", _("接收方回答 410：不再接收")
    FAILING = "failing", _("连续五天投递失败")


# What nobody here decided: a person is told by a case (payments/services/endpoint_cases.py).
LOUD = frozenset({DisabledBecause.GONE, DisabledBecause.FAILING})


class DeliveryStatus(models.TextChoices):
    PENDING = "pending", _("待投递")
    DELIVERED = "delivered", _("已投递")
    FAILED = "failed", _("已放弃")


class TryProblem(models.TextChoices):
    """Why a try brought no answer."""

    NONE = "", _("有应答")
    ADDRESS = "address", _("地址在内网或无法解析")
    CONNECTION = "connection", _("连接失败")
    TLS = "tls", _("证书不可信或与域名不符")
    TIMEOUT = "timeout", _("超时")
    ANSWER = "answer", _("应答无法读取")
    SECRET = "secret", _("密钥无法解封")
