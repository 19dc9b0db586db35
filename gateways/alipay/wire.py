"""Alipay OpenAPI v2 on the wire: sent requests, verified answers and notifications, errors.

The SDK builds and signs requests. Replaced here, for reasons measured in the SDK: it sends the
whole request in a GET address (which proxies log), cuts the signed node out of an answer by
counting braces without looking at strings, and raises whatever comes.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from json import JSONDecoder
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateways import keys
from gateways.alipay.chain import AlipayChain
from gateways.alipay.configuration import SIGN_TYPE, AlipayConfig
from gateways.alipay.sdk import request_signer
from gateways.errors import GatewayRejected, GatewayUnknown, GatewayUntrusted, RejectReason
from gateways.key_blocks import KeyUnreadable
from gateways.texts import Malformed, canonical_json, read_json_object, shanghai_wall_clock
from gateways.transport import HttpAnswer, Transport

FORM = "application/x-www-form-urlencoded"
SUCCEEDED = "10000"
TRADE_NOTIFICATION = "trade_status_sync"
CERTIFICATE_DOWNLOAD = "alipay.open.app.alipaycert.download"
_CERTIFICATE_SN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FORM_FIELDS_MAX = 200
# The widest of the three reads what each of them writes, and writes it back as it was.
_CODECS: Mapping[str, str] = {
    "utf-8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}
_BLANK = re.compile(r"[ \t\r\n]*")

# By code where the sub_code does not say more (section 5).
_CODE_REASONS: Mapping[str, str] = {
    "20001": RejectReason.CONFIGURATION,
    "40001": RejectReason.CONFIGURATION,
    "40002": RejectReason.CONFIGURATION,
    "40003": RejectReason.CONFIGURATION,
    "40004": RejectReason.OTHER,
    "40005": RejectReason.TOO_SOON,
    "40006": RejectReason.CONFIGURATION,
}
_SUB_CODE_REASONS: Mapping[str, str] = {
    "ACQ.TRADE_HAS_SUCCESS": RejectReason.ALREADY_PAID,
    "ACQ.TRADE_HAS_CLOSE": RejectReason.NUMBER_USED,
    "ACQ.CONTEXT_INCONSISTENT": RejectReason.CHANGED_REQUEST,
    "ACQ.DISCORDANT_REPEAT_REQUEST": RejectReason.CHANGED_REQUEST,
    "ACQ.TRADE_NOT_EXIST": RejectReason.NOT_FOUND,
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": RejectReason.SHORT_OF_FUNDS,
    "ACQ.INVALID_PARAMETER": RejectReason.INVALID,
    "isv.invalid-parameter": RejectReason.INVALID,
    "isv.call-limited": RejectReason.TOO_SOON,
}
# Under 40004 too these leave the outcome open (section 5).
_UNKNOWN_SUB_CODE = re.compile(
    r"(aop\.)?ACQ\.(SYSTEM_ERROR|UNKNOWN)|(aop|isp)\.unknow", re.IGNORECASE
)
# Refused before anything was looked at; these answers may come without a signature (section 3).
_UNSIGNED_CODES = frozenset(_CODE_REASONS) - {"40004"}


class AlipayWire:
    """Calls of one application. All that changes after construction: certificates are added.

    ``keep`` is told of a certificate of Alipay's that was fetched and found good, as PEM.
    """

    def __init__(
        self,
        config: AlipayConfig,
        transport: Transport,
        *,
        keep: Callable[[str], None] = lambda pem: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._signer = request_signer(config)
        self._transport = transport
        self._keep = keep
        self._clock = clock
        self._verifiers = dict(config.verifiers)

    @property
    def public_keys(self) -> list[RSAPublicKey]:
        """The keys that Alipay may sign with: the configured one, then its successors."""
        return list(self._verifiers.values())

    def signed(self, method: str, biz_content: Mapping[str, Any], **public: str) -> str:
        """The signed request as a query string, ``public`` parameters among it.

        The SDK would stamp it in the zone of the process, where Alipay expects Beijing time, and
        knows nothing of certificates.
        """
        config, now = self._config, datetime.fromtimestamp(self._clock(), UTC)
        if config.app_cert_sn:
            public["app_cert_sn"] = config.app_cert_sn
            public["alipay_root_cert_sn"] = config.root_cert_sn
        return str(
            self._signer.client_api(
                method,
                canonical_json(biz_content),
                timestamp=shanghai_wall_clock(now),
                **public,
            )
        )

    def call(self, method: str, biz_content: Mapping[str, Any], **public: str) -> dict[str, Any]:
        """Send a request; the verified node of an answer with code 10000.

        Raises:
            GatewayRejected: a definite no.
            GatewayUnknown: anything else, an answer that can't be verified among it.
        """
        node, raw, envelope = _split_answer(method, self._sent(method, biz_content, **public))
        if not envelope["sign"]:
            error = error_of(node)
            if str(node.get("code")) in _UNSIGNED_CODES:
                raise error
            raise GatewayUnknown("answer without signature", code=error.code)
        self._require_verified(raw, envelope)
        if node.get("code") != SUCCEEDED:
            raise error_of(node)
        return node

    def _sent(self, method: str, biz_content: Mapping[str, Any], **public: str) -> HttpAnswer:
        # Public parameters in the address, biz_content in the body, as the official SDKs do.
        parts = self.signed(method, biz_content, **public).split("&")
        body = "&".join(part for part in parts if part.startswith("biz_content="))
        address = "&".join(part for part in parts if not part.startswith("biz_content="))
        answer = self._transport.send(
            "POST",
            f"{self._config.gateway_url}?{address}",
            headers={"Content-Type": f"{FORM}; charset=utf-8"},
            body=body.encode("ascii"),
        )
        if answer.status != 200:
            raise GatewayUnknown(f"HTTP {answer.status}", code=str(answer.status))
        return answer

    def _require_verified(self, raw: str, envelope: Mapping[str, str]) -> None:
        sn = envelope["alipay_cert_sn"]
        former = [one.key for one in self._config.former if not (sn and one.sn) or one.sn == sn]
        if self._config.chain is not None and sn and sn not in self._verifiers and not former:
            self._fetch_certificate(sn, self._config.chain)
        known = [self._verifiers.get(sn, self._config.alipay_public_key), *former]
        if not any(keys.is_signed_by(key, raw.encode(), envelope["sign"]) for key in known):
            raise GatewayUnknown("answer not verified", code="BAD_SIGNATURE")

    def _fetch_certificate(self, sn: str, chain: AlipayChain) -> None:
        """Fetch the certificate that an answer names (section 4) and trust it for its chain.

        What was answered is not known while there is none to verify it with. The answer to this
        call may come unsigned: the chain is the proof.
        """
        changed = f"signed with certificate {sn[:64]}"
        if not _CERTIFICATE_SN.fullmatch(sn):
            raise GatewayUnknown(changed, code="CERTIFICATE_CHANGED")
        answer = self._sent(CERTIFICATE_DOWNLOAD, {"alipay_cert_sn": sn})
        node, _raw, _envelope = _split_answer(CERTIFICATE_DOWNLOAD, answer)
        content = node.get("alipay_cert_content")
        if node.get("code") != SUCCEEDED or not isinstance(content, str):
            raise GatewayUnknown(f"{changed}: {error_of(node)}", code="CERTIFICATE_CHANGED")
        try:
            found = chain.trusted(content, now=datetime.fromtimestamp(self._clock(), UTC))
        except KeyUnreadable as error:
            raise GatewayUnknown(f"{changed}: {error}", code="CERTIFICATE_CHANGED") from error
        if sn not in found:
            raise GatewayUnknown(f"{changed}, not Alipay's", code="CERTIFICATE_NOT_TRUSTED")
        self._verifiers[sn] = found[sn]
        self._keep(keys.certificates_pem(content))


def _split_answer(method: str, answer: HttpAnswer) -> tuple[dict[str, Any], str, dict[str, str]]:
    """The node of an answer, its text as it was sent, and what stands beside it."""
    try:
        values = top_level_texts(answer.body.decode())
        name = f"{method.replace('.', '_')}_response"
        raw = values.get(name) or values.get("error_response", "")
        node = read_json_object(raw)
        return node, raw, {key: _string(values.get(key)) for key in ("sign", "alipay_cert_sn")}
    except (Malformed, UnicodeDecodeError) as error:
        raise GatewayUnknown("answer not understood", code="UNREADABLE") from error


def top_level_texts(text: str) -> dict[str, str]:
    """The raw text of each value of a JSON object, exactly as sent: that is what is signed.

    A real scanner instead of counting braces, so that a brace, quote or slash inside a string
    (a subject, a buyer's name) does not lose a good answer.
    """
    try:
        return _without_duplicates(_members(text, _skip(text, 0, "{")))
    except (ValueError, IndexError, RecursionError) as error:
        raise Malformed("answer") from error


def _members(text: str, at: int) -> Iterator[tuple[str, str]]:
    decoder = JSONDecoder()
    while True:
        name, at = decoder.raw_decode(text, _blank_end(text, at))
        if not isinstance(name, str):
            raise Malformed("name")
        start = _skip(text, at, ":")
        _value, at = decoder.raw_decode(text, start)
        yield name, text[start:at]
        at = _blank_end(text, at)
        if text[at] != ",":
            if _blank_end(text, _skip(text, at, "}")) != len(text):
                raise Malformed("text after the answer")
            return
        at += 1


def _skip(text: str, at: int, expected: str) -> int:
    at = _blank_end(text, at)
    if text[at] != expected:
        raise Malformed(f"no {expected}")
    return _blank_end(text, at + 1)


def _blank_end(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _without_duplicates(members: Iterator[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, text in members:
        if name in texts:
            raise Malformed("duplicate names")
        texts[name] = text
    return texts


def _string(raw: str | None) -> str:
    value = JSONDecoder().decode(raw) if raw else ""
    return value if isinstance(value, str) else ""


def error_of(node: Mapping[str, Any]) -> GatewayRejected | GatewayUnknown:
    code, sub_code = str(node.get("code", "")), str(node.get("sub_code", ""))
    message = str(node.get("sub_msg") or node.get("msg") or "")
    name = sub_code or code
    if code not in _CODE_REASONS or _UNKNOWN_SUB_CODE.match(sub_code):
        return GatewayUnknown(message, code=name)
    reason = _SUB_CODE_REASONS.get(sub_code, _CODE_REASONS[code])
    return GatewayRejected(message, code=name, reason=reason)


def read_form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a notification; a name that comes twice could mean either value: refused."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Malformed("content type")
    pairs = parse_qsl(
        body.decode("ascii"),
        keep_blank_values=True,
        strict_parsing=True,
        encoding="latin-1",  # the bytes as they are: the form itself says in what they are written
        max_num_fields=_FORM_FIELDS_MAX,
    )
    raw = dict(pairs)
    if len(raw) != len(pairs):
        raise Malformed("duplicate names")
    codec = _codec(raw)
    return {
        name.encode("latin-1").decode(codec): value.encode("latin-1").decode(codec)
        for name, value in raw.items()
    }


def readable_form(text: str) -> dict[str, str]:
    """A notification's fields for people to read; what can't be decoded is replaced."""
    name = dict(parse_qsl(text, encoding="latin-1")).get("charset", "").lower()
    return dict(parse_qsl(text, encoding=_CODECS.get(name, "utf-8"), errors="replace"))


def _codec(fields: Mapping[str, str]) -> str:
    """In what a notification is written and signed. Raises GatewayUntrusted."""
    name = fields.get("charset", "utf-8").lower()
    if name not in _CODECS:
        raise GatewayUntrusted("charset", code="CHARSET")
    return _CODECS[name]


def verify_notification(
    fields: Mapping[str, str], public_keys: Iterable[RSAPublicKey]
) -> RSAPublicKey:
    """The one of Alipay's keys that signed these fields (section 3, rule 3); else GatewayUntrusted.

    Nothing is asked for: whoever sent them is not known yet.
    """
    if fields.get("sign_type", SIGN_TYPE) != SIGN_TYPE:
        raise GatewayUntrusted("signature type", code="SIGNATURE_TYPE")
    codec = _codec(fields)
    signature = fields.get("sign", "")
    texts = [text.encode(codec) for text in _signed_texts(fields)]
    for key in public_keys:
        if any(keys.is_signed_by(key, text, signature) for text in texts):
            return key
    raise GatewayUntrusted("bad signature", code="BAD_SIGNATURE")


def _signed_texts(fields: Mapping[str, str]) -> Iterator[str]:
    """The texts that Alipay may have signed; one for trade notifications without empty values.

    Sources differ on empty values (Java keeps them, PHP drops them), and notifications that are
    not about trades are signed with sign_type (node: checkNotifySign and its vectors).
    """
    unsigned = {name: value for name, value in fields.items() if name not in ("sign", "sign_type")}
    yield _joined(unsigned)
    if not all(unsigned.values()):
        yield _joined({name: value for name, value in unsigned.items() if value})
    if fields.get("notify_type") != TRADE_NOTIFICATION:
        yield _joined({**unsigned, "sign_type": SIGN_TYPE})


def _joined(fields: Mapping[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
