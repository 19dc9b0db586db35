"""No connection to a receiver whose name or address is not what it says."""

import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tcmpay.common.actor import SYSTEM
from tests.clinic import new_order, patient
from tests.events.conftest import deliver
from tests.events.receiver import listening
from webhooks.errors import EndpointAddressRefused
from webhooks.models import WebhookEndpoint, WebhookTry
from webhooks.services.endpoints import endpoint_add, endpoint_enable

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo")]

NAME = "hooks.platform.example"


def certificate(folder: Path, *names: str) -> tuple[str, str]:
    """A self-made certificate for ``names``, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names
    ]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(files[0]), str(files[1])


def tries() -> list[tuple[int | None, str]]:
    return list(WebhookTry.objects.order_by("id").values_list("http_status", "problem"))


def resolves_to(monkeypatch, *addresses: str) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    with listening(certificate=certificate(tmp_path, "127.0.0.1")) as receiver:
        endpoint_add(actor=SYSTEM, url=receiver.url)
        new_order(patient())
        deliver()
        assert receiver.got == []
    assert tries() == [(None, "tls")]


def test_a_certificate_of_another_name(tmp_path, monkeypatch):
    files = certificate(tmp_path, "other.platform.example")
    monkeypatch.setattr(certifi, "where", lambda: files[0])
    with listening(certificate=files) as receiver:
        endpoint_add(actor=SYSTEM, url=receiver.url)
        new_order(patient())
        deliver()
        assert receiver.got == []
    assert tries() == [(None, "tls")]


def test_the_right_certificate(tmp_path, monkeypatch):
    files = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setattr(certifi, "where", lambda: files[0])
    with listening(certificate=files) as receiver:
        made = endpoint_add(actor=SYSTEM, url=receiver.url)
        new_order(patient())
        deliver()
        assert len(receiver.verified(made.secret)) == 1


@pytest.mark.parametrize("inside", ["10.1.2.3", "127.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_inside_when_it_is_saved(monkeypatch, inside):
    resolves_to(monkeypatch, inside)
    with pytest.raises(EndpointAddressRefused):
        endpoint_add(actor=SYSTEM, url=f"https://{NAME}/hooks")


@pytest.mark.parametrize("inside", ["10.1.2.3", "127.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_inside_once_it_was_saved(monkeypatch, inside):
    """Rebinding: public when it was looked at, inside when it is connected to."""
    resolves_to(monkeypatch, "8.8.8.8")
    made = endpoint_add(actor=SYSTEM, url=f"https://{NAME}/hooks")
    resolves_to(monkeypatch, inside)
    new_order(patient())
    deliver()
    assert tries() == [(None, "address")]
    WebhookEndpoint.objects.update(
        status="disabled", disabled_because="failing", disabled_at=datetime.now(UTC)
    )
    with pytest.raises(EndpointAddressRefused):
        endpoint_enable(actor=SYSTEM, endpoint_id=made.endpoint.id)


def test_a_name_that_nobody_knows_is_tried_again(monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    endpoint_add(actor=SYSTEM, url=f"https://{NAME}/hooks")
    new_order(patient())
    deliver()
    assert tries() == [(None, "address")]
