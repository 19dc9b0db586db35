"""What clients send about refunds, and how the answers look."""

from rest_framework import serializers

from payments.selectors import OrderStatistics
from refunds.selectors import RefundStatistics
from refunds.states import RefundStatus
from tcmpay.common.api.serializers import (
    AmountField,
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
    order_id = StrictUUIDField()
    refund_amount = AmountField()
    refund_reason = StrictCharField(min_length=1, max_length=500)


class RefundReviewInput(InputSerializer):
    approved = StrictBooleanField()
    review_notes = StrictCharField(
        required=False, allow_blank=True, allow_null=True, max_length=500
    )


class RefundListInput(ListInput, PeriodInput):
    user_id = StrictUUIDField(required=False)
    order_id = StrictUUIDField(required=False)
    status = SeveralField(
        child=serializers.ChoiceField(choices=RefundStatus.choices),
        example="pending,processing",
        required=False,
    )
    updated_since = MomentField(required=False)


class RefundSchema(serializers.Serializer):
    id = serializers.UUIDField()
    refund_no = serializers.CharField()
    order_id = serializers.UUIDField()
    transaction_id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    refund_amount = serializers.CharField()
    refund_reason = serializers.CharField()
    status = serializers.ChoiceField(choices=RefundStatus.choices)
    requested_by = serializers.UUIDField(allow_null=True)
    reviewed_by = serializers.UUIDField(allow_null=True)
    reviewed_at = serializers.DateTimeField(allow_null=True)
    review_notes = serializers.CharField(allow_null=True)
    approvals_needed = serializers.IntegerField()
    completed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class RefundPageSchema(PageSchema):
    refunds = RefundSchema(many=True)


StatisticsSchema = schema_of("StatisticsSchema", OrderStatistics, RefundStatistics)
