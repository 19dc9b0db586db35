"""Clients of the API, in a process of their own: ``python -m tests.faults.load PLAN_FILE``.

Each user orders, pays from the balance or at a gateway, asks for refunds; staff review them. Every
acknowledgement is a line of the journal, written when it came. An answer that says nothing (none
at all, 5xx, 429, "in progress") is asked for again with the same Idempotency-Key, as clients do.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jwt

from tests.faults.control import ControlRefused, StandInControl

ANSWER_SECONDS_MAX = 8.0
# So long does a client go on asking for one answer.
DECISION_SECONDS_MAX = 300.0
# A gateway that is down is no fault of the order: the client looks for another way soon.
GATEWAY_TRIES_MAX = 3
SEEN_SECONDS_MAX = 1.5
TOKEN_SECONDS = 86_400
IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
GATEWAY_CODES = ("GATEWAY_UNAVAILABLE", "GATEWAY_ERROR")
PAID = ("paid", "partial_refunded", "refunded")


@dataclass(frozen=True)
class Plan:
    """What one run of the load does. ``weights``: balance, wechat, alipay."""

    run: str
    seed: str
    web_port: int
    stand_in_port: int
    users: list[str]
    journal: str
    stop_file: str
    weights: tuple[int, int, int] = (50, 25, 25)
    refund_chance: float = 0.3
    think_seconds: float = 0.05

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(file: Path) -> "Plan":
        facts = json.loads(file.read_text())
        return Plan(**{**facts, "weights": tuple(facts["weights"])})


class Journal:
    """What clients were told, in the order in which they were told it."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)
        self._lock = threading.Lock()

    def write(self, what: str, op: str, **facts: Any) -> None:
        line = json.dumps({"at": time.time(), "what": what, "op": op, **facts})
        with self._lock:
            self._file.write(line + "\n")


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def is_yes(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        return str(self.body.get("code", self.status))

    @property
    def data(self) -> dict[str, Any]:
        return self.body.get("data") or {}


class Undecided(Exception):
    """Nobody said yes or no in time."""


class Client:
    """One connection to the web server, opened again whenever it breaks."""

    def __init__(self, plan: Plan, journal: Journal, chance: random.Random) -> None:
        self._plan = plan
        self._journal = journal
        self._chance = chance
        self._connection: http.client.HTTPConnection | None = None

    def decided(
        self, verb: str, path: str, token: str, body: Any = None, key: str = ""
    ) -> tuple[Answer, int]:
        """The first answer that decides, and how often was asked. Raises Undecided."""
        deadline = time.monotonic() + DECISION_SECONDS_MAX
        tries = gateway_failures = 0
        while time.monotonic() < deadline:
            tries += 1
            answer = self.once(verb, path, token, body, key)
            if answer is not None:
                if answer.status == 500:
                    self._journal.write("error500", path, body=str(answer.body)[:300])
                if answer.code == "SERVICE_UNAVAILABLE":
                    self._journal.write("unavailable", path)
                if answer.status < 500 and answer.status != 429 and answer.code != IN_PROGRESS:
                    return answer, tries
                gateway_failures += answer.code in GATEWAY_CODES
                if gateway_failures >= GATEWAY_TRIES_MAX:
                    return answer, tries
            time.sleep(self._chance.uniform(0.05, 0.5))
        raise Undecided(f"{verb} {path}")

    def once(
        self, verb: str, path: str, token: str, body: Any = None, key: str = ""
    ) -> Answer | None:
        """One request; None when no answer came."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        sent = None if body is None else json.dumps(body)
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._plan.web_port, timeout=ANSWER_SECONDS_MAX
                )
            self._connection.request(verb, f"/api/v1/payment{path}", sent, headers)
            response = self._connection.getresponse()
            return Answer(response.status, json.loads(response.read() or b"{}"))
        except (OSError, http.client.HTTPException, ValueError):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None


class Person:
    """A user in a thread of their own."""

    def __init__(self, plan: Plan, number: int, journal: Journal) -> None:
        self._plan = plan
        self._user = plan.users[number]
        self._journal = journal
        self._chance = random.Random(f"{plan.seed} {number}")
        self._client = Client(plan, journal, self._chance)
        self._control = StandInControl(plan.stand_in_port)
        self._token = token_of(self._user, "patient")
        self._admin = token_of(str(uuid.UUID(int=number + 1)), "admin")
        self._name = f"{plan.run}-{number}"
        self._visits = 0

    def live(self) -> None:
        while not os.path.exists(self._plan.stop_file):
            self._visits += 1
            try:
                self._visit(f"{self._name}-{self._visits}-")
            except Undecided as error:
                self._journal.write("undecided", str(error))
            except Exception as error:
                self._journal.write("broken", repr(error))
                raise
            time.sleep(self._chance.uniform(0, self._plan.think_seconds))

    def _visit(self, name: str) -> None:
        amount = f"{self._chance.randint(100, 5_000) / 100:.2f}"
        [method] = self._chance.choices(("balance", "wechat", "alipay"), self._plan.weights)
        body = {
            "user_id": self._user,
            "order_type": "consultation",
            "amount": amount,
            "description": name,
        }
        self._journal.write("asked", "order", name=name)
        answer, _tries = self._client.decided("POST", "/orders", self._token, body, f"{name}o")
        if not answer.is_yes:
            self._journal.write("no", "order", name=name, code=answer.code)
            return
        order = answer.data
        self._journal.write("yes", "order", name=name, id=order["id"], amount=order["amount"])
        is_paid = (
            self._from_balance(order, name) if method == "balance" else self._at(method, order)
        )
        if is_paid and self._chance.random() < self._plan.refund_chance:
            self._give_back(order, name)

    def _from_balance(self, order: dict[str, Any], name: str) -> bool:
        body = {"order_id": order["id"], "payment_method": "balance"}
        answer, tries = self._client.decided("POST", "/pay", self._token, body, f"{name}p")
        told = "yes" if answer.is_yes else "no"
        self._journal.write(told, "balance", id=order["id"], code=answer.code, tries=tries)
        return answer.is_yes

    def _at(self, method: str, order: dict[str, Any]) -> bool:
        """Whether the client saw the order paid."""
        body = {"order_id": order["id"], "payment_method": method}
        answer, _tries = self._client.decided("POST", "/pay", self._token, body)
        if not answer.is_yes:
            self._journal.write("no", method, id=order["id"], code=answer.code)
            return False
        self._journal.write("yes", "start", id=order["id"])
        url = answer.data.get("payment_url") if method == "alipay" else None
        try:
            self._control.ask("pay", channel=method, out_trade_no=order["order_no"], url=url or "")
        except (ControlRefused, OSError, ValueError) as error:
            self._journal.write("no", f"buyer-{method}", id=order["id"], code=str(error)[:100])
            return False
        self._journal.write("taken", method, id=order["id"], number=order["order_no"])
        return self._sees_paid(order["id"])

    def _sees_paid(self, order_id: str) -> bool:
        deadline = time.monotonic() + SEEN_SECONDS_MAX
        while time.monotonic() < deadline:
            answer = self._client.once("GET", f"/orders/{order_id}", self._token)
            if answer and answer.is_yes and answer.data["status"] in PAID:
                self._journal.write("yes", "seen", id=order_id)
                return True
            time.sleep(0.1)
        return False

    def _give_back(self, order: dict[str, Any], name: str) -> None:
        body = {
            "order_id": order["id"],
            "refund_amount": order["amount"] if self._chance.random() < 0.5 else "1.00",
            "refund_reason": name,
        }
        answer, tries = self._client.decided("POST", "/refunds", self._token, body, f"{name}r")
        if not answer.is_yes:
            self._journal.write("no", "refund", name=name, code=answer.code, tries=tries)
            return
        refund_id = answer.data["id"]
        self._journal.write("yes", "refund", name=name, id=refund_id)
        review = {"approved": True, "review_notes": "ok"}
        path = f"/admin/refunds/{refund_id}/review"
        answer, tries = self._client.decided("PUT", path, self._admin, review)
        if answer.is_yes or (tries > 1 and answer.code == "REFUND_ALREADY_REVIEWED"):
            self._journal.write("yes", "review", id=refund_id)
        else:
            self._journal.write("no", "review", id=refund_id, code=answer.code)


def token_of(user: str, role: str) -> str:
    issued = int(time.time()) - 1
    claims = {"sub": user, "role": role, "iat": issued, "exp": issued + TOKEN_SECONDS}
    return jwt.encode(claims, os.environ["JWT_SECRET"], algorithm="HS256")


def main(plan_file: Path) -> None:
    plan = Plan.read(plan_file)
    journal = Journal(Path(plan.journal))
    people = [Person(plan, number, journal) for number in range(len(plan.users))]
    journal.write("begun", "load")
    threads = [threading.Thread(target=person.live) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.write("ended", "load")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
