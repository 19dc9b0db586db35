"""Clients at a steady rate through nginx: ``python3 traffic.py PLAN`` prints what they met.

PLAN is JSON: base (https address), secret (of the platform's tokens), users, rate (requests per
second), seconds. Requests are begun when they are due, whatever became of those before: a server
that stalls is met by all that arrives meanwhile. Nothing is asked twice. Standard library only.
"""

import base64
import hashlib
import hmac
import http.client
import json
import queue
import random
import ssl
import sys
import threading
import time
import uuid
from collections import Counter
from typing import Any

THREADS = 64
ANSWER_SECONDS_MAX = 30.0
API = "/api/v1/payment"
# What is asked, and of a hundred requests how many ask it.
MIX = {
    "order": 20, "pay": 15, "see": 20, "list": 10, "balance": 10, "prices": 8, "forged": 3,
    "statement": 6, "cashier": 3, "ready": 5,
}  # fmt: skip


def token(secret: str, user: str) -> str:
    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"sub": user, "role": "patient", "iat": now, "exp": now + 3600}
    head = encoded(b'{"alg":"HS256","typ":"JWT"}') + "." + encoded(json.dumps(claims).encode())
    return f"{head}.{encoded(hmac.digest(secret.encode(), head.encode(), hashlib.sha256))}"


class Traffic:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.host = plan["base"].removeprefix("https://")
        self.tokens = {user: token(plan["secret"], user) for user in plan["users"]}
        self.due: queue.Queue[tuple[float, str] | None] = queue.Queue()
        self.orders: queue.Queue[tuple[str, str]] = queue.Queue()
        self.paid: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.dropped: list[str] = []
        self.seconds: list[float] = []
        self.ends: list[float] = []
        self.acknowledged: list[str] = []

    def run(self) -> dict[str, Any]:
        threads = [threading.Thread(target=self._client, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        chance = random.Random(self.plan.get("seed", 1))
        began = time.monotonic()
        for number in range(int(self.plan["rate"] * self.plan["seconds"])):
            at = began + number / self.plan["rate"]
            time.sleep(max(0.0, at - time.monotonic()))
            self.due.put((at, chance.choices([*MIX], [*MIX.values()])[0]))
        for _thread in threads:
            self.due.put(None)
        for thread in threads:
            thread.join()
        self.seconds.sort()
        gaps = [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]
        return {
            "requests": len(self.seconds),
            "dropped": self.dropped,
            "statuses": dict(sorted(self.statuses.items())),
            "p50_ms": self._percentile(0.5),
            "p99_ms": self._percentile(0.99),
            "longest_ms": self._percentile(1.0),
            "longest_silence_ms": round(1000 * max(gaps, default=0.0)),
            "acknowledged": self.acknowledged,
        }

    def _percentile(self, share: float) -> int:
        place = min(len(self.seconds) - 1, int(share * len(self.seconds)))
        return round(1000 * self.seconds[place])

    def _client(self, number: int) -> None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            self.host, timeout=ANSWER_SECONDS_MAX, context=trust
        )
        chance = random.Random(number)
        while (one := self.due.get()) is not None:
            at, kind = one
            try:
                status = self._ask(connection, kind, chance)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status = 0
                with self.lock:
                    self.dropped.append(f"{kind}: {error!r}")
            end = time.monotonic()
            with self.lock:
                self.statuses[f"{kind} {status}"] += 1
                self.seconds.append(end - at)
                self.ends.append(end)
                if status >= 500 or status == 429:
                    self.dropped.append(f"{kind}: {status}")
        connection.close()

    def _ask(self, connection: http.client.HTTPSConnection, kind: str, chance: Any) -> int:
        user = chance.choice(self.plan["users"])
        verb, path, body, order = "GET", "", None, ""
        if kind == "pay":
            try:
                user, order = self.orders.get_nowait()
                verb, path = "POST", f"{API}/pay"
                body = {"order_id": order, "payment_method": "balance"}
            except queue.Empty:
                kind = "order"
        if kind == "order":
            verb, path = "POST", f"{API}/orders"
            body = {"user_id": user, "order_type": "consultation", "service_type": "consultation"}
        elif kind == "see":
            with self.lock:
                user, order = chance.choice(self.paid) if self.paid else (user, "")
            path = f"{API}/orders/{order}" if order else f"{API}/orders"
        elif kind == "forged":
            verb, path = "POST", "/payment/callback/wechat"
            body = {"id": str(uuid.uuid4())}
        elif kind != "pay":
            path = {
                "list": f"{API}/orders?page_size=10",
                "balance": f"{API}/balance/{user}",
                "statement": f"{API}/balance/{user}/transactions?page_size=10",
                "prices": f"{API}/prices",
                "cashier": "/pay/nobody:knows:it",
                "ready": "/health/ready",
            }[kind]
        headers = {"Content-Type": "application/json"}
        if path.startswith(API) and kind != "prices":
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        if verb == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        connection.request(verb, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        content = response.read()
        if kind == "order" and response.status == 201:
            self.orders.put((user, json.loads(content)["data"]["id"]))
        if kind == "pay" and response.status == 200:
            with self.lock:
                self.paid.append((user, order))
                self.acknowledged.append(order)
        return response.status


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Traffic(json.loads(sys.argv[1])).run()) + "\n")
