"""The configuration keys that each gateway knows. Everything else is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.addresses import ensure_http_url, ensure_public_url
from config.errors import MethodNotFound
from config.models import GatewayMethod

VALUE_BYTES_MAX = 16 * 1024


def _notify_url(value: str) -> None:
    ensure_public_url(value, is_loopback_allowed=settings.DEBUG)


def _http_url(value: str) -> None:
    ensure_http_url(value)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """``ensure_valid`` raises AddressRefused; most keys take any text, which the doctor judges."""

    name: str
    description: str | Promise
    is_secret: bool = False
    is_documented: bool = False
    is_for_development: bool = False
    ensure_valid: Callable[[str], None] | None = None


_WECHAT = (
    ConfigKey("app_id", _("应用 AppID（公众号、小程序或 App）"), is_documented=True),
    ConfigKey("mch_id", _("商户号"), is_documented=True),
    ConfigKey("api_key", _("API 密钥"), is_secret=True, is_documented=True),
    ConfigKey("cert_path", _("商户 API 证书文件路径"), is_documented=True),
    ConfigKey("notify_url", _("回调通知地址"), is_documented=True, ensure_valid=_notify_url),
    ConfigKey("api_v3_key", _("APIv3 密钥（32 个字符）"), is_secret=True),
    ConfigKey("private_key", _("商户 API 私钥（PEM）"), is_secret=True),
    ConfigKey("cert_serial_no", _("商户 API 证书序列号")),
    ConfigKey("public_key", _("微信支付公钥（PEM）")),
    ConfigKey("public_key_id", _("微信支付公钥 ID")),
    ConfigKey("platform_cert", _("微信支付平台证书（PEM）")),
    ConfigKey(
        "base_url", _("接口地址（仅限开发环境）"), is_for_development=True, ensure_valid=_http_url
    ),
)
_ALIPAY = (
    ConfigKey("app_id", _("应用 APPID"), is_documented=True),
    ConfigKey("private_key", _("应用私钥"), is_secret=True, is_documented=True),
    # Not a secret by nature, but the setup guide keeps it encrypted.
    ConfigKey("public_key", _("支付宝公钥"), is_secret=True, is_documented=True),
    ConfigKey("notify_url", _("回调通知地址"), is_documented=True, ensure_valid=_notify_url),
    ConfigKey("return_url", _("支付完成后的跳转地址"), is_documented=True, ensure_valid=_http_url),
    ConfigKey("seller_id", _("收款方支付宝用户号（PID）")),
    ConfigKey("app_cert", _("应用公钥证书")),
    ConfigKey("alipay_cert", _("支付宝公钥证书")),
    ConfigKey("root_cert", _("支付宝根证书")),
    ConfigKey(
        "gateway_url",
        _("网关地址（仅限开发环境）"),
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
