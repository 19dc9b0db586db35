"""Every address of WeChat Pay that the stand-in serves."""

from __future__ import annotations

from functools import partial

from simulator.wechat import bills, orders, refunds, schema, security
from simulator.wechat.api import Route

PAY = "/v3/pay/transactions"
REFUNDS = "/v3/refund/domestic/refunds"
NUMBER = f"{PAY}/out-trade-no/(?P<out_trade_no>[^/]+)"
TRANSACTION = f"{PAY}/id/(?P<transaction_id>[^/]+)"
REFUND = f"{REFUNDS}/(?P<out_refund_no>[^/]+)"
ABNORMAL = f"{REFUNDS}/(?P<refund_id>[^/]+)/apply-abnormal-refund"

ROUTES = (
    *(
        Route("POST", f"{PAY}/{scene}", f"wechat.prepay.{scene}",
              partial(orders.prepay, scene=scene), body)
        for scene, body in schema.PREPAY.items()
    ),
    Route("GET", NUMBER, "wechat.query", orders.query_by_number),
    Route("GET", TRANSACTION, "wechat.query", orders.query_by_transaction),
    Route("POST", f"{NUMBER}/close", "wechat.close", orders.close, schema.CLOSE),
    Route("POST", REFUNDS, "wechat.refund", refunds.refund, schema.REFUND),
    Route("GET", REFUND, "wechat.query_refund", refunds.query),
    Route("POST", ABNORMAL, "wechat.abnormal_refund", refunds.apply_abnormal,
          schema.ABNORMAL_REFUND),
    Route("GET", "/v3/certificates", "wechat.certificates", security.certificates),
    Route("POST", "/v3/security/echo", "wechat.echo", security.echo, schema.ECHO),
    Route("GET", "/v3/bill/tradebill", "wechat.trade_bill", bills.trade_bill),
    Route("GET", "/v3/bill/fundflowbill", "wechat.fundflow_bill", bills.fundflow_bill),
    Route("GET", "/v3/billdownload/file", "wechat.download_bill", bills.download, is_signed=False),
)  # fmt: skip
