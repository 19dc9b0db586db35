"""Refunds over the API, and the statistics that need orders and refunds together."""

import json
from collections.abc import Callable
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
from refunds.bulk_answers import bulk_told, orders_filtered, plan_told
from refunds.bulk_plan import plan_of
from refunds.errors import (
    ApprovedByYouAlready,
    BulkAlreadyDecided,
    BulkNotFound,
    BulkNotRunning,
    BulkOfNothing,
    BulkPausedByAnother,
    BulkSizeWrong,
    OrderNotRefundable,
    RefundAlreadyReviewed,
    RefundExceedsPaid,
    RefundNotFound,
    RefundNotWithdrawable,
    SelfReview,
    TooManyRefunds,
    TooManyWaiting,
)
from refunds.models import Refund, RefundBulk
from refunds.serializers import (
    BulkEndInput,
    BulkPageInput,
    RefundBulkInput,
    RefundBulkSchema,
    RefundCreateInput,
    RefundListInput,
    RefundPageSchema,
    RefundReviewInput,
    RefundSchema,
    StatisticsSchema,
    wanted_rows,
)
from refunds.services import bulks, requests
from refunds.states import BulkSource
from tcmpay.common.api.envelope import accepted, created, success
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
            RefundExceedsPaid,
            BalanceLimit,
            BalanceUnderReview,
        ),
    }

    @extend_schema(
        operation_id="requestRefund",
        summary=_("申请一笔退款"),
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


def _filter_text(body: Any) -> str:
    """The filter as it was sent; "" of a list."""
    return json.dumps(body["filter"], ensure_ascii=False) if "filter" in body else ""


def bulk_accepted(bulk_id: UUID) -> Response:
    return accepted(_("批量退款已受理"), bulk_told(bulk_id))


def recover_bulk(key_id: UUID) -> Response | None:
    bulk = RefundBulk.objects.filter(idempotency_key_id=key_id).first()
    return bulk_accepted(bulk.id) if bulk else None


class RefundBulkViewSet(ContractViewSet):
    """Refunds of many orders: one admin asks, another one, or staff, agrees."""

    api_tag = "refunds"
    roles = {
        "create": ADMINS,
        "retrieve": ADMINS,
        "review": ADMINS,
        "withdraw": ADMINS,
        "pause": ADMINS,
        "resume": ADMINS,
        "end": ADMINS,
    }
    refusals = {
        "create": (BulkSizeWrong, BulkOfNothing),
        "retrieve": (BulkNotFound,),
        "review": (BulkNotFound, BulkAlreadyDecided, SelfReview),
        "withdraw": (BulkNotFound, BulkAlreadyDecided),
        "pause": (BulkNotFound, BulkNotRunning),
        "resume": (BulkNotFound, BulkNotRunning, BulkPausedByAnother),
        "end": (BulkNotFound, BulkNotRunning),
    }

    @extend_schema(
        operation_id="requestBulkRefund",
        summary=_("申请批量退款"),
        description=_(
            "一份订单清单，或一个筛选条件。dry_run 为 true 时只说每个订单会怎样，什么都不写。"
            "受理后的状态是 pending：由另一位 admin（审核批量退款）或后台的另一位员工同意后，"
            "在后台逐笔申请并批准。"
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=RefundBulkInput,
        responses={202: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[
            request_example("dry_run", api_schema.BULK_REQUEST, summary=_("预演")),
            success_example(_("批量退款已受理"), api_schema.BULK_EXAMPLE, status=202),
        ],
    )
    @idempotent(recover_bulk)
    def create(self, request: Request) -> Response:
        command = RefundBulkInput.parse(request)
        filters, reason = command.get("filter"), command.get("refund_reason", "")
        wanted = wanted_rows(command.get("refunds", [])) if filters is None else []
        wanted = wanted or orders_filtered(filters or {})
        if command.get("dry_run"):
            told = plan_told(plan_of(wanted), reason, actor_of(request).id)
            return accepted(_("批量退款预演完成"), told)
        bulk = bulks.bulk_request(
            actor=actor_of(request),
            wanted=wanted,
            reason=reason or wanted[0].reason,
            source=BulkSource.ORDERS if filters is None else BulkSource.FILTER,
            source_text=_filter_text(request.data),
            idempotency_key_id=request.idempotency_key_id,  # type: ignore[attr-defined]
        )
        return bulk_accepted(bulk.id)

    @extend_schema(
        operation_id="getBulkRefund",
        summary=_("获取批量退款"),
        description=_("进行到哪里，和一页逐行的结果。"),
        parameters=[api_schema.BULK_IN_PATH, BulkPageInput],
        responses={200: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[success_example(_("获取批量退款成功"), api_schema.BULK_EXAMPLE)],
    )
    def retrieve(self, request: Request, bulk_id: str) -> Response:
        query = BulkPageInput.parse_query(request)
        key = path_id(bulk_id, missing=BulkNotFound)
        return success(_("获取批量退款成功"), bulk_told(key, **query))

    @extend_schema(
        operation_id="reviewBulkRefund",
        summary=_("审核批量退款"),
        description=_("同意整个批量退款，或驳回。自己申请的由另一位 admin 审核。"),
        parameters=[api_schema.BULK_IN_PATH],
        request=RefundReviewInput,
        responses={200: enveloped("RefundReviewed", None)},
        examples=[
            request_example(
                "approve", {"approved": True, "review_notes": "已核对排班"}, summary=_("批准")
            ),
            request_example(
                "reject", {"approved": False, "review_notes": "排错了日期"}, summary=_("驳回")
            ),
            success_example(_("退款审核完成"), None),
        ],
    )
    def review(self, request: Request, bulk_id: str) -> Response:
        key = path_id(bulk_id, missing=BulkNotFound)
        decision = RefundReviewInput.parse(request)
        bulks.bulk_decide(
            actor=actor_of(request),
            bulk_id=key,
            is_approved=decision["approved"],
            notes=decision.get("review_notes") or "",
        )
        return success(_("退款审核完成"))

    @extend_schema(
        operation_id="withdrawBulkRefund",
        summary=_("撤回批量退款"),
        description=_("只有申请人可以，只能撤回待复核的；状态变成 withdrawn，什么都没有退。"),
        parameters=[api_schema.BULK_IN_PATH],
        request=None,
        responses={200: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[success_example(_("批量退款已撤回"), api_schema.bulk_example("withdrawn"))],
    )
    def withdraw(self, request: Request, bulk_id: str) -> Response:
        return _stepped(_("批量退款已撤回"), bulks.bulk_withdraw, request, bulk_id, notes="")

    @extend_schema(
        operation_id="pauseBulkRefund",
        summary=_("暂停批量退款"),
        description=_("正在处理的一笔做完后停下，其余的等待继续或结束；状态变成 paused。"),
        parameters=[api_schema.BULK_IN_PATH],
        request=None,
        responses={200: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[success_example(_("批量退款已暂停"), api_schema.bulk_example("paused"))],
    )
    def pause(self, request: Request, bulk_id: str) -> Response:
        return _stepped(_("批量退款已暂停"), bulks.bulk_pause, request, bulk_id)

    @extend_schema(
        operation_id="resumeBulkRefund",
        summary=_("继续批量退款"),
        description=_(
            "已暂停的从停下的地方继续执行，状态变回 running。别人暂停的，申请人不能继续。"
        ),
        parameters=[api_schema.BULK_IN_PATH],
        request=None,
        responses={200: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[success_example(_("批量退款已继续"), api_schema.bulk_example("running"))],
    )
    def resume(self, request: Request, bulk_id: str) -> Response:
        return _stepped(_("批量退款已继续"), bulks.bulk_resume, request, bulk_id)

    @extend_schema(
        operation_id="endBulkRefund",
        summary=_("提前结束批量退款"),
        description=_("已暂停的到此为止：没有执行的订单不退，结果是 left_out；状态变成 finished。"),
        parameters=[api_schema.BULK_IN_PATH],
        request=BulkEndInput,
        responses={200: enveloped("RefundBulk", RefundBulkSchema())},
        examples=[
            request_example("end", {"reason": "其余的改期"}, summary=_("提前结束")),
            success_example(_("批量退款已结束"), api_schema.bulk_example("finished")),
        ],
    )
    def end(self, request: Request, bulk_id: str) -> Response:
        reason = BulkEndInput.parse(request)["reason"]
        return _stepped(_("批量退款已结束"), bulks.bulk_end, request, bulk_id, notes=reason)


def _stepped(
    message: Any, step: Callable[..., RefundBulk], request: Request, bulk_id: str, **more: str
) -> Response:
    key = path_id(bulk_id, missing=BulkNotFound)
    return success(message, bulk_told(step(actor=actor_of(request), bulk_id=key, **more).id))


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
