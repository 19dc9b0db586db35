"""A call is bounded as a whole: a peer that always has a little more to say gets no slot for long.

Every peer here would come to a good answer in the end, long after the bound.
"""

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from gateways.breaker import Breaker, CallLimiter
from gateways.errors import GatewayUnavailable, GatewayUnknown
from gateways.tests.kit import private_key
from gateways.transport import Transport

STEP_SECONDS = 0.04
STEPS = 50
BODY = b"x" * STEPS
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def drip(connection, parts):
    for part in parts:
        time.sleep(STEP_SECONDS)
        connection.sendall(part)


def single(content):
    return [content[place : place + 1] for place in range(len(content))]


def drips_body(connection):
    connection.sendall(HEAD)
    drip(connection, single(BODY))


def drips_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(connection, single(BODY))
    connection.sendall(b"\r\n" + HEAD.partition(b"\r\n")[2] + BODY)


def drips_status_line(connection):
    connection.sendall(b"HTTP/1.1 200 ")
    drip(connection, single(BODY))
    connection.sendall(b"\r\n" + HEAD.partition(b"\r\n")[2] + BODY)


def drips_one_header_after_another(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    drip(connection, [b"X-%d: y\r\n" % number for number in range(STEPS)])
    connection.sendall(HEAD.partition(b"\r\n")[2] + BODY)


def drips_chunks(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, [b"1\r\nx\r\n"] * STEPS)
    connection.sendall(b"0\r\n\r\n")


def drips_trailers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    drip(connection, [b"X-%d: y\r\n" % number for number in range(STEPS)])
    connection.sendall(b"\r\n")


def says_continue_for_ever(connection):
    drip(connection, [CONTINUE] * STEPS)
    connection.sendall(HEAD + BODY)


def says_continue_as_fast_as_it_can(connection):
    for _ in range(400):
        connection.sendall(CONTINUE * 1_000)
    connection.sendall(HEAD + BODY)


def says_nothing(connection):
    time.sleep(STEP_SECONDS * STEPS)
    connection.sendall(HEAD + BODY)


@contextmanager
def peer(serve, context=None):
    """An address whose every visitor is served by ``serve``."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def visit(connection):
            with suppress(OSError), connection:
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                connection.recv(65_536)
                serve(connection)

        def accept():
            while not over.is_set():
                with suppress(TimeoutError):
                    connection = server.accept()[0]
                    connection.settimeout(5)
                    threading.Thread(target=visit, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            accepting.join()


def transport(**bounds):
    bounds = {"connect_seconds": 0.3, "read_seconds": 0.3, "call_seconds_max": 0.4} | bounds
    return Transport(is_loopback_allowed=True, **bounds)


def get(url, line=None):
    return (line or transport()).send("GET", url, headers={})


def ends_unknown_and_leaves_the_slot_free(url, line=None):
    limiter = CallLimiter(calls_max=1, breaker=Breaker(failures_max=2))
    for _ in range(2):
        with pytest.raises(GatewayUnknown) as told:
            limiter.run(lambda: get(url, line))
        assert told.value.code != "NO_FREE_SLOT"
    with pytest.raises(GatewayUnavailable) as told:
        limiter.run(lambda: "not called")
    assert told.value.code == "CIRCUIT_OPEN"  # a slot was free, and the breaker was told
    return True


@pytest.mark.parametrize(
    "serve",
    [
        drips_body,
        drips_head,
        drips_status_line,
        drips_one_header_after_another,
        drips_chunks,
        drips_trailers,
        says_continue_for_ever,
        says_continue_as_fast_as_it_can,
        says_nothing,
    ],
)
def test_a_peer_that_never_comes_to_an_end_holds_no_slot(serve):
    with peer(serve) as address:
        assert ends_unknown_and_leaves_the_slot_free(f"http://{address}/")


def test_a_peer_that_never_shakes_hands_holds_no_slot():
    def drips_a_greeting(connection):
        drip(connection, [b"\x16\x03\x03\x0f\xff", *single(b"\x02" * STEPS)])

    with peer(drips_a_greeting) as address:
        assert ends_unknown_and_leaves_the_slot_free(f"https://{address}/")


def test_a_peer_that_never_accepts_holds_no_slot():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with socket.create_connection(server.getsockname()):  # the queue is full
            assert ends_unknown_and_leaves_the_slot_free(f"http://{address}/")


def test_the_bound_begins_anew_with_each_call_of_a_connection():
    def answers_slowly(connection):
        for _ in range(5):
            connection.sendall(HEAD[:9])
            time.sleep(0.25)
            connection.sendall(HEAD[9:] + BODY)
            connection.recv(65_536)

    line = transport(read_seconds=1.2, call_seconds_max=1.2)
    with peer(answers_slowly) as address:
        assert [get(f"http://{address}/", line).body for _ in range(5)] == [BODY] * 5


def test_a_download_has_a_bound_of_its_own(tmp_path):
    with peer(drips_body) as address, (tmp_path / "bill").open("wb") as sink:
        assert transport(read_seconds=5).download(f"http://{address}/", sink) == 200
    assert (tmp_path / "bill").read_bytes() == BODY


def certificate(*names):
    key = private_key("tls")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def server_context(tmp_path, *names):
    file = tmp_path / "server.pem"
    own = private_key("tls").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(own + certificate(*names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, str(file)


LOOPBACK = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))


def test_over_tls_a_good_answer_comes_and_a_dripped_one_ends(tmp_path, monkeypatch):
    context, file = server_context(tmp_path, LOOPBACK)
    monkeypatch.setattr(certifi, "where", lambda: file)
    with peer(lambda connection: connection.sendall(HEAD + BODY), context) as address:
        assert get(f"https://{address}/").body == BODY
    for serve in (drips_body, drips_head, says_continue_for_ever, says_nothing):
        with peer(serve, context) as address:
            assert ends_unknown_and_leaves_the_slot_free(f"https://{address}/")


def test_a_certificate_that_nobody_vouches_for_ends_the_call(tmp_path):
    context, _file = server_context(tmp_path, LOOPBACK)
    with peer(drips_body, context) as address, pytest.raises(GatewayUnknown):
        get(f"https://{address}/")


def test_a_certificate_for_another_name_ends_the_call(tmp_path, monkeypatch):
    context, file = server_context(tmp_path, x509.DNSName("elsewhere.test"))
    monkeypatch.setattr(certifi, "where", lambda: file)
    with (
        peer(lambda connection: connection.sendall(HEAD + BODY), context) as address,
        pytest.raises(GatewayUnknown),
    ):
        get(f"https://{address}/")
