"""Refunds over the API, and the statistics that need orders and refunds together."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from balances.errors import BalanceLimit, BalanceUnderReview, InsufficientBalance
from payments.errors import OrderNotFound
from payments.selectors import order_statistics
from payments.serializers import StatisticsInput
from payments.views import IDEMPOTENCY_KEY
from refunds import api_schema, selectors
from refunds.answers import refunds_list, refunds_told
from refunds.errors import (
    ApprovedByYouAlready,
    OrderNotRefundable,
    RefundAlreadyReviewed,
    RefundExceedsPaid,
    RefundNotFound,
    RefundNotWithdrawable,
    SelfReview,
    TooManyRefunds,
    TooManyWaiting,
)
from refunds.models import Refund
from refunds.serializers import (
    RefundCreateInput,
    RefundListInput,
    RefundPageSchema,
    RefundReviewInput,
    RefundSchema,
    StatisticsSchema,
)
from refunds.services import requests
from tcmpay.common.api.envelope import created, success
from tcmpay.common.api.presenters import present_row
from tcmpay.common.api.schema import enveloped, request_example, success_example
from tcmpay.common.api.views import (
    ADMINS,
    EVERYONE,
    ContractViewSet,
    actor_of,
    ensure_may_see,
    own_page,
    own_query,
    path_id,
)
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.limits.idempotency import idempotent


def refund_now(refund_id: UUID) -> dict[str, Any]:
    """The refund as it is answered. Raises RefundNotFound."""
    refund = refunds_told.one(refund_id)
    if refund is None:
        raise RefundNotFound()
    return refund


def refund_created(refund: Refund) -> Response:
    return created(_("退款申请创建成功"), refund_now(refund.id))


def recover_refund(key_id: UUID) -> Response | None:
    refund = Refund.objects.filter(idempotency_key_id=key_id).first()
    return refund_created(refund) if refund else None


class RefundViewSet(ContractViewSet):
    """Refunds of the caller's orders; admins and the platform's back end see everybody's."""

    api_tag = "refunds"
    roles = {
        "create": EVERYONE,
        "list": EVERYONE,
        "retrieve": EVERYONE,
        "withdraw": EVERYONE,
        "review": ADMINS,
    }
    refusals = {
        "create": (
            OrderNotFound,
            OrderNotRefundable,
            RefundExceedsPaid,
            TooManyRefunds,
            TooManyWaiting,
            InsufficientBalance,
            BalanceUnderReview,
        ),
        "retrieve": (RefundNotFound,),
        "withdraw": (RefundNotFound, RefundNotWithdrawable),
        "review": (
            RefundNotFound,
            RefundAlreadyReviewed,
            ApprovedByYouAlready,
            SelfReview,
            BalanceLimit,
            BalanceUnderReview,
        ),
    }

    @extend_schema(
        operation_id="requestRefund",
        summary=_("申请退款"),
        description=_(
            "可以多次部分退款，待审核的也占额度。批准后钱原路退给订单本人，不论谁申请的。"
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=RefundCreateInput,
        responses={201: enveloped("Refund", RefundSchema())},
        examples=[
            request_example("refund", api_schema.REFUND_REQUEST, summary=_("部分退款")),
            success_example(_("退款申请创建成功"), api_schema.REFUND_EXAMPLE, status=201),
        ],
    )
    @idempotent(recover_refund)
    def create(self, request: Request) -> Response:
        command = RefundCreateInput.parse(request)
        refund = requests.refund_request(
            actor=actor_of(request),
            order_id=command["order_id"],
            amount=command["refund_amount"],
            reason=command["refund_reason"],
            idempotency_key_id=request.idempotency_key_id,  # type: ignore[attr-defined]
        )
        return refund_created(refund)

    @extend_schema(
        operation_id="listRefunds",
        summary=_("获取退款列表"),
        description=_(
            "新的在前。患者和医生只得到自己的。用 page 一页一页地翻，或用 cursor 一直往下读。"
        ),
        parameters=[RefundListInput],
        responses={200: enveloped("RefundPage", RefundPageSchema())},
        examples=[success_example(_("获取退款列表成功"), api_schema.REFUND_PAGE_EXAMPLE)],
    )
    def list(self, request: Request) -> Response:
        page = own_page(request, RefundListInput, refunds_list)
        return success(_("获取退款列表成功"), {"refunds": page.rows, **page.numbers})

    @extend_schema(
        operation_id="getRefund",
        summary=_("获取退款记录"),
        description=_(
            "状态：pending → processing → success 或 failed；驳回和撤回的是 cancelled。"
            "failed 的由员工重试。"
        ),
        parameters=[api_schema.REFUND_IN_PATH],
        responses={200: enveloped("Refund", RefundSchema())},
        examples=[success_example(_("获取退款记录成功"), api_schema.REFUND_EXAMPLE)],
    )
    def retrieve(self, request: Request, refund_id: str) -> Response:
        refund = refund_now(path_id(refund_id, missing=RefundNotFound))
        ensure_may_see(actor_of(request), as_uuid_or_text(refund["user_id"]))
        return success(_("获取退款记录成功"), refund)

    @extend_schema(
        operation_id="withdrawRefund",
        summary=_("撤回退款申请"),
        description=_("只有申请人可以，只能撤回待审核的；状态变成 cancelled。"),
        parameters=[api_schema.REFUND_IN_PATH],
        request=None,
        responses={200: enveloped("Refund", RefundSchema())},
        examples=[success_example(_("退款申请已撤回"), api_schema.WITHDRAWN_EXAMPLE)],
    )
    def withdraw(self, request: Request, refund_id: str) -> Response:
        refund = requests.refund_withdraw(
            actor=actor_of(request), refund_id=path_id(refund_id, missing=RefundNotFound)
        )
        return success(_("退款申请已撤回"), refund_now(refund.id))

    @extend_schema(
        operation_id="reviewRefund",
        summary=_("审核退款"),
        description=_(
            "批准总是按申请的金额。不能审核自己申请的或退给自己的。"
            "超过双人审批线的，第一次批准后 approvals_needed 变成 1，由另一个人再批准。"
        ),
        parameters=[api_schema.REFUND_IN_PATH],
        request=RefundReviewInput,
        responses={200: enveloped("RefundReviewed", None)},
        examples=[
            request_example(
                "approve", {"approved": True, "review_notes": "同意退款"}, summary=_("批准")
            ),
            request_example(
                "reject", {"approved": False, "review_notes": "服务已完成"}, summary=_("驳回")
            ),
            success_example(_("退款审核完成"), None),
        ],
    )
    def review(self, request: Request, refund_id: str) -> Response:
        refund_key = path_id(refund_id, missing=RefundNotFound)
        decision = RefundReviewInput.parse(request)
        requests.refund_review(
            actor=actor_of(request),
            refund_id=refund_key,
            is_approved=decision["approved"],
            notes=decision.get("review_notes") or "",
        )
        return success(_("退款审核完成"))


class StatisticsViewSet(ContractViewSet):
    """Counts and sums of a period."""

    api_tag = "statistics"
    roles = {"list": EVERYONE}

    @extend_schema(
        operation_id="getStatistics",
        summary=_("获取支付统计"),
        description=_(
            "创建的按创建时间，支付的按付款时间，退款的按完成时间，都在所给的时段内。"
            "因逾期到账或重复支付而退回的款项都不计入。"
        ),
        parameters=[StatisticsInput],
        responses={200: enveloped("Statistics", StatisticsSchema())},
        examples=[success_example(_("获取支付统计成功"), api_schema.STATISTICS_EXAMPLE)],
    )
    def list(self, request: Request) -> Response:
        query = own_query(request, StatisticsInput)
        figures = asdict(order_statistics(**query)) | asdict(selectors.refund_statistics(**query))
        return success(_("获取支付统计成功"), present_row(None, StatisticsSchema, **figures))
