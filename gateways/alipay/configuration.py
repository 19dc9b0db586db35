"""A configuration of Alipay with which a client can be made."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from gateways import keys
from gateways.alipay.chain import AlipayChain
from gateways.configuration import ConfigReader, Values, key_mark

GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
SIGN_TYPE = "RSA2"


class AlipayVerifier(NamedTuple):
    """A key that Alipay signs with, and in certificate mode the SN that it goes by."""

    sn: str
    key: RSAPublicKey


@dataclass(frozen=True, eq=False, kw_only=True)
class AlipayConfig:
    """A self-run Alipay application, in key mode or (``app_cert_sn`` set) certificate mode.

    ``former`` are the keys of earlier configurations that still verify answers.
    """

    # Whose money it is: what was begun under one configuration goes on under another of the same.
    merchant_key: ClassVar[str] = "app_id"

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

    @classmethod
    def from_values(
        cls, values: Values, *, allow_custom_base: bool = False, base_url: str = ""
    ) -> Self:
        """``base_url``, else (where allowed) the configured gateway_url, else the real one, is
        asked.

        Raises GatewayMisconfigured with a problem for each key that is wrong.
        """
        reader = ConfigReader(values)
        app_id = reader.required("app_id")
        private_key = reader.required_parsed("private_key", keys.load_private_key)
        names, public_key = _verifier(reader)
        notify_url = reader.notify_url("alipay")
        reader.finish()
        chain = AlipayChain.of(values) if names else None
        cert_sn, own_key = names.get("alipay_cert", ""), cast(RSAPublicKey, public_key)
        configured_url = reader.text("gateway_url") if allow_custom_base else ""
        return cls(
            app_id=app_id,
            seller_id=reader.text("seller_id"),
            notify_url=notify_url,
            return_url=reader.text("return_url"),
            gateway_url=(base_url or configured_url or GATEWAY_URL).rstrip("/?"),
            app_cert_sn=names.get("app_cert", ""),
            root_cert_sn=names.get("root_cert", ""),
            alipay_cert_sn=cert_sn,
            private_key=cast(RSAPrivateKey, private_key),  # finish() has raised otherwise
            alipay_public_key=own_key,
            verifiers={cert_sn: own_key, **(chain.kept(values) if chain else {})},
            chain=chain,
        )

    def trusting(self, former: Iterable[Self]) -> Self:
        """The same, which also trusts answers that the keys of ``former`` sign."""
        verifiers = (AlipayVerifier(*item) for one in former for item in one.verifiers.items())
        return replace(self, former=(*self.former, *verifiers))

    def callback_key_marks(self) -> frozenset[str]:
        """The marks of the keys that verify callbacks."""
        return frozenset(map(key_mark, self.verifiers.values()))


def is_certificate_mode(values: Values) -> bool:
    return any((values.get(key) or "").strip() for key in _CERTIFICATE_NAMES)


def _verifier(reader: ConfigReader) -> tuple[dict[str, str], RSAPublicKey | None]:
    """The SNs of certificate mode (else none), and the key that Alipay signs with."""
    if not is_certificate_mode({key: reader.text(key) for key in _CERTIFICATE_NAMES}):
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
