"""WeChat Pay: sensitive fields and platform certificates (wechatpay-v3.md section 9), and the test
of keys by echo (beyond.md)."""

from __future__ import annotations

from typing import Any

from simulator import clock, keys, notices
from simulator.web import Response, json_response
from simulator.wechat.api import Call, Refusal, parameter_error


def decrypted(call: Call, name: str) -> str:
    """A sensitive field, encrypted for the key that Wechatpay-Serial names."""
    serial = call.request.header("Wechatpay-Serial")
    signer = call.machine.wechat_signer(serial) if serial else None
    encrypted = call.body.get(name, "")
    plain = keys.decrypt_field(signer.key, encrypted) if signer and encrypted else None
    if not plain:
        raise parameter_error(f"{name} 缺失或解密失败")
    return plain.decode("utf-8", "replace")


def echo(call: Call) -> Response:
    """Say again what was said; the secret part comes back encrypted for the merchant's key."""
    answer: dict[str, Any] = {"echo_message": call.body["echo_message"]}
    if not call.request.header("Wechatpay-Serial"):
        raise parameter_error("Http头缺少Wechatpay-Serial")
    if call.body.get("encrypted_echo_message"):
        plain = decrypted(call, "encrypted_echo_message").encode()
        merchant = call.machine.keys.public("wechat_merchant")
        answer["encrypted_echo_message"] = keys.encrypt_field(merchant, plain)
    notices.echoed(call.machine, call.body.get("notify_url", ""), answer)
    return json_response(answer)


def certificates(call: Call) -> Response:
    """The platform certificate, encrypted; merchants in public-key mode have none to fetch."""
    if call.machine.options.sign_mode == "pubkey":
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请使用微信支付公钥")
    ring = call.machine.keys
    certificate, pem = ring.certificates["wechat_platform"], ring.certificate_pem("wechat_platform")
    item = {
        "serial_no": ring.wechat["platform_serial_no"],
        "effective_time": clock.rfc3339(certificate.not_valid_before_utc.timestamp()),
        "expire_time": clock.rfc3339(certificate.not_valid_after_utc.timestamp()),
        "encrypt_certificate": keys.encrypt(ring.wechat["apiv3_key"], pem, "certificate"),
    }
    return json_response({"data": [item]})
