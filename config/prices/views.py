"""Doors to prices."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.prices import api_schema, selectors, services
from config.prices.errors import PriceChangeNeedsSecondPerson, PriceNotFound
from config.prices.plan import PriceChange
from config.prices.serializers import (
    PriceDayInput,
    PriceFilterInput,
    PriceInput,
    ServicePriceSchema,
)
from tcmpay.common.api.envelope import success
from tcmpay.common.api.schema import enveloped, request_example, success_example
from tcmpay.common.api.views import ADMINS, ContractViewSet, actor_of

SERVICE_IN_PATH = OpenApiParameter(
    "service_type",
    {"type": "string", "minLength": 1, "maxLength": 64, "example": "consultation"},
    OpenApiParameter.PATH,
    description=_("服务类型"),
)


class PriceViewSet(ContractViewSet):
    """Prices are public: a token is neither needed nor looked at."""

    authentication_classes = ()
    permission_classes = ()
    api_tag = "prices"
    answer_headers = {"list": ("X-Total-Count",)}
    refusals = {"retrieve": (PriceNotFound,)}

    @extend_schema(
        operation_id="listPrices",
        summary=_("价格列表"),
        description=_(
            "公开，不需要令牌。每项服务一行：今天的价格，或 on 那一天的；总数在响应头里。"
        ),
        parameters=[PriceFilterInput],
        responses={200: enveloped("PriceList", ServicePriceSchema(many=True))},
        examples=[success_example(_("获取价格配置列表成功"), [api_schema.PRICE_EXAMPLE])],
    )
    def list(self, request: Request) -> Response:
        query = PriceFilterInput.parse_query(request)
        rows = selectors.prices_list(is_active=query.get("is_active"), on=query.get("on"))
        first = (query["page"] - 1) * query["page_size"]
        answer = success(_("获取价格配置列表成功"), rows[first : first + query["page_size"]])
        answer.headers["X-Total-Count"] = str(len(rows))
        return answer

    @extend_schema(
        operation_id="getPrice",
        summary=_("今日（或某日）生效的价格"),
        description=_("公开，不需要令牌。收取的是 discount_price（有值时），否则是 price。"),
        parameters=[SERVICE_IN_PATH, PriceDayInput],
        responses={200: enveloped("Price", ServicePriceSchema())},
        examples=[success_example(_("获取价格配置成功"), api_schema.PRICE_EXAMPLE)],
    )
    def retrieve(self, request: Request, service_type: str) -> Response:
        on = PriceDayInput.parse_query(request).get("on")
        return success(_("获取价格配置成功"), selectors.price_on(service_type, on))


class PriceAdminViewSet(ContractViewSet):
    roles = {"update": ADMINS}
    api_tag = "prices"
    refusals = {"update": (PriceChangeNeedsSecondPerson,)}

    @extend_schema(
        operation_id="updatePrice",
        summary=_("更新价格"),
        description=_(
            "不填 effective_date 时修改当前价格；填写更晚的 effective_date 时开始新的价格，"
            "原价格在前一日结束。"
        ),
        parameters=[SERVICE_IN_PATH],
        request=PriceInput,
        responses={200: enveloped("Price", ServicePriceSchema())},
        examples=[
            request_example("now", {"price": "25.00"}, summary=_("修改当前价格")),
            request_example(
                "from_a_day",
                {"price": "28.00", "effective_date": "2027-01-01"},
                summary=_("从某日起改价"),
            ),
            success_example(_("价格配置更新成功"), api_schema.PRICE_EXAMPLE),
        ],
    )
    def update(self, request: Request, service_type: str) -> Response:
        change = PriceChange(service_type=service_type, **PriceInput.parse(request))
        guard = (
            settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT if settings.IS_PRICE_API_GUARDED else 0
        )
        price = services.price_change(actor=actor_of(request), change=change, limit_percent=guard)
        return success(_("价格配置更新成功"), selectors.price_row(price))
