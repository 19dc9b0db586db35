"""A platform in fifty lines: takes the payment service's events and says how an order stands.

    python clients/examples/webhook_receiver.py PORT WHSEC

POST /webhooks takes events; GET /orders/ID answers {"status": ...} from what they said.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "python" / "src"))

from tcmpay_client import NotVerified, verify

BODY_BYTES_MAX = 1 << 20


class Platform(ThreadingHTTPServer):
    """``orders``: id → version and status. A database in earnest, written before the answer."""

    secret: str
    orders: dict[str, tuple[int, str]]


class Handler(BaseHTTPRequestHandler):
    server: Platform
    timeout = 10  # seconds; a peer that says nothing more keeps no thread

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,7}", length) or int(length) > BODY_BYTES_MAX:
            self._answer(400, {"error": "Content-Length"})
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return  # cut off: nobody to answer
        try:
            event = verify(self.server.secret, dict(self.headers), body)
        except NotVerified as refusal:
            self._answer(400, {"error": refusal.reason})
            return
        print(
            f"{event['type']} {event['object_type']} {event['object_id']}"
            f" version {event['object_version']}",
            flush=True,
        )
        if event["object_type"] == "order" and "status" in event["data"]:
            known, _status = self.server.orders.get(event["object_id"], (0, ""))
            # The same event again, or an older one: what we have is newer.
            if event["object_version"] > known:
                new = event["object_version"], event["data"]["status"]
                self.server.orders[event["object_id"]] = new
        self._answer(200, {})

    def do_GET(self) -> None:
        _version, status = self.server.orders.get(self.path.rpartition("/")[2], (0, "unknown"))
        self._answer(200, {"status": status})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


def main(port: str, secret: str) -> None:
    server = Platform(("127.0.0.1", int(port)), Handler)
    server.secret, server.orders = secret, {}
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
