"""WeChat Pay APIv3 on the wire: signed requests, verified answers and notifications, errors.

Of the SDK, its public functions sign and decrypt. Its client is not used, for reasons measured in
it: it may ask the network for certificates when it is made and whenever a message names an unknown
serial, never looks at timestamps, can't verify with a public key and certificates at once, waits
without a bound, and raises bare exceptions.
"""

import time
from collections.abc import Callable, Mapping
from typing import IO, Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from wechatpayv3.utils import aes_decrypt, build_authorization, rsa_sign

from gateways import keys
from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted, RejectReason
from gateways.texts import Malformed, canonical_json, read_json_object, read_text
from gateways.transport import HttpAnswer, Transport
from gateways.wechat.configuration import WechatConfig

FRESH_SECONDS = 300  # the bound of the official SDKs, for answers and notifications alike
SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
_SIGNATURE_PROBE = "WECHATPAY/SIGNTEST/"
_USER_AGENT = "tcmpay (wechatpayv3)"
_ACCEPTED_NOT_DONE = 202
_TOO_MANY_REQUESTS = 429

# Codes without underscores, because their spelling varies between generations of the pages.
_REASONS: Mapping[str, str] = {
    "ORDERPAID": RejectReason.ALREADY_PAID,
    "ORDERCLOSED": RejectReason.NUMBER_USED,
    "OUTTRADENOUSED": RejectReason.NUMBER_USED,
    "ORDERNOTEXIST": RejectReason.NOT_FOUND,
    "RESOURCENOTEXISTS": RejectReason.NOT_FOUND,
    "NOTENOUGH": RejectReason.SHORT_OF_FUNDS,
    "FREQUENCYLIMITED": RejectReason.TOO_SOON,
    "RATELIMITEXCEEDED": RejectReason.TOO_SOON,
    "RATELIMITED": RejectReason.TOO_SOON,
    "STATEMENTCREATING": RejectReason.TOO_SOON,
    "SIGNERROR": RejectReason.CONFIGURATION,
    "NOAUTH": RejectReason.CONFIGURATION,
    "APPIDMCHIDNOTMATCH": RejectReason.CONFIGURATION,
    "MCHNOTEXISTS": RejectReason.CONFIGURATION,
    "PARAMERROR": RejectReason.INVALID,
    "OPENIDMISMATCH": RejectReason.INVALID,
}
# The number at the end of Request-ID is the detailed code (troubleshooting handbook).
_DETAILED_REASONS: Mapping[str, str] = {
    "268498688": RejectReason.CHANGED_REQUEST,
    "268449538": RejectReason.ALREADY_PAID,
}
# INVALID_REQUEST alone says nothing, and these two need another number rather than an apology.
# A message decides nowhere else: here a wrong guess costs one unused number.
_MESSAGE_HINTS: Mapping[str, str] = {
    "商户订单号重复": RejectReason.NUMBER_USED,
    "参数与首次请求时不一致": RejectReason.CHANGED_REQUEST,
}
# A 5xx is unknown, but this one is a definite no (it is documented under 500).
_DEFINITE_AT_5XX = frozenset({"OPENIDMISMATCH"})


class WechatApi:
    """Signed calls of one merchant; no state changes after construction."""

    def __init__(
        self,
        config: WechatConfig,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._transport = transport
        self._clock = clock

    def request(
        self,
        verb: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        *,
        is_key_named: bool = False,
    ) -> bytes:
        """The body of a verified 2xx answer; empty for a 204. ``is_key_named``: the call says with
        which of WeChat's keys it wants the answer, in certificate mode too.

        Raises:
            GatewayRejected: a definite no.
            GatewayUnknown: anything else, a badly signed or stale 2xx among it.
        """
        body = canonical_json(content) if content else ""
        headers = self._headers(verb, path, body)
        if is_key_named and self._config.answer_serial:
            headers["Wechatpay-Serial"] = self._config.answer_serial
        answer = self._transport.send(
            verb, self._config.base_url + path, headers=headers, body=body.encode()
        )
        if not answer.is_success:
            error = error_of(answer)
            error.status = answer.status
            raise error
        self._require_verified(answer)
        if answer.status == _ACCEPTED_NOT_DONE:
            raise GatewayUnknown("accepted, not processed", code="ACCEPTED")
        return answer.body

    def download(self, url: str, sink: IO[bytes]) -> None:
        """The file behind a bill's download_url; signed request, unsigned answer (go: FAQ.md).

        Only path and query of the address are used: its host may be the standby's.
        """
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        status = self._transport.download(
            self._config.base_url + path, sink, headers=self._headers("GET", path, "")
        )
        if status != 200:
            raise GatewayUnknown(f"bill download: {status}", code=str(status))

    def authorization(self, verb: str, path: str, body: str, nonce: str | None = None) -> str:
        """The Authorization header of a call; ``path`` with its query, as it is sent."""
        config = self._config
        return str(
            build_authorization(
                path,
                verb,
                config.mch_id,
                config.cert_serial_no,
                config.private_key,
                data=body,
                nonce_str=nonce,
            )
        )

    def _headers(self, verb: str, path: str, body: str) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Authorization": self.authorization(verb, path, body),
        }
        if self._config.public_key_id:
            # During a migration the answer is signed with the key that the request names.
            headers["Wechatpay-Serial"] = self._config.public_key_id
        return headers

    def _require_verified(self, answer: HttpAnswer) -> None:
        try:
            verify_message(self._config.verifiers, answer.headers, answer.body, now=self._clock())
        except GatewayUntrusted as error:
            raise GatewayUnknown(f"answer not verified: {error}", code=error.code) from error


def client_signature(private_key: RSAPrivateKey, *lines: str) -> str:
    """What lets the payer's app hand these lines to WeChat (section 4), base64."""
    return str(rsa_sign(private_key, "".join(f"{line}\n" for line in lines)))


def signed_text(timestamp: str, nonce: str, body: bytes) -> bytes:
    """What answers and notifications are signed over (go: core/auth/validators)."""
    return b"%s\n%s\n%s\n" % (timestamp.encode(), nonce.encode(), body)


def verify_message(
    verifiers: Mapping[str, RSAPublicKey],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
) -> RSAPublicKey:
    """The configured key that signed this message within 300 seconds; else GatewayUntrusted.

    The cheap checks come first: a forgery costs at most one signature check. A serial that is
    not configured is refused without asking anybody.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    signature = fields.get("wechatpay-signature", "")
    timestamp = fields.get("wechatpay-timestamp", "")
    if signature.startswith(_SIGNATURE_PROBE):
        raise GatewayUntrusted("signature probe", code="SIGNTEST")
    if fields.get("wechatpay-signature-type", SIGNATURE_TYPE) != SIGNATURE_TYPE:
        raise GatewayUntrusted("signature type", code="SIGNATURE_TYPE")
    verifier = verifiers.get(keys.serial_normalised(fields.get("wechatpay-serial", "")))
    if verifier is None:
        raise GatewayUntrusted("unknown serial", code="UNKNOWN_SERIAL")
    if not _is_fresh(timestamp, now):
        raise GatewayUntrusted("stale or undated", code="STALE")
    text = signed_text(timestamp, fields.get("wechatpay-nonce", ""), body)
    if not keys.is_signed_by(verifier, text, signature):
        raise GatewayUntrusted("bad signature", code="BAD_SIGNATURE")
    return verifier


def _is_fresh(timestamp: str, now: float) -> bool:
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return is_number and abs(now - int(timestamp)) <= FRESH_SECONDS


def decrypt_resource(resource: Mapping[str, Any], api_v3_key: str) -> str:
    """The plain text of AEAD_AES_256_GCM; raises Malformed for whatever does not open."""
    try:
        text = aes_decrypt(
            nonce=resource["nonce"],
            ciphertext=resource["ciphertext"],
            associated_data=resource.get("associated_data") or "",
            apiv3_key=api_v3_key,
        )
    except Exception as error:  # base64, types, nonce length, encoding: the SDK checks none
        raise Malformed("resource") from error
    if not isinstance(text, str):
        raise Malformed("resource")
    return text


def code_normalised(code: str) -> str:
    return code.upper().replace("_", "")


def error_of(answer: HttpAnswer) -> GatewayRejected | GatewayUnknown:
    """What a non-2xx answer means. Errors need no signature (they may come before one is made)."""
    try:
        fields = read_json_object(answer.body)
        code, message = read_text(fields, "code"), read_text(fields, "message")
    except Malformed:
        code, message = "", ""
    name = code_normalised(code)
    is_definite = 400 <= answer.status < 500 and bool(name)
    # WeChat's support asks for the Request-ID of a failed call before anything else.
    request_id = answer.headers.get("request-id", "")
    text = message or f"HTTP {answer.status}"
    text = f"{text} (Request-ID: {request_id})" if request_id else text
    if not is_definite and name not in _DEFINITE_AT_5XX and answer.status != _TOO_MANY_REQUESTS:
        return GatewayUnknown(text, code=code or str(answer.status))
    reason = _reason(answer, name, message)
    return GatewayRejected(text, code=code or str(answer.status), reason=reason)


def _reason(answer: HttpAnswer, name: str, message: str) -> str:
    detail = answer.headers.get("request-id", "").rpartition("-")[2]
    if detail in _DETAILED_REASONS:
        return _DETAILED_REASONS[detail]
    if answer.status == _TOO_MANY_REQUESTS:
        return RejectReason.TOO_SOON
    if name == "INVALIDREQUEST":
        hints = [reason for hint, reason in _MESSAGE_HINTS.items() if hint in message]
        return hints[0] if hints else RejectReason.INVALID
    return _REASONS.get(name, RejectReason.OTHER)
