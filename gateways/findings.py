"""What an examination of a configuration finds, and the checks that both gateways share."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.configuration import Values, notify_url_in_path_form
from gateways.key_blocks import KeyUnreadable
from gateways.texts import Text

Level = Literal["error", "warning", "ok"]
Loaded = TypeVar("Loaded")

KEY_BITS_MIN = 2048
EXPIRY_WARNING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """Errors and warnings say in ``fix`` what to do; ``key`` is empty for the whole. What was
    asked of the gateway says in ``unproved`` what the answer does not prove."""

    level: Level
    key: str
    message: Text
    fix: Text = ""
    unproved: Text = ""


def proof(proved: Text, unproved: Text) -> Finding:
    """What the success of a question to the gateway proves, and what it leaves open."""
    return Finding("ok", "", proved, unproved=unproved)


Findings = Iterator[Finding]
Fixes = Mapping[str, Text]


# -- single values ---------------------------------------------------------------------------------


def check_form(values: Values, fixes: Fixes, key: str, pattern: str, message: Text) -> Findings:
    """A value of another form can't work: the gateway knows none such."""
    value = values.get(key, "")
    if value and not re.fullmatch(pattern, value, re.ASCII):
        yield Finding("error", key, message, fixes[key])


def check_notify_url(values: Values, fixes: Fixes, method: str) -> Findings:
    url = values.get("notify_url", "")
    parts = urlsplit(notify_url_in_path_form(url)) if url else None
    if parts is None or not parts.hostname:
        return
    fix = fixes["notify_url"]
    if parts.scheme != "https":
        yield Finding("warning", "notify_url", _("通知地址不是 https"), fix)
    if not _is_public(parts.hostname):
        yield Finding("warning", "notify_url", _("通知地址不在公网，支付平台无法访问"), fix)
    if not parts.path.endswith(f"/payment/callback/{method}"):
        yield Finding("warning", "notify_url", _("通知地址的路径不是本系统的回调路径"), fix)


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost", ".test"))


# -- keys and certificates -------------------------------------------------------------------------


def loaded(values: Values, key: str, load: Callable[[str], Loaded]) -> Loaded | None:
    """None for what is empty or unreadable: that has been reported as misconfigured."""
    try:
        return load(values[key]) if values.get(key) else None
    except KeyUnreadable:
        return None


def check_key_size(
    values: Values, key: str, load: Callable[[str], RSAPrivateKey | RSAPublicKey]
) -> Findings:
    found = loaded(values, key, load)
    if found and found.key_size < KEY_BITS_MIN:
        yield Finding("error", key, _("密钥短于 2048 位"), _("重新生成 2048 位的密钥"))


def check_expiry(
    values: Values, now: datetime, key: str, load: Callable[[str], list[x509.Certificate]]
) -> Findings:
    for certificate in loaded(values, key, load) or []:
        yield validity(key, certificate, now)


def validity(key: str, certificate: x509.Certificate, now: datetime) -> Finding:
    days_left = (certificate.not_valid_after_utc - now).days
    if certificate.not_valid_before_utc > now:
        return Finding("error", key, _("证书尚未生效"), _("检查服务器时间，或换用已生效的证书"))
    if days_left < 0:
        return Finding("error", key, _("证书已过期"), _("在商户平台更换证书并更新配置"))
    message = format_lazy(_("证书有效期还剩 {days} 天"), days=days_left)
    if days_left < EXPIRY_WARNING_DAYS:
        return Finding("warning", key, message, _("请尽快在商户平台更换证书"))
    return Finding("ok", key, message)


def check_pair(values: Values, certificate: x509.Certificate, key: str) -> Findings:
    """Whether the private key belongs to the certificate that stands under ``key``."""
    private_key = loaded(values, "private_key", keys.load_private_key)
    fix = _("填入同一次申请得到的私钥和证书")
    try:
        certified = keys.certificate_public_key(certificate)
    except KeyUnreadable as error:
        yield Finding("error", key, error.text, fix)
        return
    if private_key and not keys.is_same_public_key(private_key.public_key(), certified):
        message = format_lazy(_("私钥与 {key} 的证书不是一对"), key=key)
        yield Finding("error", "private_key", message, fix)


def check_own_certificate(values: Values, fixes: Fixes, key: str) -> Findings:
    """One's own certificate where the gateway's belongs: every message would be refused."""
    private_key = loaded(values, "private_key", keys.load_private_key)
    for certificate in loaded(values, key, keys.load_certificates) or []:
        try:
            certified = keys.certificate_public_key(certificate)
        except KeyUnreadable:
            continue
        if private_key and keys.is_same_public_key(private_key.public_key(), certified):
            message = _("填入的是自己的证书，应填支付平台的证书")
            yield Finding("error", key, message, fixes[key])


def check_own_public_key(values: Values, fixes: Fixes) -> Findings:
    """The classic mistake: one's own public key where the gateway's belongs (fzlee#21, #36)."""
    private_key = loaded(values, "private_key", keys.load_private_key)
    public_key = loaded(values, "public_key", keys.load_public_key)
    if private_key and public_key and keys.is_same_public_key(private_key.public_key(), public_key):
        message = _("填入的是自己的公钥，应填支付平台的公钥")
        yield Finding("error", "public_key", message, fixes["public_key"])
