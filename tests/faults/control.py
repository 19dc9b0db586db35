"""Small HTTP clients: the steering of the stand-ins, and a look at a status."""

import http.client
import json
from typing import Any

SECONDS_MAX = 30.0


class ControlRefused(Exception):
    """The stand-in can't do what was asked: the trade is closed, paid or unknown there."""


class StandInControl:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, name: str, **body: Any) -> dict[str, Any]:
        """POST. Raises ControlRefused with the stand-in's words, OSError when it is away."""
        return self._call("POST", name, json.dumps(body).encode())

    def read(self, name: str) -> dict[str, Any]:
        return self._call("GET", name, b"")

    def _call(self, verb: str, name: str, body: bytes) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS_MAX)
        try:
            connection.request(verb, f"/_control/{name}", body or None)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlRefused(f"{name}: {answer.get('error')}")
        return answer


def get_status(port: int, path: str, *, seconds: float = 10.0) -> int:
    """The HTTP status of a GET, 0 when nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
