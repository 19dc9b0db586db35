"""A receiver of tcmpay's webhooks, with Python's standard library alone.

    WEBHOOK_SECRET=whsec_... python docs/examples/webhook_receiver.py serve 8080
    TCMPAY_TOKEN=... python docs/examples/webhook_receiver.py rebuild http://localhost:3000

The first stores what comes to http://localhost:8080/hooks in objects.db (DATABASE says otherwise)
and answers GET /objects/ID; the second reads all of it again from the feed, which is the truth.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 1 << 20


class Forged(Exception):
    """Not from tcmpay, or not from now."""


def verified(secret, headers, body):
    """The event in ``body`` (bytes, as they came). Raises Forged."""
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if (
        not re.fullmatch("[0-9]{1,12}", sent_at)
        or abs(time.time() - int(sent_at)) > TOLERANCE_SECONDS
    ):
        raise Forged("too old, or from the future")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # While the secret is being changed there are two signatures.
    for signature in headers.get("webhook-signature", "").split():
        version, _comma, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected):
            return json.loads(body)
    raise Forged("no signature fits")


class Store:
    """The newest state of each object, and how far the feed was read."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS objects (type TEXT, id TEXT, version INTEGER, event TEXT,"
            " PRIMARY KEY (type, id))"
        )

    def take(self, event):
        """Keep the event unless a newer one of its object is there: repetitions change nothing."""
        self.db.execute(
            "INSERT INTO objects VALUES (?, ?, ?, ?) ON CONFLICT (type, id) DO UPDATE"
            " SET version = excluded.version, event = excluded.event"
            " WHERE excluded.version > objects.version",
            (
                event["object_type"],
                event["object_id"],
                event["object_version"],
                json.dumps(event),
            ),
        )

    def of(self, object_id):
        rows = self.db.execute("SELECT event FROM objects WHERE id = ?", (object_id,))
        return [json.loads(event) for (event,) in rows]


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds; a peer that says nothing more keeps no thread

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,7}", length) or int(length) > BODY_BYTES_MAX:
            self.answer(400, {"error": "Content-Length"})
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return  # cut off: nobody to answer
        try:
            event = verified(os.environ["WEBHOOK_SECRET"], self.headers, body)
        except Forged as error:
            self.answer(401, {"error": str(error)})
            return
        if event["type"] != "ping":
            # Stored first: what was answered with 2xx does not come again.
            Store(os.environ.get("DATABASE", "objects.db")).take(event)
        self.answer(200, {"ok": True})

    def do_GET(self):
        store = Store(os.environ.get("DATABASE", "objects.db"))
        self.answer(200, store.of(self.path.rpartition("/")[2]))

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def rebuild(base, token):
    """Read the feed from its beginning; how many events there were."""
    store, after, count = Store(os.environ.get("DATABASE", "objects.db")), 0, 0
    while True:
        request = urllib.request.Request(
            f"{base}/api/v1/payment/events?after={after}&limit=500",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = json.load(answer)["data"]
        if not page["events"]:
            return count
        for event in page["events"]:
            store.take(event)
        count, after = count + len(page["events"]), page["next_after"]


if __name__ == "__main__":
    action, where = sys.argv[1:]
    if action == "serve":
        ThreadingHTTPServer(("127.0.0.1", int(where)), Handler).serve_forever()
    else:
        print(rebuild(where.rstrip("/"), os.environ["TCMPAY_TOKEN"]))
