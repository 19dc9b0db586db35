"""Orders and payments over the API."""

import io
from typing import Any
from uuid import UUID

import segno
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from balances import api_schema as balances_schema
from balances.errors import BalanceLimit, BalanceUnderReview, InsufficientBalance
from gateways.interface import PaymentStart
from payments import api_schema, selectors
from payments.answers import (
    has_mark_of_its_own,
    mark_of,
    marks_told,
    order_with_mark,
    orders_list,
    orders_told,
)
from payments.cashier.doors import cashier_url
from payments.cashier.links import CashierLink
from payments.cashier.state import order_of
from payments.errors import (
    AppointmentByPlatformOnly,
    AppointmentHasOrder,
    GatewayDown,
    GatewayNotConfigured,
    GatewayRefused,
    NoCodeToShow,
    OrderExpired,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotPayable,
    PriceMismatch,
    PriceNotFound,
    PriceRequired,
    TooManyAttempts,
    TopUpDayLimit,
    TopUpsOff,
    UnsupportedMethod,
)
from payments.models import PaymentOrder, PaymentTransaction
from payments.serializers import (
    CashierInput,
    CashierSchema,
    OrderCreateInput,
    OrderListInput,
    OrderPageSchema,
    OrderSchema,
    PayInput,
    PayResultSchema,
    TopUpInput,
)
from payments.services import appointments, attempts, endings, orders, sweeping, topups
from tcmpay.common.actor import Role
from tcmpay.common.api.envelope import created, success
from tcmpay.common.api.etags import etag_of, is_conditional, is_known, not_modified
from tcmpay.common.api.presenters import present, present_row
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.views import (
    EVERYONE,
    ContractViewSet,
    actor_of,
    ensure_may_see,
    own_page,
    path_id,
)
from tcmpay.common.client_address import client_address
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.limits.idempotency import idempotent

PAYERS = EVERYONE - {Role.SERVICE}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description=_(
        "幂等键：每个意图一个新的，重试时用同一个。同一个键、同样的内容，返回第一次的结果，"
        "带 Idempotency-Replayed；内容不同返回 422；第一次还在执行返回 409"
    ),
)


def order_now(order_id: UUID) -> dict[str, Any]:
    """The order as it is answered. Raises OrderNotFound."""
    order = orders_told.one(order_id)
    if order is None:
        raise OrderNotFound()
    return order


def order_created(order: PaymentOrder) -> Response:
    return created(_("订单创建成功"), order_now(order.id))


def recover_order(key_id: UUID) -> Response | None:
    order = PaymentOrder.objects.filter(idempotency_key_id=key_id).first()
    return order_created(order) if order else None


class OrderViewSet(ContractViewSet):
    """Orders of the caller; admins and the platform's back end see everybody's."""

    api_tag = "orders"
    answer_headers = {"retrieve": ("ETag",)}
    roles = {
        "create": EVERYONE,
        "list": EVERYONE,
        "retrieve": EVERYONE,
        "qr": EVERYONE,
        "cancel": EVERYONE,
        "sync": EVERYONE,
        "cashier": EVERYONE,
    }
    refusals = {
        "create": (
            PriceRequired,
            PriceNotFound,
            PriceMismatch,
            AppointmentHasOrder,
            AppointmentByPlatformOnly,
            GatewayDown,
        ),
        "retrieve": (OrderNotFound,),
        "qr": (OrderNotFound, NoCodeToShow),
        "cancel": (OrderNotFound, OrderNotCancellable, GatewayDown),
        "sync": (OrderNotFound,),
        "cashier": (OrderNotFound, OrderNotPayable, OrderExpired),
    }

    @extend_schema(
        operation_id="createOrder",
        summary=_("新建订单"),
        description=_(
            "给了 service_type 就由系统定价，同时给的 amount 必须相符；没给则采用 amount，"
            "但生产环境默认要求患者和医生给 service_type。创建后在 expire_time 之前支付。"
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=OrderCreateInput,
        responses={201: enveloped("Order", OrderSchema())},
        examples=[
            *api_schema.ORDER_REQUESTS,
            success_example(_("订单创建成功"), api_schema.ORDER_EXAMPLE, status=201),
        ],
    )
    @idempotent(recover_order)
    def create(self, request: Request) -> Response:
        command = orders.OrderCommand(**OrderCreateInput.parse(request))
        order = appointments.order_place(
            actor=actor_of(request),
            command=command,
            idempotency_key_id=request.idempotency_key_id,  # type: ignore[attr-defined]
        )
        return order_created(order)

    @extend_schema(
        operation_id="listOrders",
        summary=_("获取订单列表"),
        description=_(
            "新的在前。患者和医生只得到自己的。用 page 一页一页地翻，或用 cursor 一直往下读。"
        ),
        parameters=[OrderListInput],
        responses={200: enveloped("OrderPage", OrderPageSchema())},
        examples=[success_example(_("获取订单列表成功"), api_schema.ORDER_PAGE_EXAMPLE)],
    )
    def list(self, request: Request) -> Response:
        page = own_page(request, OrderListInput, orders_list)
        return success(_("获取订单列表成功"), {"orders": page.rows, **page.numbers})

    @extend_schema(
        operation_id="getOrder",
        summary=_("获取订单"),
        description=_(
            "等待付款时可以隔几秒读一次，直到 status 不再是 pending；"
            "带上 If-None-Match，没有变化时只返回 304。"
        ),
        parameters=[api_schema.ORDER_IN_PATH, api_schema.IF_NONE_MATCH],
        responses={200: enveloped("Order", OrderSchema()), 304: api_schema.NOT_MODIFIED},
        examples=[success_example(_("获取订单成功"), api_schema.ORDER_EXAMPLE)],
    )
    def retrieve(self, request: Request, order_id: str) -> HttpResponseBase:
        key = path_id(order_id, missing=OrderNotFound)
        if is_conditional(request) and (row := marks_told.one(key)):
            ensure_may_see(actor_of(request), as_uuid_or_text(row["user_id"]))
            etag = etag_of(mark_of(row))
            if has_mark_of_its_own(row) and is_known(request, etag):
                return not_modified(etag)
        found = order_with_mark(key)
        if found is None:
            raise OrderNotFound()
        order, mark = found
        ensure_may_see(actor_of(request), as_uuid_or_text(order["user_id"]))
        etag = etag_of(mark)
        if is_conditional(request) and is_known(request, etag):
            return not_modified(etag)
        answer = success(_("获取订单成功"), order)
        answer.headers["ETag"] = etag
        return answer

    @extend_schema(
        operation_id="getOrderQrCode",
        summary=_("支付二维码（SVG）"),
        description=_("未完成的支付的二维码图片。先用 native 或 qr 场景发起支付。"),
        parameters=[api_schema.ORDER_IN_PATH],
        responses={(200, "image/svg+xml"): OpenApiTypes.STR},
        examples=[api_schema.QR_EXAMPLE],
    )
    def qr(self, request: Request, order_id: str) -> HttpResponse:
        order = self._visible(request, order_id)
        code = selectors.shown_code(UUID(order["id"]))
        if not code:
            raise NoCodeToShow()
        drawing = io.BytesIO()
        segno.make(code, error="m").save(drawing, kind="svg", scale=6, border=4)
        return HttpResponse(drawing.getvalue(), content_type="image/svg+xml")

    @extend_schema(
        operation_id="cancelOrder",
        summary=_("取消一笔订单"),
        description=_("只能取消待支付的。已在支付渠道发起的支付会先关闭；连不上渠道时什么都不变。"),
        parameters=[api_schema.ORDER_IN_PATH],
        request=None,
        responses={200: enveloped("OrderCancelled", None)},
        examples=[success_example(_("订单取消成功"), None)],
    )
    def cancel(self, request: Request, order_id: str) -> Response:
        endings.order_cancel(
            actor=actor_of(request), order_id=path_id(order_id, missing=OrderNotFound)
        )
        return success(_("订单取消成功"))

    @extend_schema(
        operation_id="syncOrder",
        summary=_("同步订单支付状态"),
        description=_("马上向支付渠道查询，不等回调：付款人回到返回页时用。每个订单每分钟 6 次。"),
        parameters=[api_schema.ORDER_IN_PATH],
        request=None,
        responses={200: enveloped("Order", OrderSchema())},
        examples=[success_example(_("订单状态已同步"), api_schema.ORDER_EXAMPLE)],
    )
    def sync(self, request: Request, order_id: str) -> Response:
        order = sweeping.order_sync(
            actor=actor_of(request), order_id=path_id(order_id, missing=OrderNotFound)
        )
        return success(_("订单状态已同步"), order_now(order.id))

    @extend_schema(
        operation_id="createCashierLink",
        summary=_("生成收银台地址"),
        description=_(
            "一个现成的付款页面，只为这一个订单。把付款人的浏览器带到 url；"
            "付款人在那里选支付方式，付完回到 return_url，带着 order_id 和 status。"
        ),
        parameters=[api_schema.ORDER_IN_PATH],
        request=CashierInput,
        responses={200: enveloped("Cashier", CashierSchema())},
        examples=[
            *api_schema.CASHIER_REQUESTS,
            success_example(_("收银台地址已生成"), api_schema.CASHIER_EXAMPLE),
        ],
    )
    def cashier(self, request: Request, order_id: str) -> Response:
        command = CashierInput.parse(request)
        order = order_of(path_id(order_id, missing=OrderNotFound))
        ensure_may_see(actor_of(request), order.user_id)
        orders.ensure_open(order)
        link = CashierLink(order_id=order.id, ends_at=order.expire_time, **command)
        url = cashier_url(request._request, link)
        answer = {"url": url, "expires_at": present(order.expire_time)}
        return success(_("收银台地址已生成"), answer)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # The picture has a type of its own; its refusals are JSON, whatever is accepted.
        return super().perform_content_negotiation(request, force or self.action == "qr")

    @staticmethod
    def _visible(request: Request, order_id: str) -> dict[str, Any]:
        order = order_now(path_id(order_id, missing=OrderNotFound))
        ensure_may_see(actor_of(request), as_uuid_or_text(order["user_id"]))
        return order


TOPPERS_UP = frozenset({Role.PATIENT, Role.DOCTOR})


def topup_created(order: PaymentOrder) -> Response:
    return created(_("充值订单创建成功"), order_now(order.id))


def recover_topup(key_id: UUID) -> Response | None:
    order = PaymentOrder.objects.filter(idempotency_key_id=key_id).first()
    return topup_created(order) if order else None


class TopUpViewSet(ContractViewSet):
    """Topping a balance up: an order like others, paid by WeChat Pay or Alipay only."""

    api_tag = "balances"
    roles = {"create": TOPPERS_UP}
    refusals = {
        "create": (TopUpsOff, TopUpDayLimit, BalanceLimit, BalanceUnderReview),
    }

    @extend_schema(
        operation_id="createTopUp",
        summary=_("充值到余额"),
        description=_(
            "只在打开了充值的部署可用，只能给自己充。得到的是一个订单，用微信支付或支付宝付；"
            "付款后钱进入余额。"
        ),
        parameters=[balances_schema.USER_IN_PATH, IDEMPOTENCY_KEY],
        request=TopUpInput,
        responses={201: enveloped("Order", OrderSchema())},
        examples=[
            *api_schema.TOPUP_REQUESTS,
            success_example(_("充值订单创建成功"), api_schema.TOPUP_EXAMPLE, status=201),
        ],
    )
    @idempotent(recover_topup)
    def create(self, request: Request, user_id: str) -> Response:
        order = topups.topup_create(
            actor=actor_of(request),
            user_id=path_id(user_id),
            amount=TopUpInput.parse(request)["amount"],
            idempotency_key_id=request.idempotency_key_id,  # type: ignore[attr-defined]
        )
        return topup_created(order)


def pay_answer(result: attempts.PayResult) -> Response:
    start = result.start
    answer = present_row(
        result.order,
        PayResultSchema,
        order_id=result.order.id,
        payment_method=str(result.payment_method),
        payment_url=start.payment_url or None,
        qr_code=start.qr_code or None,
        prepay_data=dict(start.prepay_data) if start.prepay_data else None,
    )
    return success(_("支付发起成功"), answer)


def recover_payment(key_id: UUID) -> Response | None:
    """A balance payment leaves its row; a gateway attempt is simply continued."""
    payment = (
        PaymentTransaction.objects.filter(idempotency_key_id=key_id).select_related("order").first()
    )
    if payment is None:
        return None
    return pay_answer(attempts.PayResult(payment.order, payment.payment_method, PaymentStart()))


class PayViewSet(ContractViewSet):
    """Paying an order: from the balance at once, or starting a payment at a gateway."""

    api_tag = "payments"
    roles = {"pay": PAYERS}
    refusals = {
        "pay": (
            OrderNotFound,
            OrderNotPayable,
            OrderExpired,
            TooManyAttempts,
            UnsupportedMethod,
            InsufficientBalance,
            BalanceUnderReview,
            GatewayRefused,
            GatewayDown,
            GatewayNotConfigured,
        )
    }

    @extend_schema(
        operation_id="payOrder",
        summary=_("支付一笔订单"),
        description=_(
            "只有订单本人可以付。余额支付当场完成；其他方式返回付款人接下来要的东西：\n\n"
            "| payment_method | scene | 返回 |\n|---|---|---|\n"
            "| balance | – | 不用再做什么，订单已支付 |\n"
            "| wechat | native（默认） | qr_code |\n"
            "| wechat | jsapi、mini_program（需要 openid）、app | prepay_data |\n"
            "| wechat | h5 | payment_url |\n"
            "| alipay | page（默认）、wap | payment_url |\n"
            "| alipay | app | prepay_data |\n"
            "| alipay | qr | qr_code |\n\n"
            "用相同的方式、场景和 openid 再次调用，会继续原来未完成的支付。"
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=PayInput,
        responses={200: enveloped("PayResult", PayResultSchema())},
        examples=api_schema.PAY_EXAMPLES,
    )
    @idempotent(recover_payment)
    def pay(self, request: Request) -> Response:
        command = attempts.PayCommand(
            **PayInput.parse(request), client_ip=client_address(request.META)
        )
        result = attempts.pay(
            actor=actor_of(request),
            command=command,
            idempotency_key_id=request.idempotency_key_id,  # type: ignore[attr-defined]
        )
        return pay_answer(result)
