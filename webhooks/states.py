"""What the platform is told of, and the states of what tells it."""

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
