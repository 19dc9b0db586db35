"""The keys of both sides, their files in DIR, and what is done with them: sign, verify, seal."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

CONFIG_FILE = "config.json"
CERTIFICATE_DAYS = 5 * 365

# One private key for each name; the files that a client needs are derived from them.
PRIVATE_KEYS = (
    "wechat_merchant",
    "wechat_public",  # signs in public-key mode
    "wechat_platform",  # signs in certificate mode
    "wechat_retired",  # signs nothing that a client should still believe
    "alipay_app",
    "alipay",
    "alipay_next",  # signs once the certificate was changed
    "alipay_retired",
    "alipay_root",
)
# Certificate, its key, its issuer's key (None: its own), common name.
CERTIFICATES = (
    ("wechat_merchant", "wechat_merchant", None, "Simulated Merchant"),
    ("wechat_platform", "wechat_platform", None, "Tenpay.com sign"),
    ("wechat_retired", "wechat_retired", None, "Tenpay.com sign retired"),
    ("alipay_root", "alipay_root", None, "Simulated Alipay Root"),
    ("alipay", "alipay", "alipay_root", "Simulated Alipay"),
    ("alipay_next", "alipay_next", "alipay_root", "Simulated Alipay"),
    ("alipay_rogue", "alipay_retired", "alipay_root", "Simulated Alipay"),
    ("alipay_app", "alipay_app", "alipay_root", "Simulated App"),
)
# A forger's work: it names the root as its issuer, whose key never signed it.
FORGED = {"alipay_rogue": "alipay_retired"}
PUBLIC_KEYS = ("wechat_public", "alipay")


def private_key_file(name: str) -> str:
    return f"{name}_private_key.pem"


def public_key_file(name: str) -> str:
    return f"{name}_public_key.pem"


def certificate_file(name: str) -> str:
    return f"{name}_cert.pem"


def sign(key: rsa.RSAPrivateKey, text: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64: the one algorithm of both gateways."""
    return base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def verify(key: rsa.RSAPublicKey, text: bytes, signature: str) -> bool:
    try:
        key.verify(
            base64.b64decode(signature, validate=True), text, padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def seal(apiv3_key: str, plaintext: bytes, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as in notifications and certificate lists [wechatpay-v3.md section 8]."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    }


def unseal_field(key: rsa.RSAPrivateKey, text: str) -> bytes | None:
    """A sensitive request field: RSA-OAEP with SHA-1 [wechatpay-v3.md section 9]."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    try:
        return key.decrypt(base64.b64decode(text, validate=True), oaep)
    except ValueError:
        return None


def seal_field(key: rsa.RSAPublicKey, plain: bytes) -> str:
    """The same, on the way to the merchant."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    return base64.b64encode(key.encrypt(plain, oaep)).decode()


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:040X}"


def alipay_sn(certificate: x509.Certificate) -> str:
    """md5 of the issuer's names in reversed order and the decimal serial [alipay.md section 4]."""
    names = [
        f"{part.rfc4514_attribute_name}={part.value!s}"
        for part in reversed(list(certificate.issuer))
    ]
    text = ",".join(names) + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class WechatSigner:
    """A key that signs answers and notifications, under the name a client knows it by."""

    serial: str
    key: rsa.RSAPrivateKey


@dataclass(frozen=True)
class AlipaySigner:
    """A key that signs in certificate mode, with the serial number of its certificate."""

    certificate_sn: str
    key: rsa.RSAPrivateKey


@dataclass(frozen=True)
class KeyRing:
    directory: Path
    config: dict[str, Any]
    private: dict[str, rsa.RSAPrivateKey]
    certificates: dict[str, x509.Certificate]

    @property
    def wechat(self) -> dict[str, str]:
        return self.config["wechat"]

    @property
    def alipay(self) -> dict[str, str]:
        return self.config["alipay"]

    def public(self, name: str) -> rsa.RSAPublicKey:
        return self.private[name].public_key()

    @property
    def by_public_key(self) -> WechatSigner:
        return WechatSigner(self.wechat["public_key_id"], self.private["wechat_public"])

    @property
    def by_certificate(self) -> WechatSigner:
        return WechatSigner(self.wechat["platform_serial_no"], self.private["wechat_platform"])

    @property
    def by_retired_key(self) -> WechatSigner:
        """A signer whose serial is on no list that a client was given."""
        return WechatSigner(
            serial_of(self.certificates["wechat_retired"]), self.private["wechat_retired"]
        )

    def by_alipay_certificate(self, name: str) -> AlipaySigner:
        key_name = next(key_name for known, key_name, *_ in CERTIFICATES if known == name)
        return AlipaySigner(alipay_sn(self.certificates[name]), self.private[key_name])

    def certificate_pem(self, name: str) -> bytes:
        return self.certificates[name].public_bytes(serialization.Encoding.PEM)


def open_keys(directory: Path, *, base_url: str, sign_mode: str) -> KeyRing:
    """Load the complete set of keys in ``directory``, or make a fresh one, and write config.json.

    The numbers of the merchant stay with the keys; addresses and mode follow this run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config_file = directory / CONFIG_FILE
    known = json.loads(config_file.read_text()) if config_file.is_file() else make_identity()
    private = {name: private_key(directory, name) for name in PRIVATE_KEYS}
    for name in PUBLIC_KEYS:
        write_file(directory / public_key_file(name), public_pem(private[name].public_key()))
    certificates = open_certificates(directory, private)
    config = {
        "wechat": wechat_config(known["wechat"], certificates, base_url, sign_mode),
        "alipay": alipay_config(known["alipay"], base_url),
    }
    write_file(directory / CONFIG_FILE, json.dumps(config, indent=2).encode() + b"\n")
    return KeyRing(directory, config, private, certificates)


# What a merchant, or the gateway, may replace while money is under way, by its name.
REPLACEABLE = (
    "wechat_merchant",
    "wechat_public",
    "wechat_platform",
    "wechat_apiv3",
    "alipay_app",
    "alipay",
)


def replace_keys(ring: KeyRing, names: Sequence[str], *, base_url: str, sign_mode: str) -> KeyRing:
    """Fresh ones in place of the named; whatever the former ones sign is refused from now on.

    Raises:
        ValueError: a name that is not replaceable.
    """
    if unknown := set(names) - set(REPLACEABLE):
        raise ValueError(f"can't replace {', '.join(sorted(unknown))}")
    wechat = dict(ring.wechat)
    if "wechat_apiv3" in names:
        wechat["apiv3_key"] = secrets.token_hex(16)
    if "wechat_public" in names:
        wechat["public_key_id"] = new_public_key_id()
    for name in names:
        (ring.directory / private_key_file(name)).unlink(missing_ok=True)
    known = {**ring.config, "wechat": wechat}
    write_file(ring.directory / CONFIG_FILE, json.dumps(known, indent=2).encode() + b"\n")
    return open_keys(ring.directory, base_url=base_url, sign_mode=sign_mode)


def wechat_config(
    known: dict[str, str], certificates: dict[str, x509.Certificate], base_url: str, sign_mode: str
) -> dict[str, str]:
    return {
        "mchid": known["mchid"],
        "appid": known["appid"],
        "apiv3_key": known["apiv3_key"],
        "merchant_serial_no": serial_of(certificates["wechat_merchant"]),
        "merchant_private_key_file": private_key_file("wechat_merchant"),
        "public_key_id": known["public_key_id"],
        "platform_public_key_file": public_key_file("wechat_public"),
        "platform_serial_no": serial_of(certificates["wechat_platform"]),
        "platform_cert_file": certificate_file("wechat_platform"),
        "base_url": base_url,
        "sign_mode": "cert" if sign_mode == "cert" else "pubkey",
    }


def alipay_config(known: dict[str, str], base_url: str) -> dict[str, str]:
    return {
        "app_id": known["app_id"],
        "seller_id": known["seller_id"],
        "sign_type": "RSA2",
        "charset": "utf-8",
        "app_private_key_file": private_key_file("alipay_app"),
        "alipay_public_key_file": public_key_file("alipay"),
        "gateway_url": f"{base_url}/gateway.do",
    }


def private_key(directory: Path, name: str) -> rsa.RSAPrivateKey:
    """The key of that name; made when it is missing, as in a folder of an earlier version."""
    path = directory / private_key_file(name)
    if path.is_file():
        return load_private_key(path)
    key = rsa.generate_private_key(65537, 2048)
    write_file(path, private_pem(key))
    return key


def open_certificates(
    directory: Path, private: dict[str, rsa.RSAPrivateKey]
) -> dict[str, x509.Certificate]:
    """All certificates; one that is missing, or does not fit its keys any more, is made anew."""
    found: dict[str, x509.Certificate] = {}
    for name, key_name, issuer, common_name in CERTIFICATES:
        path = directory / certificate_file(name)
        key, issuer_key = private[key_name], private[FORGED.get(name, issuer or key_name)]
        kept = x509.load_pem_x509_certificate(path.read_bytes()) if path.is_file() else None
        if kept is not None and is_fitting(kept, key, issuer_key):
            found[name] = kept
            continue
        found[name] = make_certificate(
            key, common_name, issuer_key=issuer_key, issuer=found[issuer] if issuer else None
        )
        write_file(path, found[name].public_bytes(serialization.Encoding.PEM))
    return found


def is_fitting(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey, issuer_key: rsa.RSAPrivateKey
) -> bool:
    if certificate.public_key() != key.public_key():
        return False
    try:
        issuer_key.public_key().verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except InvalidSignature:
        return False
    return True


def new_public_key_id() -> str:
    return "PUB_KEY_ID_" + "".join(secrets.choice("0123456789") for _ in range(32))


def make_identity() -> dict[str, dict[str, str]]:
    digits = "".join(secrets.choice("0123456789") for _ in range(32))
    return {
        "wechat": {
            "mchid": "19" + digits[:8],
            "appid": "wx" + secrets.token_hex(8),
            "apiv3_key": secrets.token_hex(16),
            "public_key_id": new_public_key_id(),
        },
        "alipay": {"app_id": "2021" + digits[:12], "seller_id": "2088" + digits[12:24]},
    }


def make_certificate(
    key: rsa.RSAPrivateKey,
    common_name: str,
    *,
    issuer_key: rsa.RSAPrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Simulator"),
            # Client libraries count on all four names when they make a serial number.
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Stand-in"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() | 1 << 156)  # always 40 hex digits
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    """PKCS#8 with LF, the one form that every client library loads [sdk-notes.md 2.1]."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def load_private_key(path: Path) -> rsa.RSAPrivateKey:
    # Our own files: checking that the primes are prime would cost a second at each start.
    key = serialization.load_pem_private_key(
        path.read_bytes(), None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not an RSA key")
    return key


def write_file(path: Path, content: bytes) -> None:
    """Appear complete or not at all: others wait for config.json and read it at once."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
