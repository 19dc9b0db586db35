"""Whether a certificate is Alipay's: its subject, its time, and a chain to the configured root.

In certificate mode Alipay goes over to a new certificate without asking. Merchants' certificates
end at the same root, so that the chain alone proves nothing: the subject must be the one of the
certificate that was configured.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateways import keys
from gateways.key_blocks import KeyUnreadable

# Where a configuration carries the certificates that were fetched and kept: PEM, one after another.
KEPT_CERTIFICATES = "alipay_certs_kept"
CHAIN_LENGTH_MAX = 5
KEY_BITS_MIN = 2048


@dataclass(frozen=True, eq=False)
class AlipayChain:
    """``subject`` is the configured certificate's, ``roots`` are those of the configured bundle."""

    subject: x509.Name
    roots: tuple[x509.Certificate, ...]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """From the values of certificate mode. Raises KeyUnreadable."""
        subject = keys.load_certificate(values["alipay_cert"]).subject
        return cls(subject, tuple(keys.rsa_roots(values["root_cert"])))

    def trusted(self, content: str, *, now: datetime) -> dict[str, RSAPublicKey]:
        """SN → key of each certificate in ``content`` that is Alipay's at ``now``; the others of
        it may serve as links of the chain. Raises KeyUnreadable."""
        given = keys.load_certificates(content)
        return {
            keys.alipay_certificate_sn(one): keys.certificate_public_key(one)
            for one in given
            if one.subject == self.subject and self._is_good(one, given, now)
        }

    def kept(self, values: Mapping[str, str]) -> dict[str, RSAPublicKey]:
        """Those that were fetched earlier: whoever wrote them there, only the chain is trusted."""
        content = values.get(KEPT_CERTIFICATES, "")
        try:
            return self.trusted(content, now=datetime.now(UTC)) if content else {}
        except KeyUnreadable:
            return {}

    def _is_good(
        self, certificate: x509.Certificate, given: Iterable[x509.Certificate], now: datetime
    ) -> bool:
        try:
            is_strong = keys.certificate_public_key(certificate).key_size >= KEY_BITS_MIN
        except KeyUnreadable:
            return False
        return (
            is_strong and _is_valid(certificate, now) and self._ends_here(certificate, given, now)
        )

    def _ends_here(
        self, certificate: x509.Certificate, given: Iterable[x509.Certificate], now: datetime
    ) -> bool:
        links = [one for one in given if _is_authority(one) and _is_valid(one, now)]
        at = certificate
        for _step in range(CHAIN_LENGTH_MAX):
            if any(_is_issued_by(at, root) and _is_valid(root, now) for root in self.roots):
                return True
            above = [one for one in links if one is not at and _is_issued_by(at, one)]
            if not above:
                return False
            at = above[0]
        return False


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign certificates: a merchant's may not."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return extension.value.ca


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
