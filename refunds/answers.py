"""Refunds as they are answered."""

from refunds.models import Refund
from refunds.serializers import RefundSchema
from tcmpay.common.api.listing import Listing, period
from tcmpay.common.api.presenters import field_names
from tcmpay.common.compiled import AnswersByKey

refunds_told = AnswersByKey(Refund.objects.all, field_names(RefundSchema))

refunds_list = Listing(
    Refund,
    refunds_told,
    {
        "user_id": ("user_id", "="),
        "order_id": ("order_id", "="),
        "status": ("status", "IN"),
        "updated_since": ("updated_at", ">="),
        **period("created_at", "start_date", "end_date"),
    },
)
