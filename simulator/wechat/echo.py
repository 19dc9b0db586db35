"""WeChat Pay: the test of keys by echo (beyond.md)."""

from __future__ import annotations

from typing import Any

from simulator import keys, notices
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal
from simulator.wechat.refunds import opened


def echo(call: Call) -> Response:
    """Say again what was said; the secret part comes back sealed for the merchant's certificate."""
    answer: dict[str, Any] = {"echo_message": call.body["echo_message"]}
    if not call.request.headers.get("Wechatpay-Serial", ""):
        raise Refusal(400, "PARAM_ERROR", "Http头缺少Wechatpay-Serial")
    if call.body.get("encrypted_echo_message"):
        plain = opened(call, "encrypted_echo_message").encode()
        merchant = call.machine.keys.public("wechat_merchant")
        answer["encrypted_echo_message"] = keys.seal_field(merchant, plain)
    notices.echoed(call.machine, call.body.get("notify_url", ""), answer)
    return json_response(answer)
