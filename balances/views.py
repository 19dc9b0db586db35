"""Balances over the API."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from balances import api_schema, services
from balances.answers import entries_page
from balances.serializers import BalanceEntrySchema, BalanceSchema
from tcmpay.common.api.envelope import success
from tcmpay.common.api.pages import page_headers
from tcmpay.common.api.presenters import present_row
from tcmpay.common.api.schema import enveloped, success_example
from tcmpay.common.api.serializers import PageInput
from tcmpay.common.api.views import EVERYONE, ContractViewSet, actor_of, ensure_may_see, path_id


class BalanceViewSet(ContractViewSet):
    """A user's account and its movements."""

    api_tag = "balance"
    roles = {"retrieve": EVERYONE, "transactions": EVERYONE}

    @extend_schema(
        summary="获取余额",
        responses={200: enveloped("Balance", BalanceSchema())},
        examples=[success_example("获取余额成功", api_schema.BALANCE_EXAMPLE)],
    )
    def retrieve(self, request: Request, user_id: str) -> Response:
        account = services.account_ensure(self._visible(request, user_id))
        return success(_("获取余额成功"), present_row(account, BalanceSchema))

    @extend_schema(
        summary="获取余额变动记录",
        parameters=[PageInput],
        responses={200: enveloped("BalanceEntries", BalanceEntrySchema(many=True))},
        examples=[success_example("获取余额变动记录成功", api_schema.ENTRIES_EXAMPLE)],
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
