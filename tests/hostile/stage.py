"""Every operation of our description with a right request for it, made from its own examples.

A new endpoint comes along by itself: its example is what the corpus is tried upon.
"""

import copy
import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from django.db import transaction

from tcmpay.common.actor import Role
from tests.api.description import description, operations
from tests.api.kit import Api, Person, ensure_envelope, someone
from tests.api.story import Story
from tests.api.test_description import examples_of
from tests.writes import writes_seen

FOUND = description()
CALLBACKS = "/payment/"
# What a refused request may leave behind: its own answer under its key; the message's record; the
# version of a configuration that was put in by SQL, written once by whoever looks at it first.
RECORDS = {
    "idempotency_keys",
    "payment_callbacks",
    "payment_config_versions",
    "log_heads",
    "table_marks",
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    described: dict[str, Any] = field(hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path.removeprefix('/api/v1/payment/')}"

    @property
    def is_public(self) -> bool:
        return not self.described["security"]

    @property
    def is_gateways(self) -> bool:
        return self.path.startswith(CALLBACKS)

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields and their schemas; empty where no body is taken."""
        return dict(self._body_schema.get("properties", {}))

    @property
    def may_have_no_body(self) -> bool:
        return not self._body_schema.get("required")

    @property
    def _body_schema(self) -> dict[str, Any]:
        contents = self.described.get("requestBody", {}).get("content", {})
        return resolved(contents.get("application/json", {}).get("schema", {}))

    @property
    def example(self) -> dict[str, Any]:
        content = self.described["requestBody"]["content"]["application/json"]
        return copy.deepcopy(examples_of(content)[0])

    def parameters(self, place: str) -> dict[str, Any]:
        return {
            one["name"]: one["schema"]
            for one in self.described.get("parameters", [])
            if one["in"] == place
        }


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return dict(FOUND["components"]["schemas"][name])
    return schema


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    """Whether the description allows ``value`` for a field of this ``schema``."""
    return bool(_checker(json.dumps(schema)).is_valid(value))


@functools.cache
def _checker(schema: str) -> jsonschema.Draft202012Validator:
    whole = json.loads(schema) | {"components": FOUND["components"]}
    return jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


OPERATIONS = [Operation(*found) for found in operations(FOUND)]
OURS = [operation for operation in OPERATIONS if not operation.is_gateways]


class Stage:
    """One owner with something of each kind, and who may call what."""

    def __init__(self, api: Api, story: Story) -> None:
        self.api = api
        self.owner = someone(Role.PATIENT)
        self.admin = someone(Role.ADMIN)
        story.fund(self.owner, "500.00")
        paid = story.paid_from_balance(self.owner)
        other = someone(Role.ADMIN)
        waiting, running = self._bulk(story, other), self._bulk(story, other)
        paused, own = self._bulk(story, other), self._bulk(story, self.admin)
        for bulk_id in (running, paused):
            review = {"approved": True}
            api.put(f"admin/refunds/bulk/{bulk_id}/review", review, by=self.admin).accepted()
        api.put(f"admin/refunds/bulk/{paused}/pause", {}, by=self.admin).accepted()
        # What is asked of a bulk in another state than one that waits for its decision.
        self._bulks = {"pause": running, "resume": paused, "end": paused, "withdraw": own}
        self.known = {
            "order_id": story.order(self.owner)["id"],
            "refund_id": story.refund(paid, self.owner, "1.00")["id"],
            "bulk_id": waiting,
            "user_id": self.owner.name,
            "service_type": "consultation",
            "method": "wechat",
        }
        self.paid_id = paid["id"]

    def _bulk(self, story: Story, asker: Person) -> str:
        order = story.paid_from_balance(self.owner)
        body = {"refunds": [{"order_id": order["id"]}], "refund_reason": "医生停诊"}
        return str(self.api.post("admin/refunds/bulk", body, by=asker).accepted(202)["id"])

    def caller(self, operation: Operation) -> Person | None:
        """Somebody who may, so that what is refused is refused for what was sent."""
        if operation.is_public:
            return None
        is_for_admins = "/admin/" in operation.path or operation.path.endswith("/events")
        return self.admin if is_for_admins else self.owner

    def address(self, operation: Operation, **names: str) -> str:
        known = self.known | names
        if bulk_id := self._bulks.get(operation.path.rpartition("/")[2]):
            known = known | {"bulk_id": bulk_id} | names
        return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], operation.path)

    def body(self, operation: Operation) -> dict[str, Any]:
        body = operation.example
        body |= {name: value for name, value in self.known.items() if name in body}
        if operation.path.endswith("/refunds"):
            body |= {"order_id": self.paid_id, "refund_amount": "0.01"}
        body.pop("appointment_id", None)
        return body

    def ask(self, operation: Operation, *, path: str = "", **sent: Any) -> Any:
        """The answer; fails on a 5xx, a wrong shape or a write by what was refused.

        What was written rightly is taken back, so that every request meets the same objects.
        """
        before = transaction.savepoint()
        sent.setdefault("by", self.caller(operation))
        try:
            with writes_seen() as written:
                answer = self.api.raw(operation.method, path or self.address(operation), **sent)
        finally:
            transaction.savepoint_rollback(before)
        what = f"{operation} {path} {str(sent)[:400]}: {answer.status_code} {answer.content!r:.400}"
        assert answer.status_code < 500, what
        if answer.status_code >= 400:
            assert not written - RECORDS, f"{what} wrote to {written}"
            if not operation.is_gateways:
                ensure_envelope(answer)
        return answer
