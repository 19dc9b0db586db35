"""What can be wrong with a configuration of Alipay, and what to do about it."""

from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography import x509
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.alipay.chain import KEPT_CERTIFICATES, AlipayChain
from gateways.alipay.configuration import is_certificate_mode
from gateways.configuration import Values
from gateways.findings import (
    Finding,
    Findings,
    Fixes,
    check_expiry,
    check_form,
    check_key_size,
    check_notify_url,
    check_own_certificate,
    check_own_public_key,
    check_pair,
    loaded,
    proof,
)
from gateways.key_blocks import KeyUnreadable

FIXES: Fixes = {
    "app_id": _("在支付宝开放平台「控制台 - 应用」复制 APPID（16 位数字）"),
    "private_key": _("填入密钥工具生成的应用私钥"),
    "public_key": _("在「接口加签方式」里复制支付宝公钥，而不是应用公钥"),
    "notify_url": _("填写公网 https 地址，以 /payment/callback/alipay 结尾"),
    "seller_id": _("填写 2088 开头的 16 位 PID"),
    "app_cert": _("填入 appCertPublicKey_….crt 的内容"),
    "alipay_cert": _("填入 alipayCertPublicKey_RSA2.crt 的内容"),
    "root_cert": _("填入 alipayRootCert.crt 的全部内容"),
}
QUERY_PROOF = proof(
    _("签名查询被接受，应答可以验签：APPID、应用私钥和支付宝公钥（证书）相符"),
    _("收款方 PID、通知地址、产品权限"),
)
ORDER_PROOF = proof(
    _("已创建一分钱的测试订单：当面付已开通"),
    _("收款方 PID 和通知地址（要有通知到达）、电脑网站、手机网站和 APP 支付的权限"),
)


def _first(text: str) -> list[x509.Certificate]:
    """Of a chain: those behind it are not ours to renew."""
    return [keys.load_certificate(text)]


# The certificates of a configuration that are ours to renew, by the key that holds them.
CERTIFICATES: Mapping[str, Callable[[str], list[x509.Certificate]]] = {
    "app_cert": _first,
    "alipay_cert": _first,
}


def checks(values: Values, now: datetime) -> tuple[Findings, ...]:
    app_id = _("APPID 应为 16 位数字，且不是 2088 开头的 PID")
    seller_id = _("PID 应为 2088 开头的 16 位数字")
    is_by_certificate = is_certificate_mode(values)
    return (
        check_form(values, FIXES, "app_id", r"(?!2088)[0-9]{16}", app_id),
        check_form(values, FIXES, "seller_id", r"2088[0-9]{12}", seller_id),
        check_notify_url(values, FIXES, "alipay"),
        check_key_size(values, "private_key", keys.load_private_key),
        check_key_size(values, "public_key", keys.load_public_key),
        check_expiry(values, now, "app_cert", _first),
        check_expiry(values, now, "alipay_cert", _first),
        check_own_public_key({} if is_by_certificate else values, FIXES),  # then it is not used
        check_own_certificate(values, FIXES, "alipay_cert"),
        _app_certificate(values),
        _seller(values),
        *((_next_certificate(values, now), _unused_key(values)) if is_by_certificate else ()),
    )


def _app_certificate(values: Values) -> Findings:
    certificate = loaded(values, "app_cert", keys.load_certificate)
    if certificate:
        yield from check_pair(values, certificate, "app_cert")


def _seller(values: Values) -> Findings:
    if not values.get("seller_id"):
        message = _("未填写卖家 PID，通知里的卖家不会被核对")
        yield Finding("warning", "seller_id", message, FIXES["seller_id"])


def _next_certificate(values: Values, now: datetime) -> Findings:
    """Alipay has gone over to another certificate than the configured one: it is trusted by
    itself, and its file belongs into the configuration before the former one ends."""
    if not values.get(KEPT_CERTIFICATES):
        return
    try:
        own = keys.alipay_certificate_sn(keys.load_certificate(values["alipay_cert"]))
        kept = AlipayChain.of(values).trusted(values[KEPT_CERTIFICATES], now=now)
    except KeyUnreadable:
        return
    if others := set(kept) - {own}:
        yield Finding(
            "warning",
            "alipay_cert",
            format_lazy(_("支付宝已启用新的公钥证书（{sn}），已核对并自动使用"), sn=min(others)),
            _("在「接口加签方式 - 证书」下载新的 alipayCertPublicKey_RSA2.crt 并更新此项"),
        )


def _unused_key(values: Values) -> Findings:
    if values.get("public_key"):
        yield Finding(
            "warning",
            "public_key",
            _("证书模式下不使用支付宝公钥"),
            _("清空支付宝公钥；若改用密钥模式，则清空三份证书"),
        )
