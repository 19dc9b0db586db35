"""A configuration of WeChat Pay with which a client can be made."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509 import Certificate
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.configuration import ConfigReader, Values, key_mark
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable

BASE_URL = "https://api.mch.weixin.qq.com"
API_V3_KEY_BYTES = 32
# The scenes that may have an AppID of their own, by the key that holds it; the others use app_id.
SCENE_APP_ID_KEYS: Mapping[str, str] = {
    "jsapi": "app_id_jsapi",
    "mini_program": "app_id_mini_program",
    "app": "app_id_app",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class WechatConfig:
    """A direct merchant of WeChat Pay APIv3.

    ``verifiers`` are the keys that answers and notifications may be signed with, by the serial
    that messages name: the public key, the platform certificates, or both during a migration.
    ``scene_app_ids`` are the AppIDs of scenes that have their own; ``known_app_ids`` all that a
    message may be about, those of earlier configurations among them.
    """

    # Whose money it is: what was begun under one configuration goes on under another of the same.
    merchant_key: ClassVar[str] = "mch_id"

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

    @classmethod
    def from_values(
        cls, values: Values, *, allow_custom_base: bool = False, base_url: str = ""
    ) -> Self:
        """``base_url``, else (where allowed) the configured one, else the real one, is asked.

        Raises GatewayMisconfigured with a problem for each key that is wrong.
        """
        reader = ConfigReader(values)
        app_id, mch_id = reader.required("app_id"), reader.required("mch_id")
        api_v3_key = _api_v3_key(reader)
        private_key = reader.required_parsed("private_key", keys.load_private_key)
        verifiers = _verifiers(reader)
        serial = _merchant_serial(reader)
        notify_url = reader.notify_url("wechat")
        reader.finish()
        configured_url = reader.text("base_url") if allow_custom_base else ""
        return cls(
            app_id=app_id,
            mch_id=mch_id,
            cert_serial_no=serial,
            notify_url=notify_url,
            base_url=(base_url or configured_url or BASE_URL).rstrip("/?"),
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
            known_app_ids=app_ids_of(values),
        )

    def app_id_of(self, scene: str) -> str:
        return self.scene_app_ids.get(scene, self.app_id)

    def trusting(self, former: Iterable[Self], apps_of: Iterable[Values]) -> Self:
        """The same, which also trusts what the keys of ``former`` sign, and knows the apps of the
        configurations ``apps_of``."""
        verifiers: dict[str, RSAPublicKey] = {}
        for config in former:
            verifiers = {**config.verifiers, **verifiers}
        app_ids = self.known_app_ids.union(*map(app_ids_of, apps_of))
        return replace(self, verifiers={**verifiers, **self.verifiers}, known_app_ids=app_ids)

    def callback_key_marks(self) -> frozenset[str]:
        """The marks of the keys that verify callbacks, and of the APIv3 key that decrypts them."""
        secret = hashlib.sha256(f"APIv3 {self.api_v3_key}".encode()).hexdigest()
        return frozenset({*map(key_mark, self.verifiers.values()), f"APIv3 {secret}"})


def app_ids_of(values: Values) -> frozenset[str]:
    """Every AppID that these values name."""
    texts = ((values.get(key) or "").strip() for key in ("app_id", *SCENE_APP_ID_KEYS.values()))
    return frozenset(text for text in texts if text)


def read_certificate_file(path: str) -> Certificate:
    """The certificate that lies at ``path`` on this server.

    Raises KeyUnreadable with one and the same text for whatever else there may be: who sets a
    path must not learn which files this server has, or what is in them.
    """
    file = Path(path)
    try:
        # A device or a pipe would never end.
        if not file.is_file() or file.stat().st_size > KEY_FILE_BYTES_MAX:
            raise KeyUnreadable("")
        return keys.load_certificate(file.read_bytes())
    except (KeyUnreadable, OSError, ValueError) as error:
        raise KeyUnreadable(_("该路径没有本服务可读取的证书")) from error


def _api_v3_key(reader: ConfigReader) -> str:
    """The APIv3 key; an ``api_key`` of 32 bytes serves while ``api_v3_key`` is empty."""
    key = reader.text("api_v3_key") or reader.text("api_key")
    if len(key.encode()) != API_V3_KEY_BYTES:
        name = "api_v3_key" if reader.text("api_v3_key") or not key else "api_key"
        reader.problems[name] = _("APIv3 密钥必须正好 32 个字节")
    return key


def _verifiers(reader: ConfigReader) -> dict[str, RSAPublicKey]:
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


def _platform_serial(reader: ConfigReader) -> str:
    """The newest platform certificate's."""
    bundle = reader.parsed("platform_cert", keys.load_certificates) or []
    newest = max(bundle, key=lambda one: one.not_valid_before_utc, default=None)
    return keys.certificate_serial(newest) if newest else ""


def _merchant_serial(reader: ConfigReader) -> str:
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
