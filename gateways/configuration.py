"""From the texts of ``payment_configs`` to a configuration with which a client can be made."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.alipay.chain import AlipayChain
from gateways.errors import GatewayMisconfigured
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable, visible
from gateways.texts import Text

WECHAT_BASE_URL = "https://api.mch.weixin.qq.com"
ALIPAY_GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
API_V3_KEY_BYTES = 32
ALIPAY_SIGN_TYPE = "RSA2"
_CALLBACK_METHODS = ("wechat", "alipay")
# The scenes that may have an AppID of their own, by the key that holds it; the others use app_id.
SCENE_APP_ID_KEYS: Mapping[str, str] = {
    "jsapi": "app_id_jsapi",
    "mini_program": "app_id_mini_program",
    "app": "app_id_app",
}
# Whose money it is: what was begun under one configuration goes on under another of the same.
_MERCHANT_KEYS: Mapping[str, str] = {"wechat": "mch_id", "alipay": "app_id"}
KEY_MARK_DIGITS = 32

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
    ``scene_app_ids`` are the AppIDs of scenes that have their own; ``known_app_ids`` all that a
    message may be about, those of earlier configurations among them.
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
    scene_app_ids: Mapping[str, str] = field(default_factory=dict)
    known_app_ids: frozenset[str] = frozenset()

    def app_id_of(self, scene: str) -> str:
        return self.scene_app_ids.get(scene, self.app_id)

    def believing(self, former: Iterable[Self], apps_of: Iterable[Mapping[str, str]]) -> Self:
        """The same, which also believes what the keys of ``former`` sign, and knows the apps of
        the configurations ``apps_of``."""
        verifiers: dict[str, RSAPublicKey] = {}
        for config in former:
            verifiers = {**config.verifiers, **verifiers}
        app_ids = self.known_app_ids.union(*map(wechat_app_ids, apps_of))
        return replace(self, verifiers={**verifiers, **self.verifiers}, known_app_ids=app_ids)

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
            scene_app_ids={
                scene: reader.text(key)
                for scene, key in SCENE_APP_ID_KEYS.items()
                if reader.text(key)
            },
            known_app_ids=wechat_app_ids(values),
        )


def wechat_app_ids(values: Mapping[str, str]) -> frozenset[str]:
    """Every AppID that these values name."""
    texts = ((values.get(key) or "").strip() for key in ("app_id", *SCENE_APP_ID_KEYS.values()))
    return frozenset(text for text in texts if text)


class AlipayVerifier(NamedTuple):
    """A key that Alipay signs with, and in certificate mode the SN that it goes by."""

    sn: str
    key: RSAPublicKey


@dataclass(frozen=True, eq=False, kw_only=True)
class AlipayConfig:
    """A self-run Alipay application, in key mode or (``app_cert_sn`` set) certificate mode.

    ``former`` are the keys of earlier configurations that still verify answers.
    """

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
    former: tuple[AlipayVerifier, ...] = field(default=(), repr=False)

    def believing(self, former: Iterable[Self]) -> Self:
        """The same, which also believes answers that the keys of ``former`` sign."""
        verifiers = (AlipayVerifier(*item) for one in former for item in one.verifiers.items())
        return replace(self, former=(*self.former, *verifiers))

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


def merchant_of(method: str, values: Mapping[str, str]) -> str:
    """The merchant (WeChat Pay) or the application (Alipay) that these values speak for."""
    return (values.get(_MERCHANT_KEYS[method]) or "").strip()


def key_mark(key: RSAPublicKey) -> str:
    """A short name of a public key: the same for the same key, however it was written."""
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:KEY_MARK_DIGITS]


def callback_key_marks(method: str, values: Mapping[str, str]) -> frozenset[str]:
    """What makes callbacks believed under these values: the marks of the gateway's keys and, at
    WeChat Pay, of the APIv3 key that opens them. None where no client can be made of them."""
    try:
        if method == "wechat":
            wechat = WechatConfig.from_values(values)
            secret = hashlib.sha256(f"APIv3 {wechat.api_v3_key}".encode()).hexdigest()
            return frozenset({*map(key_mark, wechat.verifiers.values()), f"APIv3 {secret}"})
        return frozenset(map(key_mark, AlipayConfig.from_values(values).verifiers.values()))
    except GatewayMisconfigured:
        return frozenset()


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
