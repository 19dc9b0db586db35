"""What can be wrong with a configuration of WeChat Pay, and what to do about it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography import x509
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.configuration import Values
from gateways.findings import (
    Finding,
    Findings,
    Fixes,
    Level,
    check_expiry,
    check_form,
    check_key_size,
    check_notify_url,
    check_own_certificate,
    check_own_public_key,
    check_pair,
    loaded,
    proof,
    validity,
)
from gateways.key_blocks import KeyUnreadable
from gateways.texts import Text
from gateways.wechat.configuration import API_V3_KEY_BYTES, read_certificate_file

SERIAL_DIGITS_MIN, SERIAL_DIGITS_MAX = 16, 40
DECIMAL_SERIAL_DIGITS_MIN, DECIMAL_SERIAL_DIGITS_MAX = 30, 60
_SERIAL = re.compile(r"[0-9A-F]+", re.ASCII)
_APP_ID = re.compile(r"wx[0-9a-z]{16}", re.ASCII)

FIXES: Fixes = {
    "app_id": _("在公众平台或开放平台复制 AppID（以 wx 开头）"),
    "mch_id": _("在微信支付商户平台「账户中心 - 商户信息」复制商户号"),
    "api_key": _("在商户平台「API 安全」设置 APIv3 密钥，并填入 api_v3_key"),
    "api_v3_key": _("在商户平台「API 安全」设置 APIv3 密钥（32 个字符）"),
    "private_key": _("填入商户 API 证书压缩包里 apiclient_key.pem 的全部内容"),
    "cert_serial_no": _("在「API 安全 - 商户 API 证书」复制证书序列号"),
    "cert_path": _("填写服务器上 apiclient_cert.pem 的绝对路径，并允许本服务读取"),
    "public_key": _("在「API 安全 - 微信支付公钥」下载 pub_key.pem 并填入全部内容"),
    "public_key_id": _("复制「微信支付公钥」旁的公钥 ID（以 PUB_KEY_ID_ 开头）"),
    "platform_cert": _("填入微信支付平台证书的 PEM 内容，或改用微信支付公钥"),
    "merchant_cert": _("填入商户 API 证书压缩包里 apiclient_cert.pem 的全部内容"),
    "notify_url": _("填写公网 https 地址，以 /payment/callback/wechat 结尾"),
}
# "No such order" comes unsigned, so that it says nothing about WeChat's own key.
QUERY_PROOF = proof(
    _("签名查询被接受：商户号、证书序列号和商户私钥相符"),
    _("AppID、微信支付公钥（平台证书）、APIv3 密钥、通知地址、产品权限"),
)
ORDER_PROOF = proof(
    _("已创建一分钱的测试订单：AppID 与商户号已绑定，Native 支付已开通，应答可以验签"),
    _("APIv3 密钥和通知地址（要有通知到达）、其他场景的 AppID、JSAPI、H5 和 APP 支付的权限"),
)
# The certificates of a configuration that are ours to renew, by the key that holds them.
CERTIFICATES: Mapping[str, Callable[[str], list[x509.Certificate]]] = {
    "merchant_cert": lambda text: [keys.load_certificate(text)],
    "cert_path": lambda path: [read_certificate_file(path)],
    "platform_cert": keys.load_certificates,
}


def checks(values: Values, now: datetime) -> tuple[Findings, ...]:
    mch_id, key_id = _("商户号应为 8 到 10 位数字"), _("公钥 ID 应以 PUB_KEY_ID_ 开头（大写）")
    return (
        _app_ids(values),
        check_form(values, FIXES, "mch_id", r"[0-9]{8,10}", mch_id),
        _serial_form(values),
        check_form(values, FIXES, "public_key_id", r"PUB_KEY_ID_[0-9A-Z]+", key_id),
        check_notify_url(values, FIXES, "wechat"),
        check_key_size(values, "private_key", keys.load_private_key),
        check_key_size(values, "public_key", keys.load_public_key),
        check_expiry(values, now, "platform_cert", keys.load_certificates),
        check_own_public_key(values, FIXES),
        check_own_certificate(values, FIXES, "platform_cert"),
        _api_v3_key_source(values),
        _merchant_certificates(values, now),
        _platform_serial(values),
    )


def _app_ids(values: Values) -> Findings:
    """The default one and those of single scenes."""
    for key in [key for key in values if key == "app_id" or key.startswith("app_id_")]:
        if values[key] and not _APP_ID.fullmatch(values[key]):
            message = _("AppID 的形式不对：应为 wx 加 16 位小写字母或数字")
            yield Finding("error", key, message, FIXES["app_id"])


def _serial_form(values: Values) -> Findings:
    serial = keys.serial_text(values.get("cert_serial_no", ""))
    fix = FIXES["cert_serial_no"]
    if not serial:
        return
    # Forty random hexadecimal digits without a letter happen once in 140 million.
    is_decimal = serial.isdigit() and len(serial) >= DECIMAL_SERIAL_DIGITS_MIN
    if not _SERIAL.fullmatch(serial) or len(serial) > SERIAL_DIGITS_MAX or is_decimal:
        yield Finding("error", "cert_serial_no", _serial_problem(serial), fix)
    elif len(serial) < SERIAL_DIGITS_MIN:
        yield Finding("warning", "cert_serial_no", _("证书序列号过短，通常为 40 位"), fix)


def _serial_problem(serial: str) -> Text:
    if serial.isdigit() and len(serial) <= DECIMAL_SERIAL_DIGITS_MAX:
        return format_lazy(
            _("填入的是十进制的序列号，应填十六进制：{serial}"),
            serial=keys.serial_text(f"{int(serial):X}"),
        )
    return _("证书序列号应为 40 位十六进制")


def _api_v3_key_source(values: Values) -> Findings:
    is_borrowed = not values.get("api_v3_key")
    if is_borrowed and len(values.get("api_key", "").encode()) == API_V3_KEY_BYTES:
        yield Finding(
            "warning",
            "api_v3_key",
            _("正在用 api_key 充当 APIv3 密钥"),
            _("如果 api_key 是旧版 APIv2 密钥，请另填 api_v3_key"),
        )


def _merchant_certificates(values: Values, now: datetime) -> Findings:
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
            yield Finding(level, key, error.text, FIXES[key])
            continue
        yield validity(key, certificate, now)
        yield from _serial(values, certificate, key)
        yield from check_pair(values, certificate, key)


def _serial(values: Values, certificate: x509.Certificate, key: str) -> Findings:
    serial = values.get("cert_serial_no", "")
    if serial and not keys.is_serial_of(certificate, serial):
        is_decimal = serial.isdigit() and int(serial) == certificate.serial_number
        problem = (
            _serial_problem(serial)
            if is_decimal
            else format_lazy(_("证书序列号与 {key} 的证书不一致"), key=key)
        )
        yield Finding("error", "cert_serial_no", problem, FIXES["cert_serial_no"])


def _platform_serial(values: Values) -> Findings:
    """The serial that signs requests is the merchant's own, never the platform's."""
    serial = values.get("cert_serial_no", "")
    platform = loaded(values, "platform_cert", keys.load_certificates) or []
    if serial and any(keys.is_serial_of(one, serial) for one in platform):
        message = _("填入的是微信支付平台证书的序列号，应填商户 API 证书的")
        yield Finding("error", "cert_serial_no", message, FIXES["cert_serial_no"])
