"""What must not be in a log, an error page or a report: recognised by its name or by its look.

The last step before a line is written, for our own loggers and everybody else's alike, and what
staff's pages leave out of gateways' messages. It is a net under code that does not log secrets in
the first place.
"""

import logging
import re
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

STARS = "********"
DEPTH_MAX = 6
# Names whose value nobody needs to read: in logs, error pages, reports and gateways' messages.
# Compared in lower case, with "-" as "_", by their end: ``sub_openid`` is an ``openid``.
SECRET_NAMES = (
    # What lets somebody in, signs or opens.
    "authorization", "cookie", "set_cookie", "password", "passwd", "secret", "jwt_secret", "token",
    "access_token", "refresh_token", "id_token", "otp", "code_hash", "session_key", "sessionid",
    "__host_session", "__host_csrf", "csrfmiddlewaretoken", "idempotency_key", "signature", "sign",
    "paysign", "private_key", "app_private_key", "secret_key", "api_key", "apiv3_key",
    "api_v3_key", "access_key", "sealed_key", "config_encryption_keys", "encrypted_values",
    "config_value",
    # Who somebody is.
    "id_card", "id_number", "phone", "mobile", "openid", "sp_openid", "sub_openid", "payer",
    "buyer_id", "buyer_logon_id", "buyer_open_id", "buyer_user_id", "client_ip",
    "payer_client_ip", "bank_account", "user_received_account",
    # What lets somebody pay.
    "prepay_id", "package", "code_url", "qr_code", "h5_url", "payment_url", "order_string",
    # What may hold any of these.
    "request_body", "raw_body", "ciphertext", "nonce_str", "noncestr",
)  # fmt: skip
NOT_SECRET = frozenset({"public_key"})
_SECRET_NAME = rf"(?:^|_)(?:{'|'.join(SECRET_NAMES)})$"
# So plain that they end any name: clientSecret, DB_PASSWORD. Others are a word, or end one by "_".
_PLAIN_NAMES = ("password", "passwd", "secret", "token", "access_key", "private_key", "api_key")
_NAME = (
    r"""\\?["']?(?:"""
    + "|".join(_PLAIN_NAMES).replace("_", "[_-]?")
    + r"|(?<![A-Za-z0-9])(?:"
    + "|".join(SECRET_NAMES).replace("_", "[_-]?")
    + r"""))\b\\?["']?\s{0,8}[=:]\s{0,8}\\?"""
)
_NAMED_SECRET = rf"""(?ai)({_NAME}["']?)(?!\*{{8}})[^\s"'&,;}}{{)]+"""
# In quotes a value may have spaces.
_NAMED_IN_QUOTES = rf"""(?ai)({_NAME}")(?!\*{{8}})[^"]+"""
_NAMED_IN_SINGLE_QUOTES = rf"""(?ai)({_NAME}')(?!\*{{8}})[^']+"""

Pattern = re.Pattern[str]
Replacement = str | Callable[[re.Match[str]], str]


def _without_token(found: re.Match[str]) -> str:
    """A run of a token's letters without the JWT in it: three parts, the first of JSON."""
    before, begins, after = found[0].partition("eyJ")
    return before + STARS if begins and after.count(".") >= 2 else found[0]


# Chinese is written without spaces: for all of them a letter, a digit and a word's end are ASCII's.
# Something of the first has to stand in a text (in lower case) for its pattern, the second, to be
# worth trying; the third is written instead. A pattern must not look at the same letters again
# from each place at which it may begin: a line of 20,000 letters comes from outside
# (tests/hostile/test_patterns.py).
_PATTERNS: tuple[tuple[tuple[str, ...], Pattern, Replacement], ...] = (
    # Keys, whole or as a single line with \n in it.
    (
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?"
            r"(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        "-----PRIVATE KEY " + STARS,
    ),
    # The same without its frame: base64 of PKCS#1 or PKCS#8.
    (("mii",), re.compile(r"(?a)\bMII[A-Za-z0-9+/]{2}[A-Za-z0-9+/=\s\\]{120,}"), STARS),
    (("eyj",), re.compile(r"(?a)[\w.-]{16,}"), _without_token),  # JWT
    (("enc:2:",), re.compile(r"(?a)\benc:2:[0-9a-f]{8}:[\w-]+={0,2}"), STARS),  # a sealed value
    (("gaaaa",), re.compile(r"(?a)\b(?:enc:1:)?gAAAA[\w-]{40,}={0,2}"), STARS),  # Fernet
    (("whsec_",), re.compile(r"(?a)\bwhsec_[A-Za-z0-9+/_-]{16,}={0,2}"), "whsec_" + STARS),
    (("bearer",), re.compile(r"(?ai)\b(bearer)\s{1,8}[\w.~+/=-]{6,}"), r"\1 " + STARS),
    # The cashier's link, also inside another address.
    (("/pay/", "%2fpay%2f"), re.compile(r"(?i)((?:/|%2f)pay(?:/|%2f))[\w.-]{24,}"), r"\1" + STARS),
    (("basic",), re.compile(r"(?ai)\b(basic)\s{1,8}[\w.~+/=-]{6,}"), r"\1 " + STARS),
    (("wechatpay2-",), re.compile(r"(?i)(WECHATPAY2-[\w-]{1,40}\s{1,8}).*"), r"\1" + STARS),
    # A password in an address.
    (("://",), re.compile(r"(?i)(://[^\s:/@]*:)[^\s@/]+@"), r"\1" + STARS + "@"),
    (("otpauth://",), re.compile(r"(?i)(otpauth://)\S+"), r"\1" + STARS),
    # A webhook's signature.
    (("v1",), re.compile(r"(?a)\b(v1a?,)[A-Za-z0-9+/]{40,}={0,2}"), r"\1" + STARS),
    (('"',), re.compile(_NAMED_IN_QUOTES), r"\1" + STARS),
    (("'",), re.compile(_NAMED_IN_SINGLE_QUOTES), r"\1" + STARS),
    (("=", ":"), re.compile(_NAMED_SECRET), r"\1" + STARS),
    # An openid, an id card's number (17 digits and a check letter or digit, with a date that can
    # be), a mobile phone's number; none of them inside a longer number or id of ours.
    (("o",), re.compile(r"(?a)(?<![\w-])o[A-Za-z0-9_-]{27}(?![\w-])"), STARS),
    (
        ("19", "20"),
        re.compile(
            r"(?a)(?<![\w-])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\w-])"
        ),
        STARS,
    ),
    (("1",), re.compile(r"(?a)(?<![\w.-])(?:\+?86[ -]?)?1[3-9]\d{9}(?![\w.-])"), STARS),
)
# What of a line no caller has a word in.
MADE_BY_LOGGING = frozenset({"level", "logger", "timestamp"})
# What one line may hold; more of it is cut before it is looked through.
TEXT_MAX = 20_000
# What is longer is not kept in mind.
SHORT_MAX = 48
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
NAME_MAX = 64


def redacted_text(text: str) -> str:
    """``text`` without what looks like a secret or a person."""
    if len(text) > SHORT_MAX:
        return _looked_through(text)
    # An id of ours is in nearly every line, and never the same.
    return text if _ID.fullmatch(text) else _short(text)


def _looked_through(text: str) -> str:
    if len(text) > TEXT_MAX:
        text = text[:TEXT_MAX] + "…"
    folded = text.lower()
    for needles, pattern, replacement in _PATTERNS:
        for needle in needles:
            if needle in folded:
                text = pattern.sub(replacement, text)
                break
    return text


# Names of events, states and roles come again and again.
_short = lru_cache(maxsize=2048)(_looked_through)


def is_secret_name(name: object) -> bool:
    key = str(name)
    return _is_secret_name(key) if len(key) <= NAME_MAX else _looks_secret(key)


def _looks_secret(name: str) -> bool:
    key = name.lower().replace("-", "_")
    return key not in NOT_SECRET and re.search(_SECRET_NAME, key) is not None


# The same few names come in every line.
_is_secret_name = lru_cache(maxsize=1024)(_looks_secret)


def redacted(value: Any, depth: int = 0) -> Any:
    """``value`` (text, numbers, mappings, sequences) without secrets."""
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, str):
        return redacted_text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(bytes(value))} bytes>"  # bodies and keys; nobody reads bytes in a log
    if isinstance(value, Mapping):
        return {
            name: STARS if is_secret_name(name) and inner else redacted(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted_text(str(value))


def redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The structlog processor that stands before the one that writes JSON."""
    return {
        name: value
        if name in MADE_BY_LOGGING
        else STARS
        if is_secret_name(name) and value
        else redacted(value)
        for name, value in event.items()
    }


class RedactingFilter(logging.Filter):
    """For handlers that do not write through structlog: the message itself, arguments included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            try:
                text = record.getMessage()
            except (TypeError, ValueError):
                text = record.msg
            record.msg, record.args = redacted_text(text), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redacted_text(logging.Formatter().formatException(record.exc_info))
        return True
