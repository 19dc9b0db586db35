"""The holder of an idempotency key is killed (SIGKILL) at every step; nothing happens twice."""

import signal
import uuid

import pytest
from django.db import connection

from tcmpay.accounts.services import token_issue
from tcmpay.common.actor import Role
from tests.engine.nursery import FAILPOINTS

API = "/api/v1/payment"
# The lease of a key is 60 seconds.
BEFORE_ITS_END, AFTER_ITS_END = 50, 61

# What the same request meets while the lease lasts: a fresh start, a 409, the kept answer.
FRESH, HELD, KEPT = "fresh", "held", "kept"
MEETS = {
    "before the claim's commit": FRESH,
    "after the claim": HELD,
    "before the effect's commit": HELD,
    "after the effect, before the answer is stored": HELD,
    "after storing, before answering": KEPT,
}
HAS_HAPPENED = {
    "after the effect, before the answer is stored",
    "after storing, before answering",
}


class Caller:
    """A patient, and what they ask for."""

    def __init__(self, nursery) -> None:
        self._nursery = nursery
        self.id = uuid.uuid4()
        self.token = token_issue(user_id=self.id, role=Role.PATIENT, ttl_seconds=3600)

    def send(self, method, path, body=None, *, key=None, **more):
        headers = {"Authorization": f"Bearer {self.token}"}
        if key:
            headers["Idempotency-Key"] = key
        return self._nursery.send(method, f"{API}/{path}", body=body, headers=headers, **more)

    def accepted(self, method, path, body=None):
        answer = self.send(method, path, body)
        assert answer["status"] in (200, 201), answer
        return answer["body"]["data"]

    def order_body(self):
        return {"user_id": str(self.id), "order_type": "other", "amount": "7.00"}

    def pay_body(self):
        self._nursery.tell("fund", user=str(self.id), amount="20.00")
        order = self.accepted("POST", "orders", self.order_body())
        return {"order_id": order["id"], "payment_method": "balance"}

    def refund_body(self):
        pay = self.pay_body()
        self.accepted("POST", "pay", pay)
        return {"order_id": pay["order_id"], "refund_amount": "1.00", "refund_reason": "x"}

    def effects(self, path):
        """How often what ``path`` does has happened to this caller."""
        if path == "pay":
            entries = self.accepted("GET", f"balance/{self.id}/transactions")
            return sum(entry["transaction_type"] == "expense" for entry in entries)
        return self.accepted("GET", path)["total"]


BODIES = {"orders": Caller.order_body, "pay": Caller.pay_body, "refunds": Caller.refund_body}
# What the product runs on is gone through completely; SQLite by the path that moves money.
PATHS = list(BODIES) if connection.vendor == "mysql" else ["pay"]


def test_every_failpoint_has_its_expectation():
    assert set(MEETS) == set(FAILPOINTS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_killed_holder_costs_a_minute_at_most_and_nothing_twice(nursery, point, path):
    caller = Caller(nursery)
    body = BODIES[path](caller)
    before = caller.effects(path)
    told = caller.send("POST", path, body, key="k", dies=point)
    assert told == {"signal": signal.SIGKILL}
    assert caller.effects(path) - before == (point in HAS_HAPPENED)

    early = caller.send("POST", path, body, key="k", ahead_seconds=BEFORE_ITS_END)
    if MEETS[point] == HELD:
        assert (early["status"], early["body"]["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
        early = caller.send("POST", path, body, key="k", ahead_seconds=AFTER_ITS_END)
    assert early["status"] in (200, 201), early
    assert early["is_replayed"] == (point in HAS_HAPPENED)

    late = caller.send("POST", path, body, key="k", ahead_seconds=AFTER_ITS_END + 1)
    assert (late["status"], late["body"]) == (early["status"], early["body"])
    assert late["is_replayed"]
    assert caller.effects(path) - before == 1


def test_a_killed_holders_key_bars_nobody_else(nursery):
    caller, other = Caller(nursery), Caller(nursery)
    caller.send("POST", "orders", caller.order_body(), key="k", dies="after the claim")
    answer = other.send("POST", "orders", other.order_body(), key="k")
    assert (answer["status"], answer["is_replayed"]) == (201, False)


def test_a_holder_killed_twice_still_leaves_one_effect(nursery):
    caller = Caller(nursery)
    body, count = caller.pay_body(), caller.effects("pay")
    caller.send("POST", "pay", body, key="k", dies="before the effect's commit")
    # A second holder takes the claim over without a COMMIT of its own: its first is the payment's.
    told = caller.send("POST", "pay", body, key="k", ahead_seconds=61, dies="after the claim")
    assert told == {"signal": signal.SIGKILL}
    answer = caller.send("POST", "pay", body, key="k", ahead_seconds=122)
    assert (answer["status"], answer["is_replayed"]) == (200, True)
    assert caller.effects("pay") - count == 1


def test_the_books_are_sound_afterwards(nursery):
    assert nursery.tell("audit")["findings"] == []
