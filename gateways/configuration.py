"""From the texts of ``payment_configs`` to a configuration with which a client can be made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509 import Certificate
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.alipay_chain import AlipayChain
from gateways.errors import GatewayMisconfigured
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable, visible
from gateways.texts import Text

WECHAT_BASE_URL = "https://api.mch.weixin.qq.com"
ALIPAY_GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
API_V3_KEY_BYTES = 32
ALIPAY_SIGN_TYPE = "RSA2"
_CALLBACK_METHODS = ("wechat", "alipay")

Value = TypeVar("Value")


class _Reader:
    """Reads configuration values and collects what is wrong with them, key by key."""

    def __init__(self, values: Mapping[str, str]) -> None:
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

    def finish(self) -> None:
        if self.problems:
            raise GatewayMisconfigured(self.problems)


@dataclass(frozen=True, eq=False, kw_only=True)
class WechatConfig:
    """A direct merchant of WeChat Pay APIv3.

    ``verifiers`` are the keys that answers and notifications may be signed with, by the serial
    that messages name: the public key, the platform certificates, or both during a migration.
    """

    app_id: str
    mch_id: str
    cert_serial_no: str
    notify_url: str
    base_url: str
    public_key_id: str
    answer_serial: str  # of the key that answers are wanted with: as WeChat writes it
    api_v3_key: str = field(repr=False)
    private_key: RSAPrivateKey = field(repr=False)
    verifiers: Mapping[str, RSAPublicKey] = field(repr=False)

    @classmethod
    def from_values(
        cls,
        values: Mapping[str, str],
        *,
        allow_custom_base: bool = False,
        base_url: str | None = None,
    ) -> Self:
        """Raises GatewayMisconfigured with a problem for each key that is wrong."""
        reader = _Reader(values)
        app_id, mch_id = reader.required("app_id"), reader.required("mch_id")
        api_v3_key = _api_v3_key(reader)
        private_key = reader.required_parsed("private_key", keys.load_private_key)
        verifiers = _wechat_verifiers(reader)
        serial = _merchant_serial(reader)
        notify_url = _notify_url(reader, "wechat")
        reader.finish()
        return cls(
            app_id=app_id,
            mch_id=mch_id,
            cert_serial_no=serial,
            notify_url=notify_url,
            base_url=_address(reader, "base_url", base_url, WECHAT_BASE_URL, allow_custom_base),
            public_key_id=reader.text("public_key_id"),
            answer_serial=reader.text("public_key_id") or _platform_serial(reader),
            api_v3_key=api_v3_key,
            private_key=cast(RSAPrivateKey, private_key),  # finish() has raised otherwise
            verifiers=verifiers,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class AlipayConfig:
    """A self-run Alipay application, in key mode or (``app_cert_sn`` set) certificate mode."""

    app_id: str
    seller_id: str
    notify_url: str
    return_url: str
    gateway_url: str
    app_cert_sn: str
    root_cert_sn: str
    alipay_cert_sn: str
    private_key: RSAPrivateKey = field(repr=False)
    alipay_public_key: RSAPublicKey = field(repr=False)
    # By the SN of the certificate (empty in key mode), the configured one first; in certificate
    # mode those that Alipay went over to since, and what proves one of them.
    verifiers: Mapping[str, RSAPublicKey] = field(repr=False)
    chain: AlipayChain | None = field(repr=False)

    @classmethod
    def from_values(
        cls,
        values: Mapping[str, str],
        *,
        allow_custom_base: bool = False,
        gateway_url: str | None = None,
    ) -> Self:
        """Raises GatewayMisconfigured with a problem for each key that is wrong."""
        reader = _Reader(values)
        app_id = reader.required("app_id")
        private_key = reader.required_parsed("private_key", keys.load_private_key)
        names, public_key = _alipay_verifier(reader)
        notify_url = _notify_url(reader, "alipay")
        reader.finish()
        chain = AlipayChain.of(values) if names else None
        cert_sn, own_key = names.get("alipay_cert", ""), cast(RSAPublicKey, public_key)
        return cls(
            app_id=app_id,
            seller_id=reader.text("seller_id"),
            notify_url=notify_url,
            return_url=reader.text("return_url"),
            gateway_url=_address(
                reader, "gateway_url", gateway_url, ALIPAY_GATEWAY_URL, allow_custom_base
            ),
            app_cert_sn=names.get("app_cert", ""),
            root_cert_sn=names.get("root_cert", ""),
            alipay_cert_sn=cert_sn,
            private_key=cast(RSAPrivateKey, private_key),  # finish() has raised otherwise
            alipay_public_key=own_key,
            verifiers={cert_sn: own_key, **(chain.kept(values) if chain else {})},
            chain=chain,
        )


def is_alipay_certificate_mode(values: Mapping[str, str]) -> bool:
    return any((values.get(key) or "").strip() for key in ("app_cert", "alipay_cert", "root_cert"))


def notify_url_in_path_form(url: str) -> str:
    """``…/payment/callback?method=wechat`` as ``…/payment/callback/wechat``; others unchanged.

    Both gateways forbid a query string in a notify_url.
    """
    parts = urlsplit(url)
    method = parts.query.removeprefix("method=")
    if method == parts.query or method not in _CALLBACK_METHODS:
        return url
    path = f"{parts.path.rstrip('/')}/{method}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _notify_url(reader: _Reader, method: str) -> str:
    url = notify_url_in_path_form(reader.required("notify_url"))
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        reader.problems["notify_url"] = _("不是完整的 http(s) 地址")
    elif parts.query or parts.fragment:
        reader.problems["notify_url"] = _("支付平台不允许通知地址带查询参数")
    elif any(parts.path.endswith(f"/{other}") for other in _CALLBACK_METHODS if other != method):
        reader.problems["notify_url"] = _("填成了另一种支付方式的通知地址")
    return url


def _api_v3_key(reader: _Reader) -> str:
    """The APIv3 key; an ``api_key`` of 32 bytes serves while ``api_v3_key`` is empty."""
    key = reader.text("api_v3_key") or reader.text("api_key")
    if len(key.encode()) != API_V3_KEY_BYTES:
        name = "api_v3_key" if reader.text("api_v3_key") or not key else "api_key"
        reader.problems[name] = _("APIv3 密钥必须正好 32 个字节")
    return key


def _wechat_verifiers(reader: _Reader) -> dict[str, RSAPublicKey]:
    verifiers: dict[str, RSAPublicKey] = {}
    public_key_id = reader.text("public_key_id")
    public_key = reader.parsed("public_key", keys.load_public_key)
    if public_key and public_key_id:
        verifiers[keys.serial_normalised(public_key_id)] = public_key
    elif public_key:
        reader.problems["public_key_id"] = _("填写了微信支付公钥，还必须填写公钥 ID")
    elif public_key_id and not reader.text("public_key"):
        reader.problems["public_key"] = _("填写了公钥 ID，还必须填写微信支付公钥")
    verifiers.update(reader.parsed("platform_cert", _platform_keys) or {})
    is_either_given = reader.text("public_key") or reader.text("platform_cert")
    if not is_either_given and "public_key" not in reader.problems:
        reader.problems["public_key"] = _("微信支付公钥和平台证书至少填写一种")
    return verifiers


def _platform_keys(bundle: str) -> dict[str, RSAPublicKey]:
    certificates = {
        keys.serial_normalised(keys.certificate_serial(one)): one
        for one in keys.load_certificates(bundle)
    }
    return {serial: keys.certificate_public_key(one) for serial, one in certificates.items()}


def _platform_serial(reader: _Reader) -> str:
    """The newest platform certificate's."""
    bundle = reader.parsed("platform_cert", keys.load_certificates) or []
    newest = max(bundle, key=lambda one: one.not_valid_before_utc, default=None)
    return keys.certificate_serial(newest) if newest else ""


def _merchant_serial(reader: _Reader) -> str:
    given = reader.text("cert_serial_no")
    if given:
        return keys.serial_text(given)
    if reader.text("merchant_cert"):
        certificate = reader.parsed("merchant_cert", keys.load_certificate)
    elif reader.text("cert_path"):
        certificate = reader.parsed("cert_path", read_certificate_file)
    else:
        reader.problems["cert_serial_no"] = _("证书序列号和证书路径至少填写一种")
        return ""
    return keys.certificate_serial(certificate) if certificate else ""


def read_certificate_file(path: str) -> Certificate:
    """The certificate that lies at ``path`` on this server.

    Raises KeyUnreadable with one and the same text for whatever else there may be: who sets a
    path must not learn which files this server has, or what is in them.
    """
    try:
        return keys.load_certificate(_content_of(Path(path)))
    except (KeyUnreadable, OSError, ValueError) as error:
        raise KeyUnreadable(_("该路径没有本服务可读取的证书")) from error


def _content_of(file: Path) -> bytes:
    # A device or a pipe would never end.
    if not file.is_file() or file.stat().st_size > KEY_FILE_BYTES_MAX:
        raise KeyUnreadable("")
    return file.read_bytes()


def _alipay_verifier(reader: _Reader) -> tuple[dict[str, str], RSAPublicKey | None]:
    """The SNs of certificate mode (else none), and the key that Alipay signs with."""
    if not is_alipay_certificate_mode({key: reader.text(key) for key in _CERTIFICATE_NAMES}):
        return {}, reader.required_parsed("public_key", keys.load_public_key)
    names = {
        key: reader.required_parsed(key, name) or "" for key, name in _CERTIFICATE_NAMES.items()
    }
    loaded = reader.parsed("alipay_cert", keys.load_rsa_certificate)
    return names, loaded[1] if loaded else None


def _certificate_name(text: str) -> str:
    return keys.alipay_certificate_sn(keys.load_certificate(text))


_CERTIFICATE_NAMES: Mapping[str, Callable[[str], str]] = {
    "app_cert": _certificate_name,
    "alipay_cert": _certificate_name,
    "root_cert": keys.alipay_root_sn,
}


def _address(
    reader: _Reader, key: str, argument: str | None, default: str, is_custom_allowed: bool
) -> str:
    """The caller's own address, else (where allowed) the configured one, else the real one."""
    configured = reader.text(key) if is_custom_allowed else ""
    return (argument or configured or default).rstrip("/?")
