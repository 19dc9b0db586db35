"""What clients send about refunds, and how the answers look."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from payments.selectors import OrderStatistics
from payments.serializers import OF_USER, UPDATED_SINCE
from payments.states import PaymentMethod
from refunds.bulk_plan import REASON_LENGTH_MAX, ROWS_MAX, Wanted
from refunds.selectors import RefundStatistics
from refunds.states import BulkOutcome, BulkStatus, RefundStatus
from tcmpay.common.api.serializers import (
    AmountField,
    AnsweredAmountField,
    InputSerializer,
    ListInput,
    MomentField,
    PageInput,
    PageSchema,
    PeriodInput,
    SeveralField,
    StrictBooleanField,
    StrictCharField,
    StrictUUIDField,
    schema_of,
)
from tcmpay.common.errors import InvalidInput
from tcmpay.common.order_types import SERVICE_TYPES


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


class BulkRowInput(InputSerializer):
    order_id = StrictUUIDField(help_text=_("退哪个订单的钱"))
    refund_amount = AmountField(required=False, help_text=_("退多少（元）；不写退全部可退金额"))
    refund_reason = StrictCharField(
        required=False,
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        help_text=_("为什么退；不写用外面的 refund_reason"),
    )


class BulkFilterInput(PeriodInput):
    """Orders as ``GET /orders`` filters them; which of them can't be refunded is told."""

    user_id = StrictUUIDField(required=False, help_text=_("谁的订单"))
    order_type = serializers.ChoiceField(choices=SERVICE_TYPES, required=False)
    service_type = StrictCharField(required=False, max_length=64, help_text=_("哪种服务的订单"))
    payment_method = serializers.ChoiceField(choices=PaymentMethod.choices, required=False)
    appointment_ids = serializers.ListField(
        child=StrictUUIDField(),
        required=False,
        min_length=1,
        max_length=ROWS_MAX,
        help_text=_("哪些预约的订单"),
    )

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError({name: _("不支持的字段") for name in unknown})
        if not data:
            raise serializers.ValidationError(_("至少给出一个筛选条件"))
        return super().to_internal_value(data)


@extend_schema_field(BulkRowInput(many=True, min_length=1, max_length=ROWS_MAX))  # type: ignore[call-arg]
class BulkRowsField(serializers.Field):
    """The orders of a bulk, each read as strictly as a command of its own."""

    default_error_messages = {
        "invalid": _("应为 1 至 5000 个对象的列表"),
        "row": _("第 {position} 行：{problem}"),
    }
    PROBLEMS_MAX = 20

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        if not isinstance(data, list) or not 1 <= len(data) <= ROWS_MAX:
            self.fail("invalid")
        rows, problems = [], []
        for position, row in enumerate(data, start=1):
            try:
                rows.append(BulkRowInput.read(row))
            except (InvalidInput, serializers.ValidationError) as error:
                problems.append(self._told(position, error))
                if len(problems) >= self.PROBLEMS_MAX:
                    break
        if problems:
            raise serializers.ValidationError(problems)
        return rows

    def _told(self, position: int, error: InvalidInput | serializers.ValidationError) -> str:
        found = error.errors if isinstance(error, InvalidInput) else error.detail
        texts = [
            f"{name}: {text}"
            for name, ones in (found.items() if isinstance(found, Mapping) else [("", found)])
            for text in ones
        ]
        message = self.error_messages["row"]
        return str(message).format(position=position, problem="；".join(texts))


class RefundBulkInput(InputSerializer):
    refunds = BulkRowsField(required=False, help_text=_("订单清单；与 filter 二选一"))
    filter = BulkFilterInput(required=False, help_text=_("筛选条件，至少一个；与 refunds 二选一"))
    refund_reason = StrictCharField(
        required=False,
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        help_text=_("没有自己原因的订单都用它；按条件退款时必填"),
    )
    dry_run = StrictBooleanField(
        required=False, help_text=_("true 表示预演：只说每个订单会怎样，什么都不写")
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("refunds" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError({"refunds": _("refunds 和 filter 应给出其中一个")})
        rows = attrs.get("refunds", [])
        needs_reason = "filter" in attrs or any("refund_reason" not in row for row in rows)
        if needs_reason and "refund_reason" not in attrs:
            raise serializers.ValidationError({"refund_reason": _("请写明退款原因")})
        return attrs


def wanted_rows(rows: list[dict[str, Any]]) -> list[Wanted]:
    return [
        Wanted(str(row["order_id"]), row.get("refund_amount"), row.get("refund_reason", ""))
        for row in rows
    ]


class BulkEndInput(InputSerializer):
    reason = StrictCharField(
        min_length=1, max_length=REASON_LENGTH_MAX, help_text=_("为什么提前结束")
    )


class BulkPageInput(PageInput):
    result = serializers.ChoiceField(
        choices=BulkOutcome.choices, required=False, help_text=_("只要哪种结果的行")
    )


class BulkRowSchema(serializers.Serializer):
    about = _("批量退款的一行")

    position = serializers.IntegerField(min_value=1, help_text=_("第几行，从 1 起"))
    order_id = serializers.UUIDField(
        allow_null=True, help_text=_("订单；文件里写的是号码的，没有这个订单时为 null")
    )
    order_no = serializers.CharField(allow_null=True, help_text=_("订单号；没有这个订单时为 null"))
    refund_amount = AnsweredAmountField(allow_null=True, help_text=_("退多少（元）"))
    refund_reason = serializers.CharField(max_length=REASON_LENGTH_MAX, help_text=_("退款原因"))
    result = serializers.ChoiceField(choices=BulkOutcome.choices)
    code = serializers.CharField(allow_null=True, help_text=_("为什么不退：给程序判断"))
    message = serializers.CharField(allow_null=True, help_text=_("为什么不退：给人看"))
    refund_id = serializers.UUIDField(allow_null=True, help_text=_("申请了的退款"))
    refund_status = serializers.ChoiceField(choices=RefundStatus.choices, allow_null=True)


class BulkRefusalSchema(serializers.Serializer):
    code = serializers.CharField(help_text=_("为什么不退：给程序判断"))
    message = serializers.CharField(help_text=_("为什么不退：给人看"))
    count = serializers.IntegerField(min_value=1, help_text=_("有多少行"))


class BulkCountsSchema(serializers.Serializer):
    about = _("每种结果的行数")

    waiting = serializers.IntegerField(min_value=0, help_text=_("等待执行；预演时表示会退"))
    approved = serializers.IntegerField(min_value=0, help_text=_("已申请并批准"))
    asked = serializers.IntegerField(min_value=0, help_text=_("已申请，还需另一位审核人"))
    refused = serializers.IntegerField(min_value=0, help_text=_("没有申请"))
    left_out = serializers.IntegerField(min_value=0, help_text=_("提前结束，没有执行"))


class RefundBulkSchema(serializers.Serializer):
    about = _("批量退款；预演的没有编号和状态")

    dry_run = serializers.BooleanField(help_text=_("true：什么都没有写，所有的行都在这里"))
    id = serializers.UUIDField(allow_null=True, help_text=_("编号"))
    status = serializers.ChoiceField(choices=BulkStatus.choices, allow_null=True)
    refund_reason = serializers.CharField(max_length=REASON_LENGTH_MAX, help_text=_("退款原因"))
    approvals_needed = serializers.IntegerField(
        min_value=0, help_text=_("还差几个人同意：另一位 admin，或后台的员工")
    )
    requested_by = serializers.UUIDField(help_text=_("谁申请的"))
    reviewed_by = serializers.UUIDField(allow_null=True, help_text=_("谁审核的"))
    reviewed_at = serializers.DateTimeField(allow_null=True, help_text=_("审核时刻"))
    review_notes = serializers.CharField(allow_null=True, max_length=500, help_text=_("审核备注"))
    refundable = serializers.IntegerField(min_value=0, help_text=_("会退多少个订单"))
    refund_amount = AnsweredAmountField(help_text=_("它们的金额合计（元）"))
    counts = BulkCountsSchema()
    refused = BulkRefusalSchema(many=True, help_text=_("不退的各是什么原因"))
    created_at = serializers.DateTimeField(allow_null=True, help_text=_("申请时刻"))
    finished_at = serializers.DateTimeField(allow_null=True, help_text=_("完成时刻"))
    rows = BulkRowSchema(many=True, help_text=_("这一页的行"))
    total = serializers.IntegerField(min_value=0, help_text=_("这种结果的行一共多少"))
    page = serializers.IntegerField(min_value=1, help_text=_("第几页"))
    page_size = serializers.IntegerField(min_value=1, help_text=_("每页多少行"))


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
