"""What clients send about refunds, and how the answers look."""

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from payments.selectors import OrderStatistics
from payments.serializers import OF_USER, UPDATED_SINCE
from refunds.selectors import RefundStatistics
from refunds.states import RefundStatus
from tcmpay.common.api.serializers import (
    AmountField,
    AnsweredAmountField,
    InputSerializer,
    ListInput,
    MomentField,
    PageSchema,
    PeriodInput,
    SeveralField,
    StrictBooleanField,
    StrictCharField,
    StrictUUIDField,
    schema_of,
)


class RefundCreateInput(InputSerializer):
    order_id = StrictUUIDField(help_text=_("退哪个订单的钱"))
    refund_amount = AmountField(help_text=_("退多少（元）：不超过订单的 refundable_amount"))
    refund_reason = StrictCharField(min_length=1, max_length=500, help_text=_("为什么退"))


class RefundReviewInput(InputSerializer):
    approved = StrictBooleanField(help_text=_("true 批准，false 驳回"))
    review_notes = StrictCharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=500,
        help_text=_("审核备注：申请人看得到"),
    )


class RefundListInput(ListInput, PeriodInput):
    user_id = StrictUUIDField(required=False, help_text=OF_USER)
    order_id = StrictUUIDField(required=False, help_text=_("哪个订单的退款"))
    status = SeveralField(
        child=serializers.ChoiceField(choices=RefundStatus.choices),
        example="pending,processing",
        required=False,
    )
    updated_since = MomentField(required=False, help_text=UPDATED_SINCE)


class RefundSchema(serializers.Serializer):
    about = _("退款")

    id = serializers.UUIDField(help_text=_("编号"))
    refund_no = serializers.CharField(max_length=28, help_text=_("退款单号：给人看的"))
    order_id = serializers.UUIDField(help_text=_("哪个订单的退款"))
    transaction_id = serializers.UUIDField(help_text=_("退的是哪一笔支付"))
    user_id = serializers.UUIDField(help_text=_("退给谁：订单本人"))
    refund_amount = AnsweredAmountField(help_text=_("退款金额（元）"))
    refund_reason = serializers.CharField(max_length=500, help_text=_("退款原因"))
    status = serializers.ChoiceField(choices=RefundStatus.choices)
    requested_by = serializers.UUIDField(
        allow_null=True, help_text=_("谁申请的；系统自动退回的为 null")
    )
    reviewed_by = serializers.UUIDField(allow_null=True, help_text=_("谁审核的"))
    reviewed_at = serializers.DateTimeField(allow_null=True, help_text=_("审核时刻"))
    review_notes = serializers.CharField(allow_null=True, max_length=500, help_text=_("审核备注"))
    approvals_needed = serializers.IntegerField(min_value=0, help_text=_("还差几个人批准"))
    completed_at = serializers.DateTimeField(
        allow_null=True, help_text=_("钱退到的时刻，以支付渠道报告的为准")
    )
    created_at = serializers.DateTimeField(help_text=_("申请时刻"))
    updated_at = serializers.DateTimeField(help_text=_("最后一次变化的时刻"))


class RefundPageSchema(PageSchema):
    refunds = RefundSchema(many=True)


StatisticsSchema = schema_of(
    "StatisticsSchema",
    OrderStatistics,
    RefundStatistics,
    texts={
        "total_orders": _("创建了多少订单"),
        "total_amount": _("这些订单的金额合计（元）"),
        "paid_orders": _("支付了多少订单：按付款的业务日，之后退款的也算"),
        "paid_amount": _("这些订单的金额合计（元）"),
        "refunded_orders": _("多少订单有退款完成"),
        "refunded_amount": _("实际退回的金额合计（元）"),
    },
)
