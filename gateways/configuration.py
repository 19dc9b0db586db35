"""Reading the texts of ``payment_configs``, and what is wrong with them, key by key."""

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils.translation import gettext_lazy as _

from gateways.errors import GatewayMisconfigured
from gateways.interface import GATEWAY_METHODS
from gateways.key_blocks import KeyUnreadable, visible
from gateways.texts import Text

KEY_MARK_DIGITS = 32

Value = TypeVar("Value")
Values = Mapping[str, str]


class ConfigReader:
    """Reads configuration values and collects what is wrong with them."""

    def __init__(self, values: Values) -> None:
        self._values = {key: visible(value or "") for key, value in values.items()}
        self.problems: dict[str, Text] = {}

    def text(self, key: str) -> str:
        return self._values.get(key, "")

    def required(self, key: str) -> str:
        value = self.text(key)
        if not value:
            self.problems[key] = _("未填写")
        return value

    def parsed(self, key: str, parse: Callable[[str], Value]) -> Value | None:
        """The parsed value; None when it is empty or can't be read (then a problem)."""
        value = self.text(key)
        if not value:
            return None
        try:
            return parse(value)
        except KeyUnreadable as error:
            self.problems[key] = error.text
            return None

    def required_parsed(self, key: str, parse: Callable[[str], Value]) -> Value | None:
        return self.parsed(key, parse) if self.required(key) else None

    def notify_url(self, method: str) -> str:
        url = notify_url_in_path_form(self.required("notify_url"))
        if not url:
            return ""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            self.problems["notify_url"] = _("不是完整的 http(s) 地址")
        elif parts.query or parts.fragment:
            self.problems["notify_url"] = _("支付平台不允许通知地址带查询参数")
        elif any(parts.path.endswith(f"/{other}") for other in GATEWAY_METHODS if other != method):
            self.problems["notify_url"] = _("填成了另一种支付方式的通知地址")
        return url

    def finish(self) -> None:
        """Raises GatewayMisconfigured with all that was wrong."""
        if self.problems:
            raise GatewayMisconfigured(self.problems)


def notify_url_in_path_form(url: str) -> str:
    """``…/payment/callback?method=wechat`` as ``…/payment/callback/wechat``; others unchanged.

    Both gateways forbid a query string in a notify_url.
    """
    parts = urlsplit(url)
    method = parts.query.removeprefix("method=")
    if method == parts.query or method not in GATEWAY_METHODS:
        return url
    path = f"{parts.path.rstrip('/')}/{method}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def key_mark(key: RSAPublicKey) -> str:
    """A short name of a public key: the same for the same key, however it was written."""
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:KEY_MARK_DIGITS]
