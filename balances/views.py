"""Balances over the API."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from balances import api_schema, services
from balances.answers import entries_page
from balances.serializers import BalanceTransactionSchema, UserBalanceSchema
from tcmpay.common.api.envelope import success
from tcmpay.common.api.pages import page_headers
from tcmpay.common.api.presenters import present_row
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.serializers import PageInput
from tcmpay.common.api.views import EVERYONE, ContractViewSet, actor_of, ensure_may_see, path_id


class BalanceViewSet(ContractViewSet):
    """A user's account and its movements."""

    api_tag = "balances"
    answer_headers = {"transactions": ("X-Total-Count", "Link")}
    roles = {"retrieve": EVERYONE, "transactions": EVERYONE}

    @extend_schema(
        operation_id="getBalance",
        summary=_("获取余额"),
        description=_("第一次读取时创建，余额为零。"),
        parameters=[api_schema.USER_IN_PATH],
        responses={200: enveloped("Balance", UserBalanceSchema())},
        examples=[success_example(_("获取余额成功"), api_schema.BALANCE_EXAMPLE)],
    )
    def retrieve(self, request: Request, user_id: str) -> Response:
        account = services.account_ensure(self._visible(request, user_id))
        return success(_("获取余额成功"), present_row(account, UserBalanceSchema))

    @extend_schema(
        operation_id="listBalanceTransactions",
        summary=_("获取余额变动记录"),
        description=_("新的在前。data 就是列表；总数和各页的地址在响应头里。"),
        parameters=[api_schema.USER_IN_PATH, PageInput],
        responses={200: enveloped("BalanceTransactionList", BalanceTransactionSchema(many=True))},
        examples=[success_example(_("获取余额变动记录成功"), api_schema.ENTRIES_EXAMPLE)],
    )
    def transactions(self, request: Request, user_id: str) -> Response:
        owner = self._visible(request, user_id)
        page = entries_page(owner, **PageInput.parse_query(request))
        response = success(_("获取余额变动记录成功"), page.rows)
        for name, value in page_headers(request, page).items():
            response.headers[name] = value
        return response

    @staticmethod
    def _visible(request: Request, user_id: str) -> UUID:
        owner = path_id(user_id)
        ensure_may_see(actor_of(request), owner)
        return owner
