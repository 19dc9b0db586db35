"""Keys and certificates in the forms in which merchants hold them: read, or named."""

import base64
import re
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from cryptography.x509.oid import NameOID

from gateways import keys
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable
from gateways.key_texts import Kind, normalised
from gateways.tests.kit import (
    bare,
    certificate_pem,
    private_key,
    private_pem,
    public_pem,
    signed_certificate,
    wechat_values,
)
from gateways.wechat.configuration import WechatConfig

PKCS1 = serialization.PrivateFormat.TraditionalOpenSSL
PRIVATE, PUBLIC = private_pem("merchant"), public_pem("merchant")
LEAF = certificate_pem("merchant", 0x0A1B)
FORMS = {Kind.PRIVATE_KEY: PRIVATE, Kind.PUBLIC_KEY: PUBLIC, Kind.CERTIFICATE: LEAF}


def der(pem: str) -> bytes:
    return base64.b64decode(bare(pem))


WRAPPINGS: dict[str, Callable[[str], str | bytes]] = {
    "as it is": lambda pem: pem,
    "UTF-8 with a byte-order mark": lambda pem: pem.encode("utf-8-sig"),
    "a mark in pasted text": lambda pem: "\ufeff" + pem,
    "UTF-16": lambda pem: pem.encode("utf-16"),
    "UTF-16 without a mark": lambda pem: pem.encode("utf-16-be"),
    "CRLF": lambda pem: pem.replace("\n", "\r\n").encode(),
    "one line": lambda pem: pem.replace("\n", " "),
    "escaped line ends in quotes": lambda pem: '"' + pem.replace("\n", "\\n") + '"',
    "Chinese before it": lambda pem: "商户私钥，请妥善保管\n" + pem,
    "Chinese in GBK before it": lambda pem: "商户私钥，请妥善保管\n".encode("gbk") + pem.encode(),
    "Chinese in GBK directly before it": lambda pem: "证书：".encode("gbk") + pem.encode(),
    "text behind it": lambda pem: pem + "\n以上",
    "binary": lambda pem: der(pem),
    "binary and a line break": lambda pem: der(pem) + b"\r\n",
    "bare base64": bare,
    "bare base64 without padding": lambda pem: bare(pem).rstrip("="),
    "bare base64 in the alphabet of addresses": lambda pem: (
        bare(pem).replace("+", "-").replace("/", "_")
    ),
    "bare base64 in quotes": lambda pem: f'"{bare(pem)}"',
    "PEM in base64": lambda pem: base64.b64encode(pem.encode()).decode(),
    "PEM without padding": lambda pem: pem.replace("=", ""),
    "characters that nobody sees": lambda pem: "\u200b" + pem.replace("M", "M\u200d\u00ad\ufeff"),
    "blanks of a web page": lambda pem: "\u3000" + pem.replace("\n", "\u00a0\n"),
    "dashes of a word processor": lambda pem: pem.replace("-----", "—–"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_it_reads_every_form(kind, wrapping):
    assert normalised(kind, WRAPPINGS[wrapping](FORMS[kind])) == FORMS[kind]


@pytest.mark.parametrize("label", ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_it_reads_a_certificate_under_its_older_names(label):
    # openssl appends to a trusted certificate what it is trusted for.
    content = der(LEAF) + (b"\x30\x03\x0c\x01a" if "TRUSTED" in label else b"")
    lines = base64.encodebytes(content).decode()
    pem = f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n"
    assert normalised(Kind.CERTIFICATE, pem) == LEAF


def test_it_reads_the_certificates_of_a_pkcs7_envelope():
    certificate = keys.load_certificate(LEAF)
    for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM):
        envelope = pkcs7.serialize_certificates([certificate], encoding)
        assert normalised(Kind.CERTIFICATE, envelope) == LEAF


def test_it_reads_a_key_under_a_label_that_is_wrong():
    for text in (private_pem("merchant", PKCS1), PRIVATE):
        wrong = re.sub(r"(BEGIN|END) (RSA )?PRIVATE", r"\1 RSA PRIVATE", text)
        assert normalised(Kind.PRIVATE_KEY, wrong) == PRIVATE
    mislabelled = PUBLIC.replace("PUBLIC KEY", "CERTIFICATE")
    assert normalised(Kind.PUBLIC_KEY, mislabelled) == PUBLIC


# -- openssl pkcs12 -nodes -------------------------------------------------------------------------

ROOT = signed_certificate("root", 1, subject="root", is_authority=True)
ISSUER = signed_certificate("issuer", 2, subject="issuer", issuer=("root", ROOT), is_authority=True)
OWN = signed_certificate("merchant", 3, subject="merchant", issuer=("issuer", ISSUER))
BAG = "Bag Attributes\n    friendlyName: 商户\n    localKeyID: 01 02\nsubject=CN = x\n\n"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_it_finds_each_of_a_bundle_in_whatever_order(order, encoding):
    parts = [PRIVATE, OWN, ISSUER, ROOT]
    text = "".join(BAG + parts[place] for place in order).encode(encoding)
    assert normalised(Kind.PRIVATE_KEY, text) == PRIVATE
    assert normalised(Kind.CERTIFICATE, text).startswith(OWN), "the holder's own comes first"
    assert normalised(Kind.SERIAL, text) == "03"
    with pytest.raises(KeyUnreadable, match="这里应填公钥"):
        normalised(Kind.PUBLIC_KEY, text)


def test_it_does_not_choose_between_two_keys():
    with pytest.raises(KeyUnreadable, match="不止一把"):
        normalised(Kind.PRIVATE_KEY, PRIVATE + private_pem("other"))
    assert normalised(Kind.PRIVATE_KEY, PRIVATE + private_pem("merchant", PKCS1)) == PRIVATE


# -- what is something else ------------------------------------------------------------------------


def locked(form: serialization.PrivateFormat) -> str:
    return (
        private_key("merchant")
        .private_bytes(
            serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret")
        )
        .decode()
    )


def p12() -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"x",
        private_key("merchant"),
        keys.load_certificate(LEAF),
        None,
        serialization.BestAvailableEncryption(b"1900000109"),
    )


def request_pem() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name)
    return (
        signed.sign(private_key("merchant"), keys.hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def elliptic_pem() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, PKCS1, serialization.NoEncryption())
        .decode()
    )


P12 = p12()
LOCKED_PKCS1 = locked(PKCS1)
OTHERS: dict[str, tuple[Kind, str | bytes, str]] = {
    "p12": (Kind.PRIVATE_KEY, P12, r"apiclient_key\.pem"),
    "p12 for a certificate": (Kind.CERTIFICATE, P12, r"apiclient_cert\.pem"),
    "p12 in base64": (Kind.PRIVATE_KEY, base64.b64encode(P12).decode(), r"\.p12"),
    "p12 without lengths": (Kind.CERTIFICATE, bytes.fromhex("3080020103308006"), r"\.p12"),
    "encrypted PKCS#1": (Kind.PRIVATE_KEY, LOCKED_PKCS1, "口令.*openssl rsa"),
    "encrypted PKCS#1 in one line": (Kind.PRIVATE_KEY, LOCKED_PKCS1.replace("\n", " "), "口令"),
    "encrypted PKCS#8": (Kind.PRIVATE_KEY, locked(serialization.PrivateFormat.PKCS8), "口令"),
    "encrypted, binary": (
        Kind.PRIVATE_KEY,
        der(locked(serialization.PrivateFormat.PKCS8)),
        "口令",
    ),
    "keystore": (Kind.CERTIFICATE, b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "jks"),
    "zip": (Kind.PRIVATE_KEY, b"PK\x03\x04\x14\x00", "压缩包"),
    "request": (Kind.CERTIFICATE, request_pem(), "csr"),
    "request, bare": (Kind.CERTIFICATE, bare(request_pem()), "csr"),
    "ssh": (Kind.PUBLIC_KEY, "ssh-rsa AAAAB3NzaC1yc2E root@host", "SSH"),
    "a public key": (Kind.PRIVATE_KEY, bare(PUBLIC), "应填私钥"),
    "a certificate": (Kind.PRIVATE_KEY, der(LEAF), "应填私钥"),
    "a private key": (Kind.PUBLIC_KEY, der(PRIVATE), "填入的是私钥"),
    "a certificate for a public key": (Kind.PUBLIC_KEY, bare(LEAF), "填入的是证书"),
    "a key for a certificate": (Kind.CERTIFICATE, PRIVATE, "应填证书"),
    "a public key for a certificate": (Kind.CERTIFICATE, PUBLIC, "应填证书"),
    "a key of an elliptic curve": (Kind.PRIVATE_KEY, elliptic_pem(), "不是 RSA 私钥"),
    "a file's name": (Kind.PRIVATE_KEY, r"C:\证书\apiclient_key.pem", "文件名"),
    "no end": (Kind.PRIVATE_KEY, PRIVATE.partition("-----END")[0], "缺少 END"),
    "no beginning": (Kind.PRIVATE_KEY, PRIVATE.partition("-----\n")[2], "不完整"),
    "other ends": (Kind.CERTIFICATE, LEAF.replace("END CERT", "END X509 CERT"), "不完整"),
    "cut off": (Kind.PRIVATE_KEY, bare(PRIVATE).rstrip("=")[:1001], "不完整"),
    "words": (Kind.PRIVATE_KEY, "your-rsa-private-key", "base64|不是可读"),
    "other words": (Kind.PUBLIC_KEY, "支付宝公钥", "base64"),
    "too much": (Kind.CERTIFICATE, b"x" * (KEY_FILE_BYTES_MAX + 1), "过大"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_it_names_what_it_cannot_use_and_says_what_to_do(case):
    kind, content, told = OTHERS[case]
    with pytest.raises(KeyUnreadable, match=told):
        normalised(kind, content)


@pytest.mark.parametrize("content", [b"", b"0", b"0\x80", b"0\x84\xff\xff\xff\xff", b"\x30\x03abc"])
def test_bytes_of_any_kind_are_refused_and_never_a_fault(content):
    for kind in FORMS:
        with pytest.raises(KeyUnreadable):
            normalised(kind, content)


# -- serials ---------------------------------------------------------------------------------------

SERIAL = 0x0DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C
TEXT = "0DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C"


def test_a_serial_read_from_a_certificate_keeps_its_leading_zero():
    certificate = certificate_pem("merchant", SERIAL)
    assert normalised(Kind.SERIAL, certificate) == TEXT
    assert normalised(Kind.SERIAL, der(certificate)) == TEXT
    values = wechat_values(cert_serial_no="", merchant_cert=certificate)
    assert WechatConfig.from_values(values).cert_serial_no == TEXT


@pytest.mark.parametrize(
    "typed",
    [
        TEXT.lower(),
        TEXT[1:],
        f"\u200b{TEXT} ",
        f"serial={TEXT}",
        f"0x{TEXT[1:]}",
        ":".join(re.findall("..", TEXT)),
        f"00{TEXT}",
        TEXT.encode("utf-8-sig"),
    ],
)
def test_a_serial_is_sent_as_the_certificate_has_it_however_it_was_typed(typed):
    assert normalised(Kind.SERIAL, typed) == TEXT
    if isinstance(typed, str):
        values = wechat_values(cert_serial_no=typed)
        assert WechatConfig.from_values(values).cert_serial_no == TEXT


def test_the_platforms_certificate_is_found_by_its_serial_with_and_without_the_zero():
    certificate = certificate_pem("platform", SERIAL)
    config = WechatConfig.from_values(wechat_values(platform_cert=certificate))
    for named in (TEXT, TEXT[1:], TEXT.lower()):
        assert keys.serial_normalised(named) in config.verifiers
