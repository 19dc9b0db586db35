"""The configuration keys that each gateway knows. Everything else is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.gateways.errors import MethodNotFound
from config.models import GatewayMethod
from gateways.key_texts import Kind
from tcmpay.common.addresses import ensure_http_url, ensure_public_url

VALUE_BYTES_MAX = 16 * 1024


def _notify_url(value: str) -> None:
    ensure_public_url(value, is_loopback_allowed=settings.DEBUG)


def _http_url(value: str) -> None:
    ensure_http_url(value)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """``ensure_valid`` raises AddressRefused; most keys take any text, which the doctor judges.

    ``where`` tells staff where in the merchant's console the value is found.
    """

    name: str
    description: str | Promise
    where: str | Promise = ""
    kind: Kind = Kind.TEXT
    is_secret: bool = False
    is_documented: bool = False
    is_for_development: bool = False
    ensure_valid: Callable[[str], None] | None = None


_WECHAT = (
    ConfigKey(
        "app_id",
        _("应用 AppID（公众号、小程序或 App）"),
        _("公众平台「设置与开发 - 基本配置」；小程序在「开发管理 - 开发设置」；以 wx 开头"),
        is_documented=True,
    ),
    ConfigKey(
        "app_id_jsapi",
        _("公众号 AppID（JSAPI 支付）"),
        _("公众号与上面的 AppID 不同时填写；须与商户号绑定"),
    ),
    ConfigKey(
        "app_id_mini_program",
        _("小程序 AppID"),
        _("小程序与上面的 AppID 不同时填写；须与商户号绑定"),
    ),
    ConfigKey(
        "app_id_app",
        _("App 的 AppID（App 支付）"),
        _("移动应用在微信开放平台的 AppID，与上面的不同时填写；须与商户号绑定"),
    ),
    ConfigKey(
        "mch_id",
        _("商户号"),
        _("商户平台 pay.weixin.qq.com「账户中心 - 商户信息」，8 到 10 位数字"),
        is_documented=True,
    ),
    ConfigKey(
        "api_key",
        _("API 密钥"),
        _("旧版密钥，通常留空，改填 APIv3 密钥"),
        kind=Kind.SECRET,
        is_secret=True,
        is_documented=True,
    ),
    ConfigKey(
        "cert_path",
        _("商户 API 证书文件路径"),
        _("服务器上 apiclient_cert.pem 的绝对路径；已上传商户 API 证书时可留空"),
        kind=Kind.PATH,
        is_documented=True,
    ),
    ConfigKey(
        "notify_url",
        _("回调通知地址"),
        _("填写本页「回调地址」里的地址；支付平台必须能从公网访问它"),
        kind=Kind.ADDRESS,
        is_documented=True,
        ensure_valid=_notify_url,
    ),
    ConfigKey(
        "api_v3_key",
        _("APIv3 密钥（32 个字符）"),
        _("商户平台「账户中心 - API 安全 - APIv3 密钥 - 设置」，由您自己设定，设定后不再显示"),
        kind=Kind.SECRET,
        is_secret=True,
    ),
    ConfigKey(
        "private_key",
        _("商户 API 私钥（PEM）"),
        _("申请商户 API 证书时证书工具生成的 apiclient_key.pem"),
        kind=Kind.PRIVATE_KEY,
        is_secret=True,
    ),
    ConfigKey(
        "merchant_cert",
        _("商户 API 证书"),
        _("与私钥一起生成的 apiclient_cert.pem，用来核对私钥、序列号和有效期"),
        kind=Kind.CERTIFICATE,
    ),
    ConfigKey(
        "cert_serial_no",
        _("商户 API 证书序列号"),
        _("商户平台「API 安全 - 商户 API 证书 - 管理证书」；上传 apiclient_cert.pem 可自动读取"),
        kind=Kind.SERIAL,
    ),
    ConfigKey(
        "public_key",
        _("微信支付公钥（PEM）"),
        _("商户平台「账户中心 - API 安全 - 微信支付公钥」下载的 pub_key.pem"),
        kind=Kind.PUBLIC_KEY,
    ),
    ConfigKey(
        "public_key_id",
        _("微信支付公钥 ID"),
        _("「微信支付公钥」旁的公钥 ID，以 PUB_KEY_ID_ 开头"),
    ),
    ConfigKey(
        "platform_cert",
        _("微信支付平台证书（PEM）"),
        _("老商户使用：商户平台「API 安全 - 平台证书」；已换用微信支付公钥的留空"),
        kind=Kind.CERTIFICATES,
    ),
    ConfigKey(
        "base_url",
        _("接口地址（仅限开发环境）"),
        _("指向模拟网关；正式环境没有这一项"),
        kind=Kind.ADDRESS,
        is_for_development=True,
        ensure_valid=_http_url,
    ),
)
_ALIPAY = (
    ConfigKey(
        "app_id",
        _("应用 APPID"),
        _("支付宝开放平台 open.alipay.com「控制台 - 应用」，16 位数字"),
        is_documented=True,
    ),
    ConfigKey(
        "private_key",
        _("应用私钥"),
        _("由支付宝开放平台密钥工具生成（RSA2，2048 位），只保存在您手中"),
        kind=Kind.PRIVATE_KEY,
        is_secret=True,
        is_documented=True,
    ),
    # Not a secret by nature, but the setup guide keeps it encrypted.
    ConfigKey(
        "public_key",
        _("支付宝公钥"),
        _("「应用 - 开发设置 - 接口加签方式」：上传应用公钥后，复制页面显示的支付宝公钥"),
        kind=Kind.PUBLIC_KEY,
        is_secret=True,
        is_documented=True,
    ),
    ConfigKey(
        "notify_url",
        _("回调通知地址"),
        _("填写本页「回调地址」里的地址；随每笔支付发送，控制台的应用网关可留空"),
        kind=Kind.ADDRESS,
        is_documented=True,
        ensure_valid=_notify_url,
    ),
    ConfigKey(
        "return_url",
        _("支付完成后的跳转地址"),
        _("付款后浏览器回到的页面，例如 https://您的应用/payment/success"),
        kind=Kind.ADDRESS,
        is_documented=True,
        ensure_valid=_http_url,
    ),
    ConfigKey(
        "seller_id",
        _("收款方支付宝用户号（PID）"),
        _("商家平台 b.alipay.com「账户中心 - 商户信息」，2088 开头的 16 位数字；建议填写"),
    ),
    ConfigKey(
        "app_cert",
        _("应用公钥证书"),
        _("证书模式：「接口加签方式 - 证书」下载的 appCertPublicKey_….crt"),
        kind=Kind.CERTIFICATE,
    ),
    ConfigKey(
        "alipay_cert",
        _("支付宝公钥证书"),
        _("证书模式：同一页面下载的 alipayCertPublicKey_RSA2.crt"),
        kind=Kind.CERTIFICATE,
    ),
    ConfigKey(
        "root_cert",
        _("支付宝根证书"),
        _("证书模式：同一页面下载的 alipayRootCert.crt"),
        kind=Kind.ROOTS,
    ),
    ConfigKey(
        "gateway_url",
        _("网关地址（仅限开发环境）"),
        _("指向模拟网关；正式环境没有这一项"),
        kind=Kind.ADDRESS,
        is_for_development=True,
        ensure_valid=_http_url,
    ),
)
KNOWN_KEYS: Mapping[str, Mapping[str, ConfigKey]] = {
    GatewayMethod.WECHAT.value: {key.name: key for key in _WECHAT},
    GatewayMethod.ALIPAY.value: {key.name: key for key in _ALIPAY},
}


def keys_of(method: str) -> Mapping[str, ConfigKey]:
    """The keys in force for ``method``: those for development only with DEBUG on.

    Raises MethodNotFound.
    """
    if method not in KNOWN_KEYS:
        raise MethodNotFound()
    return {
        name: key
        for name, key in KNOWN_KEYS[method].items()
        if settings.DEBUG or not key.is_for_development
    }
