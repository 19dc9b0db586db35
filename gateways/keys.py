"""Keys and certificates: reading them in every form in which merchants hold them.

Consoles hand out PEM with LF or CRLF, PEM squeezed into one line, and bare base64; PKCS#1 and
PKCS#8. The two SDKs accept one form each, so everything is read here and handed on as PKCS#8.
"""

import base64
import binascii
import hashlib
import re
import textwrap

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.utils.translation import gettext_lazy as _

from gateways.texts import Text

_PEM_BLOCK = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----(?P<body>.*?)-----END (?P=label)-----", re.DOTALL
)
_RSA_SIGNATURE_OIDS = "1.2.840.113549.1.1."
_RSA_OID_DER = bytes.fromhex("2a864886f70d0101")  # the same prefix as it stands in a certificate
_CERTIFICATE = "CERTIFICATE"
PEM_LINE_LENGTH = 64


class KeyUnreadable(ValueError):
    """Text that is not the key or certificate it should be; ``text`` says why, for staff."""

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


def load_private_key(text: str) -> RSAPrivateKey:
    """An RSA private key from PEM or bare base64, PKCS#1 or PKCS#8."""
    label, der = _single_block(text)
    if label == _CERTIFICATE or "PUBLIC" in label:
        raise KeyUnreadable(_("这里应填私钥，而填入的是公钥或证书"))
    if "ENCRYPTED" in label:
        raise KeyUnreadable(_("私钥带有口令，请填不带口令的私钥"))
    try:
        key = serialization.load_der_private_key(der, password=None)
    except Exception as error:  # cryptography raises half a dozen types for bad input
        raise KeyUnreadable(_("不是可读的 RSA 私钥")) from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnreadable(_("不是 RSA 私钥"))
    return key


def load_public_key(text: str) -> RSAPublicKey:
    """An RSA public key from PEM or bare base64, PKCS#1 or SubjectPublicKeyInfo."""
    label, der = _single_block(text)
    if "PRIVATE" in label:
        raise KeyUnreadable(_("这里应填公钥，而填入的是私钥"))
    if label == _CERTIFICATE:
        raise KeyUnreadable(_("这里应填公钥，而填入的是证书"))
    try:
        key = serialization.load_der_public_key(der)
    except Exception as error:  # as above
        raise KeyUnreadable(_("不是可读的 RSA 公钥")) from error
    if not isinstance(key, RSAPublicKey):
        raise KeyUnreadable(_("不是 RSA 公钥"))
    return key


def load_certificates(text: str) -> list[x509.Certificate]:
    """All certificates of a PEM bundle, or the one of a bare base64 text."""
    blocks = [der for label, der in _blocks(text) if label in (_CERTIFICATE, "")]
    certificates = _certificates(blocks)
    if not certificates:
        raise KeyUnreadable(_("不是可读的证书"))
    return certificates


def load_certificate(text: str) -> x509.Certificate:
    """The first certificate of a PEM text (a chain begins with its own)."""
    return load_certificates(text)[0]


def load_rsa_certificate(text: str) -> tuple[x509.Certificate, RSAPublicKey]:
    certificate = load_certificate(text)
    return certificate, certificate_public_key(certificate)


def certificate_public_key(certificate: x509.Certificate) -> RSAPublicKey:
    try:
        key = certificate.public_key()
    except Exception as error:  # an algorithm that cryptography does not know, such as SM2
        raise KeyUnreadable(_("证书里的不是 RSA 公钥")) from error
    if not isinstance(key, RSAPublicKey):
        raise KeyUnreadable(_("证书里的不是 RSA 公钥"))
    return key


def private_key_pem(key: RSAPrivateKey) -> str:
    """PKCS#8 with LF, which both SDKs read."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def public_key_pem(key: RSAPublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


def certificates_pem(text: str) -> str:
    """The certificates of a bundle (or a bare base64 text) in PEM with LF, and nothing else."""
    return "".join(
        _armoured(_CERTIFICATE, der) for label, der in _blocks(text) if label in (_CERTIFICATE, "")
    )


def _armoured(label: str, der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), PEM_LINE_LENGTH)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def is_same_public_key(one: RSAPublicKey, other: RSAPublicKey) -> bool:
    return one.public_numbers() == other.public_numbers()


def certificate_serial(certificate: x509.Certificate) -> str:
    """The serial as WeChat Pay writes it: upper-case hexadecimal."""
    return serial_normalised(f"{certificate.serial_number:X}")


def serial_normalised(serial: str) -> str:
    """One spelling per certificate serial; public-key ids (``PUB_KEY_ID_…``) stay as they are."""
    if serial.startswith("PUB_KEY_ID_"):
        return serial
    return serial.upper().lstrip("0")


def is_signed_by(public_key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether ``signature`` (strict base64) is RSASSA-PKCS1-v1_5/SHA-256 over ``message``."""
    try:
        public_key.verify(
            base64.b64decode(signature.encode("ascii"), validate=True),
            message,
            PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, binascii.Error, UnicodeError, ValueError):
        return False
    return True


def alipay_certificate_sn(certificate: x509.Certificate) -> str:
    """Alipay's name of a certificate: md5 of the issuer, most specific part first, and serial.

    Source: alipay-sdk-nodejs-all src/antcertutil.ts (issuer parts in reversed order).
    """
    issuer = ",".join(
        f"{part.rfc4514_attribute_name}={part.value!s}"
        for part in reversed(list(certificate.issuer))
    )
    text = f"{issuer}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def alipay_root_sn(bundle: str) -> str:
    """The SNs of the RSA-signed certificates of Alipay's root bundle, joined by ``_``.

    The SDK splits the bundle at blank lines and answers None for a CRLF file; this does not.
    """
    # Skipped before they are read: cryptography refuses to parse some of Alipay's SM2 roots.
    rsa_blocks = [der for _label, der in _blocks(bundle) if _RSA_OID_DER in der]
    names = [
        alipay_certificate_sn(certificate)
        for certificate in _certificates(rsa_blocks)
        if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURE_OIDS)
    ]
    if not names:
        raise KeyUnreadable(_("根证书文件里没有 RSA 签名的证书"))
    return "_".join(names)


def _certificates(blocks: list[bytes]) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(der) for der in blocks]
    except Exception as error:  # as above
        raise KeyUnreadable(_("不是可读的证书")) from error


def _single_block(text: str) -> tuple[str, bytes]:
    return _blocks(text)[0]


def _blocks(text: str) -> list[tuple[str, bytes]]:
    """Label and DER of each PEM block; bare base64 is one block without a label."""
    # Keys that travelled through an environment file carry "\n" as two characters.
    unescaped = text.replace("\\r", "").replace("\\n", "\n").strip()
    found = [(m["label"], _base64(m["body"])) for m in _PEM_BLOCK.finditer(unescaped)]
    return found or [("", _base64(unescaped))]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise KeyUnreadable(_("不是 PEM，也不是 base64 文本")) from error
