"""What staff paste or upload, as it is stored; what a key says about itself; when it ends."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from gateways import keys
from gateways.key_blocks import BlockType, KeyUnreadable, blocks_of, text_of
from gateways.keys import Content
from gateways.registry import PROVIDERS
from gateways.texts import SHANGHAI, Text


class Kind(StrEnum):
    """What a configuration value is, which decides how it is read and asked for."""

    TEXT = "text"
    SECRET = "secret"
    ADDRESS = "address"
    PATH = "path"
    SERIAL = "serial"
    PRIVATE_KEY = "private_key"
    PUBLIC_KEY = "public_key"
    CERTIFICATE = "certificate"
    CERTIFICATES = "certificates"
    ROOTS = "roots"


FILE_KINDS = frozenset(
    {
        Kind.SERIAL,
        Kind.PRIVATE_KEY,
        Kind.PUBLIC_KEY,
        Kind.CERTIFICATE,
        Kind.CERTIFICATES,
        Kind.ROOTS,
    }
)


def normalised(kind: Kind, content: Content) -> str:
    """``content`` (a text, or a file's bytes) as it is stored: PEM with LF whatever form it came
    in, a serial without colons, other texts without what nobody sees.

    A certificate in the place of a serial gives its serial. Raises KeyUnreadable.
    """
    return _NORMALISERS.get(kind, text_of)(content)


def _serial(content: Content) -> str:
    try:
        is_certificate = any(block.type is BlockType.CERTIFICATE for block in blocks_of(content))
    except KeyUnreadable:
        is_certificate = False
    if is_certificate:
        return keys.certificate_serial(keys.load_certificate(content))
    return keys.serial_text(text_of(content))


def _own_certificate(content: Content) -> str:
    """The holder's own first, in whatever order the file had them."""
    return "".join(map(keys.certificate_pem, keys.own_first(keys.load_certificates(content))))


def _certificates(content: Content) -> str:
    keys.load_certificates(content)
    return keys.certificates_pem(content)


def _roots(content: Content) -> str:
    keys.alipay_root_sn(content)
    return keys.certificates_pem(content)


_NORMALISERS: Mapping[Kind, Callable[[Content], str]] = {
    Kind.SERIAL: _serial,
    Kind.PRIVATE_KEY: lambda content: keys.private_key_pem(keys.load_private_key(content)),
    Kind.PUBLIC_KEY: lambda content: keys.public_key_pem(keys.load_public_key(content)),
    Kind.CERTIFICATE: _own_certificate,
    Kind.CERTIFICATES: _certificates,
    Kind.ROOTS: _roots,
}


def describe(kind: Kind, text: str, *, now: datetime) -> Text:
    """What a key or certificate says about itself, in a line; nothing of other values.

    Raises KeyUnreadable.
    """
    if kind is Kind.PRIVATE_KEY:
        return format_lazy(_("RSA {bits} 位私钥"), bits=keys.load_private_key(text).key_size)
    if kind is Kind.PUBLIC_KEY:
        return format_lazy(_("RSA {bits} 位公钥"), bits=keys.load_public_key(text).key_size)
    if kind in (Kind.CERTIFICATE, Kind.CERTIFICATES):
        return _describe_certificate(keys.load_certificate(text), now)
    return ""


def _describe_certificate(certificate: x509.Certificate, now: datetime) -> Text:
    ends = certificate.not_valid_after_utc
    return format_lazy(
        _("证书序列号 {serial}，有效期至 {day}（还剩 {days} 天）"),
        serial=keys.certificate_serial(certificate),
        day=f"{ends.astimezone(SHANGHAI):%Y-%m-%d}",
        days=max((ends - now).days, 0),
    )


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate of a configuration ends."""

    key: str
    serial: str
    ends_at: datetime
    days_left: int


def expiries(method: str, values: Mapping[str, str], *, now: datetime) -> list[Expiry]:
    """The certificates among ``values`` that can be read, the first to end first."""
    found = [
        Expiry(
            key=key,
            serial=keys.certificate_serial(certificate),
            ends_at=certificate.not_valid_after_utc,
            days_left=(certificate.not_valid_after_utc - now).days,
        )
        for key, read in PROVIDERS[method].certificates.items()
        for certificate in _read(values.get(key, ""), read)
    ]
    return sorted(found, key=lambda expiry: expiry.ends_at)


def _read(text: str, read: Callable[[str], list[x509.Certificate]]) -> Iterator[x509.Certificate]:
    try:
        yield from read(text.strip()) if text.strip() else ()
    except KeyUnreadable:
        return
