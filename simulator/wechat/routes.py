"""Every address of WeChat Pay that the stand-in serves."""

from __future__ import annotations

from simulator.web import Response
from simulator.wechat import bills as wechat_bills
from simulator.wechat import echo as wechat_security
from simulator.wechat import orders as wechat_orders
from simulator.wechat import refunds as wechat_refunds
from simulator.wechat import schema as wechat_schema
from simulator.wechat.api import Call, Route

PAY = "/v3/pay/transactions"
REFUNDS = "/v3/refund/domestic/refunds"
NUMBER = r"(?P<out_trade_no>[^/]+)"


def prepay_route(scene: str) -> Route:
    def handler(call: Call) -> Response:
        return wechat_orders.prepay(call, scene)

    pattern = f"{PAY}/{scene}"
    return Route("POST", pattern, f"wechat.prepay.{scene}", handler, wechat_schema.PREPAY[scene])


ROUTES = (
    *(prepay_route(scene) for scene in wechat_schema.PREPAY),
    Route("GET", f"{PAY}/out-trade-no/{NUMBER}", "wechat.query", wechat_orders.query_by_number),
    Route(
        "GET", f"{PAY}/id/(?P<transaction_id>[^/]+)", "wechat.query",
        wechat_orders.query_by_transaction,
    ),
    Route(
        "POST", f"{PAY}/out-trade-no/{NUMBER}/close", "wechat.close",
        wechat_orders.close, wechat_schema.CLOSE,
    ),
    Route("POST", REFUNDS, "wechat.refund", wechat_refunds.refund, wechat_schema.REFUND),
    Route(
        "GET", f"{REFUNDS}/(?P<out_refund_no>[^/]+)", "wechat.query_refund",
        wechat_refunds.query,
    ),
    Route(
        "POST", f"{REFUNDS}/(?P<refund_id>[^/]+)/apply-abnormal-refund", "wechat.abnormal_refund",
        wechat_refunds.apply_abnormal, wechat_schema.ABNORMAL_REFUND,
    ),
    Route("GET", "/v3/certificates", "wechat.certificates", wechat_refunds.certificates),
    Route(
        "POST", "/v3/security/echo", "wechat.echo", wechat_security.echo, wechat_schema.ECHO,
    ),
    Route("GET", "/v3/bill/tradebill", "wechat.trade_bill", wechat_bills.trade_bill),
    Route("GET", "/v3/bill/fundflowbill", "wechat.fundflow_bill", wechat_bills.fundflow_bill),
    Route(
        "GET", "/v3/billdownload/file", "wechat.download_bill",
        wechat_bills.download, is_signed=False,
    ),
)  # fmt: skip
