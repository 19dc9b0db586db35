"""What people, the platform and staff ask for: a locustfile, in locust's own environment.

Every request to the product takes the next place in one queue of moments, so many a second and
apart as chance has it: a slow answer delays no other request. A visitor who comes too late for
its moment is counted (``late``). Payers pay at the stand-ins, whose callbacks come by themselves.
"""

import base64
import hashlib
import hmac
import http.client
import http.cookies
import json
import os
import random
import re
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.clients import ResponseContextManager
from locust.exception import StopUser

PLAN: dict[str, Any] = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
API = "/api/v1/payment"
POLL_SECONDS, POLLS_MAX = 1.0, 30
PAID = {"paid", "partial_refunded", "refunded"}
LATE_SECONDS = 1.0
PAGES = (
    "/admin/",
    "/admin/payments/paymentorder/",
    "/admin/payments/paymenttransaction/",
    "/admin/refunds/refund/",
    "/admin/balances/balancetransaction/",
    "/admin/audit/auditevent/",
)
chance = random.Random(PLAN["seed"])
counted: Counter[str] = Counter()
problems: Counter[str] = Counter()
CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Moments:
    """When the next request is due; as many a second as asked for, at random distances."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next = 0.0

    def wait(self) -> None:
        now = time.monotonic()
        self._next = max(self._next, now - LATE_SECONDS) + chance.expovariate(self._per_second)
        if self._next > now:
            gevent.sleep(self._next - now)
        elif now - self._next > LATE_SECONDS / 2:
            counted["late"] += 1


moments = Moments(PLAN["per_second"])


def token_of(user: str, role: str) -> str:
    issued = int(time.time()) - 1
    claims = {"sub": user, "role": role, "iat": issued, "exp": issued + 86_400}
    parts = [_url64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = ".".join(parts)
    digest = hmac.new(PLAN["jwt_secret"].encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_url64(digest)}"


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Visitor(FastHttpUser):
    abstract = True
    network_timeout = connection_timeout = 30.0

    def ask(
        self, verb: str, path: str, name: str, *, body: Any = None, token: str = "", **headers: str
    ) -> Any:
        """The answer's ``data``, None where it is a refusal, which is counted as a failure."""
        moments.wait()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer: ResponseContextManager
        with self.client.request(
            verb, API + path, name=name, json=body, headers=headers, catch_response=True
        ) as answer:
            if 200 <= (answer.status_code or 0) < 300:
                return answer.json()["data"]
            told = str(answer.text).partition('"request_id"')[0]
            problems[f"{name}: {answer.status_code} {told[:200].strip()}"] += 1
            answer.failure(f"{answer.status_code}")
        return None


class Patient(Visitor):
    weight = 16

    def on_start(self) -> None:
        self.user = chance.choice(PLAN["users"])
        self.token = token_of(self.user, "patient")
        self.admin = token_of(str(uuid.UUID(int=chance.randrange(1, 50))), "admin")

    @task(20)
    def browse(self) -> None:
        self.ask("GET", "/prices", "GET prices")
        self.ask("GET", "/orders", "GET orders", token=self.token)
        self.ask("GET", f"/balance/{self.user}", "GET balance", token=self.token)
        self.ask("GET", f"/balance/{self.user}/transactions", "GET ledger", token=self.token)

    @task(3)
    def looks_at_figures(self) -> None:
        self.ask("GET", "/statistics", "GET statistics", token=self.token)

    @task(3)
    def gives_up(self) -> None:
        if order := self._order():
            self.ask("PUT", f"/orders/{order['id']}/cancel", "PUT cancel", token=self.token)

    @task(14)
    def pays_from_balance(self) -> None:
        if not (order := self._order()):
            return
        if self._start(order, "balance"):
            self._look(order)
            self._may_want_it_back(order)

    @task(9)
    def pays_by_wechat(self) -> None:
        self._pay_at("wechat")

    @task(9)
    def pays_by_alipay(self) -> None:
        self._pay_at("alipay")

    def _order(self) -> Any:
        body = {
            "user_id": self.user,
            "order_type": "consultation",
            "service_type": "consultation",
            "description": "load",
        }
        return self.ask(
            "POST", "/orders", "POST orders", body=body, token=self.token, **self._key()
        )

    def _start(self, order: dict[str, Any], method: str) -> Any:
        body = {"order_id": order["id"], "payment_method": method}
        return self.ask(
            "POST", "/pay", f"POST pay {method}", body=body, token=self.token, **self._key()
        )

    def _look(self, order: dict[str, Any]) -> str:
        seen = self.ask("GET", f"/orders/{order['id']}", "GET order", token=self.token)
        return str(seen["status"]) if seen else ""

    def _pay_at(self, method: str) -> None:
        if not (order := self._order()) or not (started := self._start(order, method)):
            return
        gevent.sleep(chance.uniform(0.5, 3.0))  # the payer takes out the phone
        url = started.get("payment_url") if method == "alipay" else None
        if not pay_at_gateway(channel=method, out_trade_no=order["order_no"], url=url or ""):
            return
        began = time.monotonic()
        for _poll in range(POLLS_MAX):
            if self._look(order) in PAID:
                counted["seen paid"] += 1
                counted["seconds until seen paid"] += int(time.monotonic() - began)
                break
            gevent.sleep(POLL_SECONDS)
        else:
            problems[f"{method}: not seen paid after {POLLS_MAX} polls"] += 1
        if chance.random() < 0.1:
            self.ask("POST", f"/orders/{order['id']}/sync", "POST sync", token=self.token)
        self._may_want_it_back(order)

    def _may_want_it_back(self, order: dict[str, Any]) -> None:
        if chance.random() > 0.15:
            return
        body = {
            "order_id": order["id"],
            "refund_amount": order["amount"],
            "refund_reason": "load",
        }
        refund = self.ask(
            "POST", "/refunds", "POST refunds", body=body, token=self.token, **self._key()
        )
        if not refund:
            return
        review = {"approved": True, "review_notes": "ok"}
        path = f"/admin/refunds/{refund['id']}/review"
        self.ask("PUT", path, "PUT review", body=review, token=self.admin)
        self.ask("GET", f"/refunds/{refund['id']}", "GET refund", token=self.token)

    def _key(self) -> dict[str, str]:
        return {"Idempotency-Key": uuid.UUID(int=chance.getrandbits(128)).hex}


class Platform(Visitor):
    """Reads the feed of events, as a back end does that keeps its own copy."""

    weight = 1

    def on_start(self) -> None:
        self.token = token_of(str(uuid.UUID(int=77)), "service")
        self.after = 0

    @task
    def reads_on(self) -> None:
        feed = self.ask("GET", f"/events?after={self.after}&limit=100", "GET events",
                        token=self.token)  # fmt: skip
        items = (feed or {}).get("items") or []
        self.after = max([self.after, *(one["sequence"] for one in items)])
        gevent.sleep(1)


class Staff(Visitor):
    weight = 1
    # One sitting for all: who signs in is not what is measured.
    cookies = ""

    def on_start(self) -> None:
        if not Staff.cookies:
            Staff.cookies = signed_in()

    @task
    def turns_a_page(self) -> None:
        moments.wait()
        page = chance.choice(PAGES)
        with self.client.get(page, name=f"page {page}", headers={"Cookie": Staff.cookies},
                             allow_redirects=False, catch_response=True) as answer:  # fmt: skip
            if answer.status_code != 200:
                problems[f"page {page}: {answer.status_code}"] += 1
                answer.failure(str(answer.status_code))
        gevent.sleep(1)


def signed_in() -> str:
    """The cookies of a staff member who signed in."""
    address = PLAN["host"].removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", "/admin/login/")
    answer = connection.getresponse()
    jar = _cookies(answer)
    found = CSRF.search(answer.read().decode())
    form = {
        "csrfmiddlewaretoken": found.group(1) if found else "",
        "username": PLAN["staff"],
        "password": PLAN["password"],
        "next": "/admin/",
    }
    content = "&".join(f"{name}={value}" for name, value in form.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": _header(jar)}
    connection.request("POST", "/admin/login/", content, headers)
    answer = connection.getresponse()
    if answer.status != 302:
        problems[f"sign in: {answer.status}"] += 1
        raise StopUser()
    jar.update(_cookies(answer))
    connection.close()
    return _header(jar)


def _cookies(answer: http.client.HTTPResponse) -> dict[str, str]:
    jar: dict[str, str] = {}
    for line in answer.headers.get_all("Set-Cookie") or []:
        jar.update({name: one.value for name, one in http.cookies.SimpleCookie(line).items()})
    return jar


def _header(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


def pay_at_gateway(**body: str) -> bool:
    """The payer pays at the stand-in, which calls back by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", PLAN["stand_in_port"], timeout=30)
    try:
        connection.request("POST", "/_control/pay", json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        problems[f"stand-in: {type(error).__name__}"] += 1
        return False
    finally:
        connection.close()
    if answer.status >= 400:
        problems[f"stand-in: {answer.status} {text[:200]}"] += 1
    return answer.status < 400


@events.quitting.add_listener
def write_down(environment: Any, **_more: Any) -> None:
    entries = [*environment.stats.entries.values(), environment.stats.total]
    Path(PLAN["result"]).write_text(
        json.dumps(
            {
                "endpoints": [_row(entry) for entry in entries if entry.num_requests],
                "counted": dict(counted),
                "problems": dict(problems.most_common(50)),
            }
        )
    )


def _row(entry: Any) -> dict[str, Any]:
    percentiles = {f"p{part}": entry.get_response_time_percentile(part / 100) for part in
                   (50, 95, 99)}  # fmt: skip
    return {
        "name": entry.name,
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "max": round(entry.max_response_time),
        **percentiles,
    }
