"""Examines a gateway configuration as a doctor would: what is wrong, where, and what to do."""

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
from gateways.alipay.chain import KEPT_CERTIFICATES, AlipayChain
from gateways.configuration import (
    API_V3_KEY_BYTES,
    AlipayConfig,
    WechatConfig,
    is_alipay_certificate_mode,
    notify_url_in_path_form,
    read_certificate_file,
)
from gateways.errors import GatewayMisconfigured
from gateways.key_blocks import KeyUnreadable, visible
from gateways.texts import Text

Level = Literal["error", "warning", "ok"]
Loaded = TypeVar("Loaded")

KEY_BITS_MIN = 2048
EXPIRY_WARNING_DAYS = 30
SERIAL_DIGITS_MIN, SERIAL_DIGITS_MAX = 16, 40
DECIMAL_SERIAL_DIGITS_MIN, DECIMAL_SERIAL_DIGITS_MAX = 30, 60
_SERIAL = re.compile(r"[0-9A-F]+", re.ASCII)
_WECHAT_APP_ID = re.compile(r"wx[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """Errors and warnings say in ``fix`` what to do; ``key`` is empty for the whole. What was
    asked of the gateway says in ``unproved`` what the answer does not prove."""

    level: Level
    key: str
    message: Text
    fix: Text = ""
    unproved: Text = ""


Values = Mapping[str, str]
Check = Callable[[Values, datetime], Iterator[Finding]]


def examine(method: str, values: Values, *, now: datetime) -> list[Finding]:
    """Everything that can be told without asking the gateway, errors first."""
    given = {key: visible(value or "") for key, value in values.items()}
    findings = list(_misconfigured(method, given))
    for check in _CHECKS[method]:
        # One finding per fault: what could not be read is not also reported as not matching.
        faulty = {finding.key for finding in findings if finding.level == "error"}
        findings += [found for found in check(given, now) if _is_new(found, faulty)]
    if not any(finding.level == "error" for finding in findings):
        findings.append(Finding("ok", "", _("配置完整，可以建立客户端")))
    return sorted(findings, key=lambda finding: _ORDER[finding.level])


_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "ok": 2}


def _is_new(finding: Finding, faulty: set[str]) -> bool:
    return finding.level != "error" or finding.key not in faulty


def _misconfigured(method: str, values: Values) -> Iterator[Finding]:
    """The faults without which no client can be made: the same code that makes it says so."""
    readers: Mapping[str, Callable[[Values], object]] = {
        "wechat": WechatConfig.from_values,
        "alipay": AlipayConfig.from_values,
    }
    try:
        readers[method](values)
    except GatewayMisconfigured as error:
        for key, problem in error.problems.items():
            yield Finding("error", key, problem, _FIXES.get((method, key), ""))


_FIXES: Mapping[tuple[str, str], Text] = {
    ("wechat", "app_id"): _("在公众平台或开放平台复制 AppID（以 wx 开头）"),
    ("wechat", "mch_id"): _("在微信支付商户平台「账户中心 - 商户信息」复制商户号"),
    ("wechat", "api_key"): _("在商户平台「API 安全」设置 APIv3 密钥，并填入 api_v3_key"),
    ("wechat", "api_v3_key"): _("在商户平台「API 安全」设置 APIv3 密钥（32 个字符）"),
    ("wechat", "private_key"): _("填入商户 API 证书压缩包里 apiclient_key.pem 的全部内容"),
    ("wechat", "cert_serial_no"): _("在「API 安全 - 商户 API 证书」复制证书序列号"),
    ("wechat", "cert_path"): _("填写服务器上 apiclient_cert.pem 的绝对路径，并允许本服务读取"),
    ("wechat", "public_key"): _("在「API 安全 - 微信支付公钥」下载 pub_key.pem 并填入全部内容"),
    ("wechat", "public_key_id"): _("复制「微信支付公钥」旁的公钥 ID（以 PUB_KEY_ID_ 开头）"),
    ("wechat", "platform_cert"): _("填入微信支付平台证书的 PEM 内容，或改用微信支付公钥"),
    ("wechat", "merchant_cert"): _("填入商户 API 证书压缩包里 apiclient_cert.pem 的全部内容"),
    ("wechat", "notify_url"): _("填写公网 https 地址，以 /payment/callback/wechat 结尾"),
    ("alipay", "app_id"): _("在支付宝开放平台「控制台 - 应用」复制 APPID（16 位数字）"),
    ("alipay", "private_key"): _("填入密钥工具生成的应用私钥"),
    ("alipay", "public_key"): _("在「接口加签方式」里复制支付宝公钥，而不是应用公钥"),
    ("alipay", "notify_url"): _("填写公网 https 地址，以 /payment/callback/alipay 结尾"),
    ("alipay", "seller_id"): _("填写 2088 开头的 16 位 PID"),
    ("alipay", "app_cert"): _("填入 appCertPublicKey_….crt 的内容"),
    ("alipay", "alipay_cert"): _("填入 alipayCertPublicKey_RSA2.crt 的内容"),
    ("alipay", "root_cert"): _("填入 alipayRootCert.crt 的全部内容"),
}


# -- checks of single values -----------------------------------------------------------------------


def _form_check(method: str, key: str, pattern: str, message: Text) -> Check:
    """A value of another form can't work: the gateway knows none such."""
    compiled = re.compile(pattern, re.ASCII)

    def check(values: Values, now: datetime) -> Iterator[Finding]:
        value = values.get(key, "")
        if value and not compiled.fullmatch(value):
            yield Finding("error", key, message, _FIXES[method, key])

    return check


def _wechat_app_ids(values: Values, now: datetime) -> Iterator[Finding]:
    """The default one and those of single scenes."""
    for key in [key for key in values if key == "app_id" or key.startswith("app_id_")]:
        if values[key] and not _WECHAT_APP_ID.fullmatch(values[key]):
            message = _("AppID 的形式不对：应为 wx 加 16 位小写字母或数字")
            yield Finding("error", key, message, _FIXES["wechat", "app_id"])


def _wechat_serial_form(values: Values, now: datetime) -> Iterator[Finding]:
    serial = keys.serial_text(values.get("cert_serial_no", ""))
    fix = _FIXES["wechat", "cert_serial_no"]
    if not serial:
        return
    if not _SERIAL.fullmatch(serial) or len(serial) > SERIAL_DIGITS_MAX or _is_decimal(serial):
        yield Finding("error", "cert_serial_no", _serial_problem(serial), fix)
    elif len(serial) < SERIAL_DIGITS_MIN:
        yield Finding("warning", "cert_serial_no", _("证书序列号过短，通常为 40 位"), fix)


def _is_decimal(serial: str) -> bool:
    """Forty random hexadecimal digits without a letter happen once in 140 million."""
    return serial.isdigit() and len(serial) >= DECIMAL_SERIAL_DIGITS_MIN


def _serial_problem(serial: str) -> Text:
    if serial.isdigit() and len(serial) <= DECIMAL_SERIAL_DIGITS_MAX:
        return format_lazy(
            _("填入的是十进制的序列号，应填十六进制：{serial}"),
            serial=keys.serial_text(f"{int(serial):X}"),
        )
    return _("证书序列号应为 40 位十六进制")


def _notify_url_check(method: str) -> Check:
    def check(values: Values, now: datetime) -> Iterator[Finding]:
        url = values.get("notify_url", "")
        parts = urlsplit(notify_url_in_path_form(url)) if url else None
        if parts is None or not parts.hostname:
            return
        fix = _FIXES[method, "notify_url"]
        if parts.scheme != "https":
            yield Finding("warning", "notify_url", _("通知地址不是 https"), fix)
        if not _is_public(parts.hostname):
            yield Finding("warning", "notify_url", _("通知地址不在公网，支付平台无法访问"), fix)
        if not parts.path.endswith(f"/payment/callback/{method}"):
            yield Finding("warning", "notify_url", _("通知地址的路径不是本系统的回调路径"), fix)

    return check


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost", ".test"))


# -- checks of keys and certificates ---------------------------------------------------------------


def _loaded(values: Values, key: str, load: Callable[[str], Loaded]) -> Loaded | None:
    """None for what is empty or unreadable: that has been reported as misconfigured."""
    try:
        return load(values[key]) if values.get(key) else None
    except KeyUnreadable:
        return None


def _key_size_check(key: str, load: Callable[[str], RSAPrivateKey | RSAPublicKey]) -> Check:
    def check(values: Values, now: datetime) -> Iterator[Finding]:
        loaded = _loaded(values, key, load)
        if loaded and loaded.key_size < KEY_BITS_MIN:
            yield Finding("error", key, _("密钥短于 2048 位"), _("重新生成 2048 位的密钥"))

    return check


def _expiry_check(key: str, load: Callable[[str], list[x509.Certificate]]) -> Check:
    def check(values: Values, now: datetime) -> Iterator[Finding]:
        for certificate in _loaded(values, key, load) or []:
            yield _validity(key, certificate, now)

    return check


def _validity(key: str, certificate: x509.Certificate, now: datetime) -> Finding:
    days_left = (certificate.not_valid_after_utc - now).days
    if certificate.not_valid_before_utc > now:
        return Finding("error", key, _("证书尚未生效"), _("检查服务器时间，或换用已生效的证书"))
    if days_left < 0:
        return Finding("error", key, _("证书已过期"), _("在商户平台更换证书并更新配置"))
    message = format_lazy(_("证书有效期还剩 {days} 天"), days=days_left)
    if days_left < EXPIRY_WARNING_DAYS:
        return Finding("warning", key, message, _("请尽快在商户平台更换证书"))
    return Finding("ok", key, message)


def _wechat_key_source(values: Values, now: datetime) -> Iterator[Finding]:
    is_borrowed = not values.get("api_v3_key")
    if is_borrowed and len(values.get("api_key", "").encode()) == API_V3_KEY_BYTES:
        yield Finding(
            "warning",
            "api_v3_key",
            _("正在用 api_key 充当 APIv3 密钥"),
            _("如果 api_key 是旧版 APIv2 密钥，请另填 api_v3_key"),
        )


def _wechat_merchant_certificates(values: Values, now: datetime) -> Iterator[Finding]:
    """Neither is required beside cert_serial_no; given, they tell about mistakes.

    A file that can't be read is no error then: the serial is known without it.
    """
    readers: tuple[tuple[str, Level, Callable[[str], x509.Certificate]], ...] = (
        ("merchant_cert", "error", keys.load_certificate),
        ("cert_path", "warning", read_certificate_file),
    )
    for key, level, read in readers:
        if not values.get(key):
            continue
        try:
            certificate = read(values[key])
        except KeyUnreadable as error:
            yield Finding(level, key, error.text, _FIXES["wechat", key])
            continue
        yield _validity(key, certificate, now)
        yield from _serial(values, certificate, key)
        yield from _pair(values, certificate, key)


def _serial(values: Values, certificate: x509.Certificate, key: str) -> Iterator[Finding]:
    serial = values.get("cert_serial_no", "")
    if serial and not keys.is_serial_of(certificate, serial):
        is_decimal = serial.isdigit() and int(serial) == certificate.serial_number
        problem = (
            _serial_problem(serial)
            if is_decimal
            else format_lazy(_("证书序列号与 {key} 的证书不一致"), key=key)
        )
        yield Finding("error", "cert_serial_no", problem, _FIXES["wechat", "cert_serial_no"])


def _wechat_platform_serial(values: Values, now: datetime) -> Iterator[Finding]:
    """The serial that signs requests is the merchant's own, never the platform's."""
    serial = values.get("cert_serial_no", "")
    platform = _loaded(values, "platform_cert", keys.load_certificates) or []
    if serial and any(keys.is_serial_of(one, serial) for one in platform):
        yield Finding(
            "error",
            "cert_serial_no",
            _("填入的是微信支付平台证书的序列号，应填商户 API 证书的"),
            _FIXES["wechat", "cert_serial_no"],
        )


def _own_certificate_check(method: str, key: str) -> Check:
    """One's own certificate where the gateway's belongs: every message would be refused."""

    def check(values: Values, now: datetime) -> Iterator[Finding]:
        private_key = _loaded(values, "private_key", keys.load_private_key)
        for certificate in _loaded(values, key, keys.load_certificates) or []:
            try:
                certified = keys.certificate_public_key(certificate)
            except KeyUnreadable:
                continue
            if private_key and keys.is_same_public_key(private_key.public_key(), certified):
                yield Finding(
                    "error", key, _("填入的是自己的证书，应填支付平台的证书"), _FIXES[method, key]
                )

    return check


def _pair(values: Values, certificate: x509.Certificate, key: str) -> Iterator[Finding]:
    """Whether the private key belongs to the certificate."""
    private_key = _loaded(values, "private_key", keys.load_private_key)
    fix = _("填入同一次申请得到的私钥和证书")
    try:
        certified = keys.certificate_public_key(certificate)
    except KeyUnreadable as error:
        yield Finding("error", key, error.text, fix)
        return
    if private_key and not keys.is_same_public_key(private_key.public_key(), certified):
        message = format_lazy(_("私钥与 {key} 的证书不是一对"), key=key)
        yield Finding("error", "private_key", message, fix)


def _alipay_pair(values: Values, now: datetime) -> Iterator[Finding]:
    certificate = _loaded(values, "app_cert", keys.load_certificate)
    if certificate:
        yield from _pair(values, certificate, "app_cert")


def _own_public_key_check(method: str) -> Check:
    """The classic mistake: one's own public key where the gateway's belongs (fzlee#21, #36)."""

    def check(values: Values, now: datetime) -> Iterator[Finding]:
        private_key = _loaded(values, "private_key", keys.load_private_key)
        public_key = _loaded(values, "public_key", keys.load_public_key)
        is_read = private_key and public_key and not _is_unused_public_key(method, values)
        if (
            is_read
            and private_key
            and public_key
            and keys.is_same_public_key(private_key.public_key(), public_key)
        ):
            yield Finding(
                "error",
                "public_key",
                _("填入的是自己的公钥，应填支付平台的公钥"),
                _FIXES[method, "public_key"],
            )

    return check


def _is_unused_public_key(method: str, values: Values) -> bool:
    return method == "alipay" and is_alipay_certificate_mode(values)


def _alipay_seller(values: Values, now: datetime) -> Iterator[Finding]:
    if not values.get("seller_id"):
        yield Finding(
            "warning",
            "seller_id",
            _("未填写卖家 PID，通知里的卖家不会被核对"),
            _("填写 2088 开头的 16 位 PID"),
        )


def _alipay_next_certificate(values: Values, now: datetime) -> Iterator[Finding]:
    """Alipay has gone over to another certificate than the configured one: it is believed by
    itself, and its file belongs into the configuration before the former one ends."""
    if not values.get(KEPT_CERTIFICATES) or not is_alipay_certificate_mode(values):
        return
    try:
        chain = AlipayChain.of(values)
        own = keys.alipay_certificate_sn(keys.load_certificate(values["alipay_cert"]))
        kept = set(chain.believed(values[KEPT_CERTIFICATES], now=now)) - {own}
    except KeyUnreadable:
        return
    if kept:
        yield Finding(
            "warning",
            "alipay_cert",
            format_lazy(_("支付宝已启用新的公钥证书（{sn}），已核对并自动使用"), sn=min(kept)),
            _("在「接口加签方式 - 证书」下载新的 alipayCertPublicKey_RSA2.crt 并更新此项"),
        )


def _unused_keys(values: Values, now: datetime) -> Iterator[Finding]:
    if is_alipay_certificate_mode(values) and values.get("public_key"):
        yield Finding(
            "warning",
            "public_key",
            _("证书模式下不使用支付宝公钥"),
            _("清空支付宝公钥；若改用密钥模式，则清空三份证书"),
        )


_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "wechat": (
        _wechat_app_ids,
        _form_check("wechat", "mch_id", r"[0-9]{8,10}", _("商户号应为 8 到 10 位数字")),
        _wechat_serial_form,
        _form_check(
            "wechat",
            "public_key_id",
            r"PUB_KEY_ID_[0-9A-Z]+",
            _("公钥 ID 应以 PUB_KEY_ID_ 开头（大写）"),
        ),
        _notify_url_check("wechat"),
        _key_size_check("private_key", keys.load_private_key),
        _key_size_check("public_key", keys.load_public_key),
        _expiry_check("platform_cert", keys.load_certificates),
        _own_public_key_check("wechat"),
        _own_certificate_check("wechat", "platform_cert"),
        _wechat_key_source,
        _wechat_merchant_certificates,
        _wechat_platform_serial,
    ),
    "alipay": (
        _form_check(
            "alipay",
            "app_id",
            r"(?!2088)[0-9]{16}",
            _("APPID 应为 16 位数字，且不是 2088 开头的 PID"),
        ),
        _form_check("alipay", "seller_id", r"2088[0-9]{12}", _("PID 应为 2088 开头的 16 位数字")),
        _notify_url_check("alipay"),
        _key_size_check("private_key", keys.load_private_key),
        _key_size_check("public_key", keys.load_public_key),
        _expiry_check("app_cert", lambda text: [keys.load_certificate(text)]),
        _expiry_check("alipay_cert", lambda text: [keys.load_certificate(text)]),
        _own_public_key_check("alipay"),
        _own_certificate_check("alipay", "alipay_cert"),
        _alipay_pair,
        _alipay_seller,
        _alipay_next_certificate,
        _unused_keys,
    ),
}
