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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from simulator.schema import NotAllowed

CONFIG_FILE = "config.json"
CERTIFICATE_DAYS = 5 * 365

# One private key for each name; the files that a client needs are derived from them.
# wechat_public signs in public-key mode, wechat_platform in certificate mode; alipay_next signs
# once the certificate was changed, the retired ones nothing that a client should still believe.
PRIVATE_KEYS = (
    "wechat_merchant", "wechat_public", "wechat_platform", "wechat_retired", "alipay_app",
    "alipay", "alipay_next", "alipay_retired", "alipay_root",
)  # fmt: skip
PUBLIC_KEYS = ("wechat_public", "alipay")
# Certificate: its key, its issuer (None: itself), the key that signed it, common name.
CERTIFICATES = {
    "wechat_merchant": ("wechat_merchant", None, "wechat_merchant", "Simulated Merchant"),
    "wechat_platform": ("wechat_platform", None, "wechat_platform", "Tenpay.com sign"),
    "wechat_retired": ("wechat_retired", None, "wechat_retired", "Tenpay.com sign retired"),
    "alipay_root": ("alipay_root", None, "alipay_root", "Simulated Alipay Root"),
    "alipay": ("alipay", "alipay_root", "alipay_root", "Simulated Alipay"),
    "alipay_next": ("alipay_next", "alipay_root", "alipay_root", "Simulated Alipay"),
    # A forger's work: it names the root as its issuer, whose key never signed it.
    "alipay_rogue": ("alipay_retired", "alipay_root", "alipay_retired", "Simulated Alipay"),
    "alipay_app": ("alipay_app", "alipay_root", "alipay_root", "Simulated App"),
}
# What a merchant, or the gateway, may replace while money is under way, by its name.
REPLACEABLE = {
    "wechat_merchant", "wechat_public", "wechat_platform", "wechat_apiv3", "alipay_app", "alipay",
}  # fmt: skip
# What config.json says of files in its folder.
WECHAT_FILES = {
    "merchant_private_key_file": "wechat_merchant_private_key.pem",
    "platform_public_key_file": "wechat_public_public_key.pem",
    "platform_cert_file": "wechat_platform_cert.pem",
}
ALIPAY_FILES = {
    "app_private_key_file": "alipay_app_private_key.pem",
    "alipay_public_key_file": "alipay_public_key.pem",
}
SHA256 = hashes.SHA256()
PKCS1 = padding.PKCS1v15()
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
PEM = Encoding.PEM


def sign(key: rsa.RSAPrivateKey, text: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64: the one algorithm of both gateways."""
    return base64.b64encode(key.sign(text, PKCS1, SHA256)).decode()


def verify(key: rsa.RSAPublicKey, text: bytes, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), text, PKCS1, SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True


def encrypt(apiv3_key: str, plaintext: bytes, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as in notifications and certificate lists [wechatpay-v3.md section 8]."""
    nonce = secrets.token_hex(6)
    encrypted = AESGCM(apiv3_key.encode()).encrypt(
        nonce.encode(), plaintext, associated_data.encode()
    )
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(encrypted).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    }


def decrypt_field(key: rsa.RSAPrivateKey, text: str) -> bytes | None:
    """A sensitive request field: RSA-OAEP with SHA-1 [wechatpay-v3.md section 9]."""
    try:
        return key.decrypt(base64.b64decode(text, validate=True), OAEP)
    except ValueError:
        return None


def encrypt_field(key: rsa.RSAPublicKey, plain: bytes) -> str:
    """The same, on the way to the merchant."""
    return base64.b64encode(key.encrypt(plain, OAEP)).decode()


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:040X}"


def alipay_sn(certificate: x509.Certificate) -> str:
    """md5 of the issuer's names in reversed order and the decimal serial [alipay.md section 4]."""
    names = [f"{part.rfc4514_attribute_name}={part.value!s}" for part in certificate.issuer]
    text = ",".join(reversed(names)) + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A key that signs answers and notifications, under the serial that a client knows it by;
    that is empty where Alipay names no certificate."""

    serial: str
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
    def by_public_key(self) -> Signer:
        return Signer(self.wechat["public_key_id"], self.private["wechat_public"])

    @property
    def by_certificate(self) -> Signer:
        return Signer(self.wechat["platform_serial_no"], self.private["wechat_platform"])

    @property
    def by_retired_key(self) -> Signer:
        """A signer whose serial is on no list that a client was given."""
        serial = serial_of(self.certificates["wechat_retired"])
        return Signer(serial, self.private["wechat_retired"])

    def alipay_signer(self, certificate: str) -> Signer:
        key = self.private[CERTIFICATES[certificate][0]]
        return Signer(alipay_sn(self.certificates[certificate]), key)

    def certificate_pem(self, name: str) -> bytes:
        return self.certificates[name].public_bytes(PEM)


def open_keys(directory: Path, base_url: str, sign_mode: str) -> KeyRing:
    """Load the complete set of keys in ``directory``, or make a fresh one, and write config.json.

    The numbers of the merchant stay with the keys; addresses and mode follow this run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config_file = directory / CONFIG_FILE
    known = json.loads(config_file.read_text()) if config_file.is_file() else new_identity()
    private = {
        name: open_private_key(directory / f"{name}_private_key.pem") for name in PRIVATE_KEYS
    }
    for name in PUBLIC_KEYS:
        pem = private[name].public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)
        write_file(directory / f"{name}_public_key.pem", pem)
    certificates: dict[str, x509.Certificate] = {}
    for name in CERTIFICATES:
        certificates[name] = open_certificate(directory, name, private, certificates)
    wechat, alipay = known["wechat"], known["alipay"]
    config = {
        "wechat": {name: wechat[name] for name in ("mchid", "appid", "apiv3_key", "public_key_id")}
        | WECHAT_FILES
        | {
            "merchant_serial_no": serial_of(certificates["wechat_merchant"]),
            "platform_serial_no": serial_of(certificates["wechat_platform"]),
            "base_url": base_url,
            "sign_mode": "cert" if sign_mode == "cert" else "pubkey",
        },
        "alipay": {name: alipay[name] for name in ("app_id", "seller_id")}
        | ALIPAY_FILES
        | {"sign_type": "RSA2", "charset": "utf-8", "gateway_url": f"{base_url}/gateway.do"},
    }
    write_config(directory, config)
    return KeyRing(directory, config, private, certificates)


def replace_keys(ring: KeyRing, names: Sequence[str], base_url: str, sign_mode: str) -> KeyRing:
    """Fresh ones in place of the named; whatever the former ones sign is refused from now on.

    Raises:
        NotAllowed: a name that is not replaceable.
    """
    if unknown := set(names) - REPLACEABLE:
        raise NotAllowed(f"can't replace {', '.join(sorted(unknown))}")
    wechat = dict(ring.wechat)
    if "wechat_apiv3" in names:
        wechat["apiv3_key"] = secrets.token_hex(16)
    if "wechat_public" in names:
        wechat["public_key_id"] = new_public_key_id()
    for name in names:
        (ring.directory / f"{name}_private_key.pem").unlink(missing_ok=True)
    write_config(ring.directory, {**ring.config, "wechat": wechat})
    return open_keys(ring.directory, base_url, sign_mode)


def new_public_key_id() -> str:
    return f"PUB_KEY_ID_{secrets.randbelow(10**32):032d}"


def new_identity() -> dict[str, dict[str, str]]:
    def digits(count: int) -> str:
        return f"{secrets.randbelow(10**count):0{count}d}"

    wechat = {"mchid": f"19{digits(8)}", "appid": "wx" + secrets.token_hex(8)}
    wechat |= {"apiv3_key": secrets.token_hex(16), "public_key_id": new_public_key_id()}
    alipay = {"app_id": f"2021{digits(12)}", "seller_id": f"2088{digits(12)}"}
    return {"wechat": wechat, "alipay": alipay}


def open_private_key(path: Path) -> rsa.RSAPrivateKey:
    """The key in that file; made when it is missing, as in a folder of an earlier version."""
    if not path.is_file():
        made = rsa.generate_private_key(65537, 2048)
        # PKCS#8 with LF, the one form that every client library loads [sdk-notes.md 2.1].
        write_file(path, made.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made
    # Our own files: checking that the primes are prime would cost a second at each start.
    key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not an RSA key")
    return key


def open_certificate(
    directory: Path,
    name: str,
    private: dict[str, rsa.RSAPrivateKey],
    issuers: dict[str, x509.Certificate],
) -> x509.Certificate:
    """One that is missing, or does not fit its keys any more, is made anew."""
    key_name, issuer, signed_by, common_name = CERTIFICATES[name]
    path, key, issuer_key = (directory / f"{name}_cert.pem", private[key_name], private[signed_by])
    if path.is_file():
        kept = x509.load_pem_x509_certificate(path.read_bytes())
        signature = base64.b64encode(kept.signature).decode()
        is_signed = verify(issuer_key.public_key(), kept.tbs_certificate_bytes, signature)
        if is_signed and kept.public_key() == key.public_key():
            return kept
    names = {
        NameOID.COUNTRY_NAME: "CN",
        NameOID.ORGANIZATION_NAME: "Simulator",
        # Client libraries count on all four names when they make a serial number.
        NameOID.ORGANIZATIONAL_UNIT_NAME: "Stand-in",
        NameOID.COMMON_NAME: common_name,
    }
    subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names.items()])
    begin = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuers[issuer].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() | 1 << 156)  # always 40 hex digits
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer_key, SHA256)
    )
    write_file(path, made.public_bytes(PEM))
    return made


def write_config(directory: Path, config: dict[str, Any]) -> None:
    write_file(directory / CONFIG_FILE, json.dumps(config, indent=2).encode() + b"\n")


def write_file(path: Path, content: bytes) -> None:
    """Appear complete or not at all: others wait for config.json and read it at once."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
