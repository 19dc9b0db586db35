"""WeChat Pay: applying for bills and downloading them (wechatpay-v3.md section 7)."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date, timedelta

from simulator import bills, clock
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal

URL_SECONDS = 300
OLDEST_DAYS = 92
BILL_TYPES = ("ALL", "SUCCESS", "REFUND")
ACCOUNT_TYPES = ("BASIC", "OPERATION", "FEES")


def trade_bill(call: Call) -> Response:
    query = checked_query(call, {"bill_type"})
    bill_type = one_of(query.get("bill_type", "ALL"), BILL_TYPES, "bill_type")
    content = bills.wechat_trade_bill(call.machine, bill_day(query), bill_type)
    return offer(call, content, query)


def fundflow_bill(call: Call) -> Response:
    """Only the basic account ever moves here."""
    query = checked_query(call, {"account_type"})
    account = one_of(query.get("account_type", "BASIC"), ACCOUNT_TYPES, "account_type")
    day = bill_day(query)
    content = bills.wechat_fundflow_bill(call.machine, day) if account == "BASIC" else None
    return offer(call, content, query)


def checked_query(call: Call, extra: set[str]) -> dict[str, str]:
    query = call.request.query
    unknown = set(query) - extra - {"bill_date", "tar_type"}
    if unknown:
        raise Refusal(400, "PARAM_ERROR", f"存在未定义的参数 {min(unknown)}"[:100])
    if query.get("tar_type", "GZIP") != "GZIP":
        raise Refusal(400, "PARAM_ERROR", "tar_type 只支持 GZIP")
    if call.machine.settings.statement_creating:
        raise Refusal(400, "STATEMENT_CREATING", "账单正在生成中，请稍后再试")
    return query


def one_of(value: str, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise Refusal(400, "PARAM_ERROR", f"{name} 不正确")
    return value


def bill_day(query: dict[str, str]) -> date:
    text = query.get("bill_date", "")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Refusal(400, "PARAM_ERROR", "bill_date 格式应为 yyyy-MM-dd") from error
    if len(text) != 10 or not clock.today() - timedelta(days=OLDEST_DAYS) <= day <= clock.today():
        raise Refusal(400, "PARAM_ERROR", "bill_date 只能是最近三个月内的日期")
    return day


def offer(call: Call, content: bytes | None, query: dict[str, str]) -> Response:
    """The hash is of the uncompressed file, whatever is downloaded."""
    if content is None:
        raise Refusal(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    sent = gzip.compress(content) if "tar_type" in query else content
    token = call.machine.bill_tokens.issue(sent, seconds=URL_SECONDS)
    return json_response(
        {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            "download_url": f"{call.machine.base_url}/v3/billdownload/file?token={token}",
        }
    )


def download(call: Call) -> Response:
    """The call is signed like any other, the answer is not."""
    content = call.machine.bill_tokens.value(call.request.query.get("token", ""))
    if content is None:
        raise Refusal(400, "INVALID_REQUEST", "下载地址已失效，请重新申请账单")
    return Response(200, content, "application/octet-stream")
