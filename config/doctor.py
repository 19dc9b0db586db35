"""What is wrong with a gateway's configuration, where, and what to do about it."""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.addresses import AddressRefused, ensure_public_url
from config.crypto import ConfigSecretUnreadable
from config.selectors import gateway_config_current

Text = str | Promise
Values = Mapping[str, str]
API_V3_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["error", "warning"]
    key: str
    message: Text
    fix: Text = ""


class KeyMalformed(ValueError):
    """Text that is not the key or certificate it should be."""


def examine(method: str) -> list[Finding]:
    """Everything that can be told about the configuration in force without asking the gateway."""
    try:
        values = gateway_config_current(method).values
    except ConfigSecretUnreadable as error:
        fix = _(
            "把原来的密钥放回 CONFIG_ENCRYPTION_KEYS（新密钥在前，用逗号分隔）后运行"
            " manage.py rotate_config_keys；若已丢失，请重新填写这些配置项"
        )
        return [Finding("error", name.partition(".")[2], _("无法解密"), fix) for name in error.keys]
    return examine_values(method, values)


def examine_values(method: str, values: Values) -> list[Finding]:
    return list(_CHECKS[method](values))


def _wechat(values: Values) -> Iterator[Finding]:
    yield from _required(values, "app_id", "mch_id", "private_key")
    yield from _notify_url(values)
    yield from _api_v3_key(values)
    if not values.get("cert_serial_no") and not values.get("cert_path"):
        yield _missing("cert_serial_no", _("填写商户 API 证书序列号，或证书文件路径 cert_path"))
    if not values.get("public_key") and not values.get("platform_cert"):
        yield _missing("public_key", _("填写微信支付公钥及其 ID，或微信支付平台证书"))
    if values.get("public_key") and not values.get("public_key_id"):
        yield _missing("public_key_id", _("填写微信支付公钥 ID（以 PUB_KEY_ID_ 开头）"))
    yield from _loads(values, "private_key", load_private_key)
    yield from _loads(values, "public_key", load_public_key)
    yield from _loads(values, "platform_cert", load_certificate)
    yield from _cert_path(values)


def _alipay(values: Values) -> Iterator[Finding]:
    yield from _required(values, "app_id", "private_key")
    yield from _notify_url(values)
    certificates = ("app_cert", "alipay_cert", "root_cert")
    if any(values.get(key) for key in certificates):
        yield from _required(values, *certificates)
    else:
        yield from _required(values, "public_key")
    yield from _loads(values, "private_key", load_private_key)
    yield from _loads(values, "public_key", load_public_key)
    for key in certificates:
        yield from _loads(values, key, load_certificate)


_CHECKS: Mapping[str, Callable[[Values], Iterator[Finding]]] = {
    "wechat": _wechat,
    "alipay": _alipay,
}


def _missing(key: str, fix: Text = "") -> Finding:
    return Finding("error", key, _("未填写"), fix or _("在后台「支付配置」中填写"))


def _required(values: Values, *keys: str) -> Iterator[Finding]:
    for key in keys:
        if not values.get(key):
            yield _missing(key)


def _notify_url(values: Values) -> Iterator[Finding]:
    url = values.get("notify_url", "")
    if not url:
        yield _missing("notify_url", _("填写公网可以访问的回调地址"))
        return
    try:
        ensure_public_url(url, is_loopback_allowed=settings.DEBUG)
    except AddressRefused as error:
        yield Finding("error", "notify_url", error.text, _("填写公网可以访问的回调地址"))
        return
    if not url.startswith("https://"):
        yield Finding("warning", "notify_url", _("不是 https 地址"), _("正式环境请使用 https"))


def _api_v3_key(values: Values) -> Iterator[Finding]:
    key = "api_v3_key" if values.get("api_v3_key") or not values.get("api_key") else "api_key"
    value = values.get(key, "")
    fix = _("在商户平台「API 安全」设置 32 个字符的 APIv3 密钥，并填入 api_v3_key")
    if not value:
        yield _missing("api_v3_key", fix)
    elif len(value.encode()) != API_V3_KEY_BYTES:
        yield Finding("error", key, _("APIv3 密钥必须正好 32 个字节"), fix)


def _loads(values: Values, key: str, load: Callable[[str], object]) -> Iterator[Finding]:
    if not values.get(key):
        return
    try:
        load(values[key])
    except KeyMalformed:
        yield Finding(
            "error",
            key,
            _("不是可读的密钥或证书"),
            _("填入完整的 PEM 内容（包括 BEGIN 与 END 行），或去掉首尾行的 Base64 内容"),
        )


def _cert_path(values: Values) -> Iterator[Finding]:
    path = values.get("cert_path", "")
    if not path:
        return
    fix = _("填写服务器上 apiclient_cert.pem 的绝对路径，并允许本服务读取")
    level: Literal["error", "warning"] = "warning" if values.get("cert_serial_no") else "error"
    try:
        load_certificate(Path(path).read_text(encoding="ascii"))
    except OSError:
        yield Finding(level, "cert_path", _("证书文件无法读取"), fix)
    except ValueError:
        yield Finding(level, "cert_path", _("文件内容不是证书"), fix)


# --- keys and certificates --------------------------------------------------------------------
def load_private_key(text: str) -> RSAPrivateKey:
    """An unencrypted RSA private key, PEM or bare base64. Raises KeyMalformed."""
    return _load(
        text,
        RSAPrivateKey,
        lambda data: serialization.load_pem_private_key(data, password=None),
        lambda data: serialization.load_der_private_key(data, password=None),
    )


def load_public_key(text: str) -> RSAPublicKey:
    return _load(
        text, RSAPublicKey, serialization.load_pem_public_key, serialization.load_der_public_key
    )


def load_certificate(text: str) -> x509.Certificate:
    """The first certificate of ``text``."""
    return _load(
        text, x509.Certificate, x509.load_pem_x509_certificate, x509.load_der_x509_certificate
    )


def _load(text: str, kind: Any, load_pem: Any, load_der: Any) -> Any:
    try:
        if "-----BEGIN" in text:
            loaded = load_pem(text.encode("ascii"))
        else:
            loaded = load_der(base64.b64decode("".join(text.split()), validate=True))
    except Exception as error:  # cryptography has half a dozen types for bad input
        raise KeyMalformed from error
    if not isinstance(loaded, kind):
        raise KeyMalformed
    return loaded
