"""Keys and certificates of both gateways, from whatever form they were given in.

The two SDKs accept one form each, so everything is read here and handed on as PKCS#8.
"""

import base64
import binascii
import hashlib
import re
import textwrap
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.utils.translation import gettext_lazy as _

from gateways.key_blocks import BlockType, KeyUnreadable, blocks_of, text_of
from gateways.texts import Text

_RSA_SIGNATURE_OIDS = "1.2.840.113549.1.1."
_RSA_OID_DER = bytes.fromhex("2a864886f70d0101")  # the same prefix as it stands in a certificate
_SERIAL_DIGITS_MAX = 40
_PUBLIC_KEY_ID = "PUB_KEY_ID_"
_HEXADECIMAL = re.compile(r"[0-9A-F]+", re.ASCII)
_SERIAL_PREFIX = re.compile(r"(serial(no)?=|0x)", re.IGNORECASE)
PEM_LINE_LENGTH = 64

# What to do with what is not even one of the three.
_NO_KEY: Mapping[BlockType, Text] = {
    BlockType.ENCRYPTED_KEY: _(
        "私钥带有口令，请填不带口令的私钥：openssl rsa -in 原文件 -out apiclient_key.pem"
    ),
    BlockType.PKCS12: _(
        "这是 .p12 证书包（apiclient_cert.p12）：私钥请用同一压缩包里的 apiclient_key.pem，"
        "证书请用 apiclient_cert.pem"
    ),
    BlockType.KEYSTORE: _("这是 Java 密钥库（.jks），请用平台下载的 .pem 或 .crt 文件"),
    BlockType.ARCHIVE: _("这是压缩包，请解压后选择里面的 .pem 或 .crt 文件"),
    BlockType.REQUEST: _("这是证书请求文件（.csr），请用平台签发后下载的证书"),
    BlockType.SSH_OR_PGP_KEY: _("这是 SSH 或 PGP 的密钥，不是支付平台的密钥"),
}
_OTHER_KIND: Mapping[tuple[BlockType, BlockType], Text] = {
    (BlockType.PRIVATE_KEY, BlockType.PUBLIC_KEY): _("这里应填私钥，而填入的是公钥或证书"),
    (BlockType.PRIVATE_KEY, BlockType.CERTIFICATE): _("这里应填私钥，而填入的是公钥或证书"),
    (BlockType.PUBLIC_KEY, BlockType.PRIVATE_KEY): _("这里应填公钥，而填入的是私钥"),
    (BlockType.PUBLIC_KEY, BlockType.CERTIFICATE): _("这里应填公钥，而填入的是证书"),
    (BlockType.CERTIFICATE, BlockType.PRIVATE_KEY): _("这里应填证书，而填入的是私钥"),
    (BlockType.CERTIFICATE, BlockType.PUBLIC_KEY): _("这里应填证书，而填入的是公钥"),
}
_UNREADABLE: Mapping[BlockType, Text] = {
    BlockType.PRIVATE_KEY: _("不是可读的 RSA 私钥"),
    BlockType.PUBLIC_KEY: _("不是可读的 RSA 公钥"),
    BlockType.CERTIFICATE: _("不是可读的证书"),
}

Content = str | bytes


def _only(wanted: BlockType, content: Content) -> list[bytes]:
    """The blocks of ``content`` that are ``wanted``, each once; others beside them are left out.

    Raises KeyUnreadable, which names what is there instead.
    """
    blocks = blocks_of(content)
    found = [block.der for block in blocks if block.type is wanted]
    if found:
        return list(dict.fromkeys(found))
    other = blocks[0].type
    raise KeyUnreadable(
        _NO_KEY.get(other) or _OTHER_KIND.get((wanted, other)) or _UNREADABLE[wanted]
    )


def load_private_key(content: Content) -> RSAPrivateKey:
    """An RSA private key, PKCS#1 or PKCS#8, in any form; see key_blocks. Raises KeyUnreadable."""
    found = _only(BlockType.PRIVATE_KEY, content)
    try:
        read = [serialization.load_der_private_key(der, password=None) for der in found]
    except Exception as error:  # cryptography raises half a dozen types for bad input
        raise KeyUnreadable(_UNREADABLE[BlockType.PRIVATE_KEY]) from error
    own = [key for key in read if isinstance(key, RSAPrivateKey)]
    if not own:
        raise KeyUnreadable(_("不是 RSA 私钥"))
    if any(key.private_numbers() != own[0].private_numbers() for key in own):
        raise KeyUnreadable(_("里面有不止一把私钥，请只填一把"))
    return own[0]


def load_public_key(content: Content) -> RSAPublicKey:
    """An RSA public key, PKCS#1 or SubjectPublicKeyInfo, in any form. Raises KeyUnreadable."""
    found = _only(BlockType.PUBLIC_KEY, content)
    if len(found) > 1:
        raise KeyUnreadable(_("里面有不止一把公钥，请只填一把"))
    try:
        key = serialization.load_der_public_key(found[0])
    except Exception as error:  # as above
        raise KeyUnreadable(_UNREADABLE[BlockType.PUBLIC_KEY]) from error
    if not isinstance(key, RSAPublicKey):
        raise KeyUnreadable(_("不是 RSA 公钥"))
    return key


def load_certificates(content: Content) -> list[x509.Certificate]:
    """All certificates of a bundle in any form, in its order. Raises KeyUnreadable."""
    return _certificates(_only(BlockType.CERTIFICATE, content))


def load_certificate(content: Content) -> x509.Certificate:
    """The one certificate, or of a chain, in whatever order, the one that nothing in it was
    issued by. Raises KeyUnreadable."""
    return own_first(load_certificates(content))[0]


def own_first(chain: list[x509.Certificate]) -> list[x509.Certificate]:
    """``chain`` with the holder's own certificate before those of its issuers."""
    issuers = {one.issuer for one in chain if one.issuer != one.subject}
    return sorted(chain, key=lambda one: one.subject in issuers)


def load_rsa_certificate(content: Content) -> tuple[x509.Certificate, RSAPublicKey]:
    certificate = load_certificate(content)
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


def certificates_pem(content: Content) -> str:
    """The certificates of a bundle in PEM with LF, and nothing else."""
    return "".join(_armoured("CERTIFICATE", der) for der in _only(BlockType.CERTIFICATE, content))


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _armoured(label: str, der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), PEM_LINE_LENGTH)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def is_same_public_key(one: RSAPublicKey, other: RSAPublicKey) -> bool:
    return one.public_numbers() == other.public_numbers()


def certificate_serial(certificate: x509.Certificate) -> str:
    """The serial as WeChat Pay writes it: the bytes of the certificate's in upper-case
    hexadecimal, a leading zero among them (go: core/utils GetCertificateSerialNumber)."""
    return serial_text(f"{certificate.serial_number:X}")


def serial_text(text: str) -> str:
    """A serial as it is stored and sent, from what a console or a tool prints: without colons,
    blanks and names, two digits for every byte. What is no serial comes back as it is."""
    serial = "".join(_SERIAL_PREFIX.sub("", text_of(text), count=1).replace(":", "").split())
    serial = serial.upper()
    if not _HEXADECIMAL.fullmatch(serial):
        return serial
    serial = "0" * (len(serial) % 2) + serial
    # Windows shows the sign byte of a serial too, which WeChat does not write.
    return serial[2:] if len(serial) > _SERIAL_DIGITS_MAX and serial[:2] == "00" else serial


def serial_normalised(serial: str) -> str:
    """One spelling to compare serials by; public-key ids (``PUB_KEY_ID_…``) stay as they are."""
    return serial if serial.startswith(_PUBLIC_KEY_ID) else serial_text(serial).lstrip("0")


def is_serial_of(certificate: x509.Certificate, serial: str) -> bool:
    return serial_normalised(serial) == serial_normalised(certificate_serial(certificate))


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


def alipay_root_sn(bundle: Content) -> str:
    """The SNs of the RSA-signed certificates of Alipay's root bundle, joined by ``_``.

    The SDK splits the bundle at blank lines and answers None for a CRLF file; this does not.
    """
    return "_".join(alipay_certificate_sn(certificate) for certificate in rsa_roots(bundle))


def rsa_roots(bundle: Content) -> list[x509.Certificate]:
    """The RSA-signed certificates of Alipay's root bundle. Raises KeyUnreadable for none."""
    # The others are skipped unread: cryptography refuses to parse some of Alipay's SM2 roots.
    found = _certificates(
        [der for der in _only(BlockType.CERTIFICATE, bundle) if _RSA_OID_DER in der]
    )
    roots = [
        certificate
        for certificate in found
        if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURE_OIDS)
    ]
    if not roots:
        raise KeyUnreadable(_("根证书文件里没有 RSA 签名的证书"))
    return roots


def _certificates(blocks: list[bytes]) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(der) for der in blocks]
    except Exception as error:  # as above
        raise KeyUnreadable(_UNREADABLE[BlockType.CERTIFICATE]) from error
