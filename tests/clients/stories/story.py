"""openapi-python-client: create, pay, poll, refund, list, errors.

Its models are read strictly: an answer that lacks a field or has another type raises.
"""

import json
import os
import sys
import time
import urllib.request
import uuid
from http import HTTPStatus
from typing import Any, TypeVar

from python_client import AuthenticatedClient, Client
from python_client.api.balances import list_balance_transactions
from python_client.api.orders import create_order, get_order, list_orders
from python_client.api.payments import pay_order
from python_client.api.prices import list_prices
from python_client.api.refunds import list_refunds, request_refund
from python_client.models import (
    BalanceTransactionListEnvelope,
    CreateOrderBadRequestError,
    CreateOrderBadRequestErrorCode,
    NotFoundError,
    NotFoundErrorCode,
    Order,
    OrderCreateRequest,
    OrderEnvelope,
    OrderPageEnvelope,
    OrderStatus,
    PaymentMethod,
    PaymentScene,
    PayOrderBadRequestError,
    PayOrderBadRequestErrorCode,
    PayRequest,
    PayResultEnvelope,
    PriceListEnvelope,
    RefundCreateRequest,
    RefundEnvelope,
    RefundPageEnvelope,
    RefundStatus,
    ServiceOrderType,
    TokenProblem,
    UnauthenticatedError,
    WechatJsapiPrepay,
)

BASE, TOKEN, USER, GATEWAYS = (
    os.environ[f"TCMPAY_{name}"] for name in ("BASE", "TOKEN", "USER", "GATEWAYS")
)
OWNER = uuid.UUID(USER)
Kind = TypeVar("Kind")
client = AuthenticatedClient(base_url=BASE, token=TOKEN, headers={"Accept-Language": "en"})


def read(kind: type[Kind], found: Any) -> Kind:
    assert isinstance(found, kind), found
    return found


def ordered(amount: str) -> Order:
    body = OrderCreateRequest(
        user_id=OWNER, order_type=ServiceOrderType.CONSULTATION, amount=amount
    )
    answer = create_order.sync(client=client, body=body, idempotency_key=str(uuid.uuid4()))
    return read(OrderEnvelope, answer).data


def pay_at_the_gateway(order_no: str) -> None:
    body = json.dumps({"channel": "wechat", "out_trade_no": order_no}).encode()
    with urllib.request.urlopen(f"{GATEWAYS}/_control/pay", data=body, timeout=10) as answer:
        assert answer.status == HTTPStatus.OK


def paid(order_id: uuid.UUID) -> Order:
    for _try in range(120):
        order = read(OrderEnvelope, get_order.sync(order_id, client=client)).data
        if order.status is not OrderStatus.PENDING:
            return order
        time.sleep(0.5)
    raise AssertionError("waited for a minute")


order = ordered("30.00")
assert (order.status, order.amount, order.payment_method) == (OrderStatus.PENDING, "30.00", None)
request = PayRequest(order_id=order.id, payment_method=PaymentMethod.WECHAT)
started = read(PayResultEnvelope, pay_order.sync(client=client, body=request)).data
assert (started.qr_code or "").startswith("weixin://")
pay_at_the_gateway(order.order_no)
assert paid(order.id).status is OrderStatus.PAID

wanted = RefundCreateRequest(order_id=order.id, refund_amount="5.00", refund_reason="trial")
refund = read(RefundEnvelope, request_refund.sync(client=client, body=wanted)).data
assert refund.status is RefundStatus.PENDING
refunds = read(RefundPageEnvelope, list_refunds.sync(client=client, order_id=order.id)).data
assert [one.id for one in refunds.refunds] == [refund.id]
found = read(OrderPageEnvelope, list_orders.sync(client=client, status="paid", cursor="")).data
assert order.id in {one.id for one in found.orders}
entries = list_balance_transactions.sync(OWNER, client=client)
assert read(BalanceTransactionListEnvelope, entries).data

in_app = ordered("1.00")
handed = PayRequest(
    order_id=in_app.id,
    payment_method=PaymentMethod.WECHAT,
    scene=PaymentScene.JSAPI,
    openid="oUpF8uMuAJO",
)
prepay = read(PayResultEnvelope, pay_order.sync(client=client, body=handed)).data.prepay_data
assert read(WechatJsapiPrepay, prepay).pay_sign

again = PayRequest(order_id=order.id, payment_method=PaymentMethod.BALANCE)
refused = read(PayOrderBadRequestError, pay_order.sync(client=client, body=again))
assert refused.code is PayOrderBadRequestErrorCode.ORDER_NOT_PAYABLE
wrong = OrderCreateRequest(user_id=OWNER, order_type=ServiceOrderType.CONSULTATION, amount="0.001")
invalid = read(CreateOrderBadRequestError, create_order.sync(client=client, body=wrong))
assert invalid.code is CreateOrderBadRequestErrorCode.VALIDATION_ERROR
assert invalid.errors
assert "amount" in invalid.errors.additional_properties
missing = read(NotFoundError, get_order.sync(uuid.UUID(int=0), client=client))
assert missing.code is NotFoundErrorCode.NOT_FOUND
# The description says that a token is needed, and so do the types.
stranger = AuthenticatedClient(base_url=BASE, token="none")
nobody = read(UnauthenticatedError, list_orders.sync(client=stranger))
assert nobody.reason is TokenProblem.MALFORMED
prices = read(PriceListEnvelope, list_prices.sync(client=Client(base_url=BASE))).data
assert prices[0].price
sys.stdout.write("openapi-python-client: created, paid, polled, refunded, listed, refused\n")
