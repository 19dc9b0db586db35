"""Where connections may end: judged at the moment of connecting, by the address itself."""

import socket
import threading

import pytest
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError

from gateways.tests.kit import Reply, StandIn
from tcmpay.common.egress import guard

PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0.0.0.0",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]", "224.0.0.1", "[ff02::1]",
]  # fmt: skip


def pool(*, is_loopback_allowed: bool = False) -> urllib3.PoolManager:
    plain = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=0.5, read=0.5))
    return guard(plain, is_loopback_allowed=is_loopback_allowed)


@pytest.fixture
def no_connection(monkeypatch) -> list[object]:
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(address))
    return tried


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", PRIVATE)
def test_no_connection_into_a_private_network_is_even_begun(no_connection, scheme, host):
    with pytest.raises(HTTPError):
        pool().request("GET", f"{scheme}://{host}/")
    assert no_connection == []


def test_strangers_get_none_of_our_traces():
    """OpenTelemetry and Sentry add such headers to whatever is called."""
    with StandIn() as server:
        server.begin().always(Reply(200))
        traced = dict.fromkeys(("traceparent", "tracestate", "Baggage", "sentry-trace"), "ours")
        pool(is_loopback_allowed=True).request("GET", server.url, headers={**traced, "X-Own": "1"})
        [seen] = server.seen
    assert {name.lower() for name in seen.headers} & {
        "baggage",
        "sentry-trace",
        "traceparent",
        "tracestate",
        "x-own",
    } == {"x-own"}


def test_a_name_is_judged_by_what_it_resolves_to(no_connection, monkeypatch):
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    with pytest.raises(NewConnectionError, match="private network"):
        pool().request("GET", "http://innocent.test/")
    assert no_connection == []


def test_the_address_that_was_judged_is_the_one_connected_to(monkeypatch):
    """A name that resolves otherwise a moment later is not asked a second time."""
    looked_up, tried = [], []

    def resolve(host, port, **kwargs):
        looked_up.append(host)
        address = "93.184.216.34" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(self, address):
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NewConnectionError):
        pool().request("GET", "http://rebinding.test:8080/")
    assert (looked_up, tried) == (["rebinding.test"], [("93.184.216.34", 8080)])


def test_of_several_addresses_only_public_ones_are_tried(monkeypatch):
    tried = []
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in ("192.168.0.1", "93.184.216.34", "127.0.0.1")
    ]

    def connect(self, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NewConnectionError):
        pool().request("GET", "http://mixed.test/")
    assert tried == ["93.184.216.34"]


def test_a_stand_in_on_this_machine_is_reached_where_that_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(HTTPError):
            pool().request("GET", f"http://127.0.0.1:{port}/")
        with pytest.raises(HTTPError) as told:  # it connects, and nobody answers
            pool(is_loopback_allowed=True).request("GET", f"http://127.0.0.1:{port}/")
        assert "Read" in type(told.value).__name__
        server.accept()[0].close()
    with pytest.raises(NewConnectionError, match="private network"):
        pool(is_loopback_allowed=True).request("GET", "http://10.0.0.1/")


def test_a_resolver_that_never_answers_ends_with_the_connection(no_connection, monkeypatch):
    over = threading.Event()
    late = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [over.wait(2), late][1])
    try:
        with pytest.raises(NewConnectionError):
            pool().request("GET", "http://lost.test/")
        assert no_connection == []
    finally:
        over.set()
