"""The proxy does to a line what it says."""

import socket
import threading

import pytest

from tests.faults.proxy import Proxy

ANSWER_SECONDS = 5.0


class Echo:
    """Answers every chunk with the same; ``heard`` keeps what arrived."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while chunk := connection.recv(4096):
                self.heard.append(chunk)
                connection.sendall(chunk)
        except OSError:
            return


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo):
    line = Proxy(echo.port, name="test")
    yield line
    line.close()


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=ANSWER_SECONDS)


def said(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(4096)


def test_it_passes_on(proxy):
    with connected(proxy) as connection:
        assert said(connection, b"hello") == b"hello"


def test_a_cut_resets_what_is_open_and_lets_new_ones_in(proxy):
    with connected(proxy) as connection:
        said(connection, b"hello")
        assert proxy.cut() == 1
        with pytest.raises(ConnectionError):
            _until_the_end(connection)
    with connected(proxy) as connection:
        assert said(connection, b"again") == b"again"


def test_refused_connections_end_at_once(proxy):
    proxy.is_refusing = True
    with pytest.raises(ConnectionError), connected(proxy) as connection:
        _until_the_end(connection)
    proxy.heal()
    with connected(proxy) as connection:
        assert said(connection, b"again") == b"again"


def test_a_hole_keeps_the_line_and_passes_nothing(proxy, echo):
    with connected(proxy) as connection:
        said(connection, b"hello")
        proxy.is_hole = True
        connection.sendall(b"anybody?")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(4096)
        assert echo.heard == [b"hello"]


def test_a_swallowed_answer_was_heard_and_is_never_told(proxy, echo):
    proxy.swallow_answers(lambda chunk: chunk == b"COMMIT", times=1)
    with connected(proxy) as connection:
        assert said(connection, b"BEGIN") == b"BEGIN"
        connection.sendall(b"COMMIT")
        with pytest.raises(ConnectionError):
            _until_the_end(connection)
    assert echo.heard == [b"BEGIN", b"COMMIT"]
    assert proxy.swallowed == 1
    with connected(proxy) as connection:
        assert said(connection, b"COMMIT") == b"COMMIT"


def test_it_can_lead_elsewhere(proxy):
    other = Echo()
    try:
        proxy.switch(other.port)
        with connected(proxy) as connection:
            said(connection, b"hello")
        assert other.heard == [b"hello"]
    finally:
        other.close()


def _until_the_end(connection: socket.socket) -> None:
    """Read until the line ends. A line that ends in good order is an error here too."""
    connection.sendall(b"?")
    while connection.recv(4096):
        pass
    raise ConnectionError("ended")
