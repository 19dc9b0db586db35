"""Requests made from our own API description, right and wrong ones: never a 5xx, never a row.

`HOSTILE_REQUESTS` says how many: a thousand in `make test`, 100,000 in `make test-long`. Half
follow the description, half break it; each comes from somebody else, and half of those that name
an object name one that exists.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import schemathesis
from django.conf import settings as current
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as conformance

from tcmpay.common.actor import Role
from tests.api.description import described_codes, description, strict
from tests.api.kit import Person, someone
from tests.api.story import Story
from tests.hostile.watch import Watch, money_hash

REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "1000"))
REPORTED_MAX = 20
# A long run says after each operation how far it is.
TOLD_FROM = 10_000
# Not "is a 5xx": those are counted apart, whatever the description says of them.
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]
# What a payment is told where the gateway has no configuration, as here without mock callbacks.
UNCONFIGURED = "GATEWAY_UNAVAILABLE"
# A generated name can make an address that is another operation's, or nobody's.
OF_NO_OPERATION = {(404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED")}


# Our own: Hypothesis begins the common one anew with each example.
chance = random.Random(os.environ.get("TEST_SEED"))


class Crowd:
    """Who sends, and what there is to be named."""

    def __init__(self, story: Story) -> None:
        owner = someone(Role.PATIENT)
        story.fund(owner, "500.00")
        pending, paid = story.order(owner), story.paid_from_balance(owner)
        started = story.order(owner)
        story.pay(started, owner, "wechat")
        refund = story.refund(paid, owner, "1.00")
        self.owner = owner
        self.people: list[Person | None] = [
            None,
            owner,
            owner,
            someone(Role.PATIENT),
            someone(Role.DOCTOR),
            someone(Role.ADMIN),
            someone(Role.ADMIN),
            someone(Role.SERVICE),
        ]
        self.forger = Person(owner.id, Role.ADMIN, owner.token[:-4] + "AAAA")
        self.people.append(self.forger)
        self.known = {
            "order_id": [pending["id"], paid["id"], started["id"]],
            "refund_id": [refund["id"]],
            "user_id": [owner.name, owner.name.upper()],
            "service_type": ["consultation"],
            "method": ["wechat", "alipay"],
        }

    def is_known(self, person: Person | None) -> bool:
        """Whether this is somebody whose token is real, so that a write may be rightful."""
        return person is not None and person is not self.forger

    def name_what_exists(self, case: Any) -> None:
        """Half of the time."""
        for part in (case.path_parameters, case.query, case.body):
            if not isinstance(part, dict):
                continue
            for name, values in self.known.items():
                if name in part and chance.random() < 0.5:
                    part[name] = chance.choice(values)


class Findings:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def add(self, kind: str, case: Any, what: object) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= REPORTED_MAX:
            request = f"{case.method} {case.formatted_path} query={case.query!r}"
            self.examples.append(f"{kind}: {request} body={case.body!r:.400}\n    {what!s:.600}")


@pytest.fixture
def crowd(story) -> Crowd:
    return Crowd(story)


@contextmanager
def connection_kept() -> Iterator[None]:
    """A request does not close the connection that the test's transaction lives in.

    Django's own client connects these signals again after each of its requests.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@pytest.mark.parametrize("mock_callbacks", [True, False], ids=["demo", "production"])
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_generated_requests_break_nothing(crowd, settings, mode, mock_callbacks, capsys):
    settings.MOCK_CALLBACKS = mock_callbacks
    described = schemathesis.openapi.from_dict(strict(description()))
    # Not tcmpay.wsgi: a process of its own looks at its database as it starts.
    described.app = get_wsgi_application()
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 20
    share = max(3, REQUESTS // 4 // len(operations))
    watch, findings, started = Watch(), Findings(), time.monotonic()
    with watch.watching(), connection_kept():
        for number, operation in enumerate(operations, start=1):
            run(operation, mode, share, crowd, watch, findings)
            if number == len(operations) or REQUESTS >= TOLD_FROM:
                with capsys.disabled():
                    tell(mode, mock_callbacks, watch, findings, number, time.monotonic() - started)
    sent = sum(watch.answers.values())
    assert not findings.counts, "\n".join(findings.examples)
    assert money_hash() == watch.begun
    assert sent > REQUESTS // 8


def tell(
    mode: GenerationMode,
    mock_callbacks: bool,
    watch: Watch,
    findings: Findings,
    operations: int,
    seconds: float,
) -> None:
    # The error stream: a worker's standard output is read by nobody.
    sys.stderr.write(
        f"\n{mode.value}, mock callbacks {mock_callbacks}: {sum(watch.answers.values())} requests "
        f"to {operations} operations in {seconds:.0f} s; answers "
        f"{dict(sorted(watch.answers.items()))}; accepted writes (undone) "
        f"{watch.accepted_writes}; findings {dict(findings.counts)}\n"
    )
    sys.stderr.flush()


def is_of_no_operation(case: Any, answer: Any) -> bool:
    return "{" in case.path and (answer.status_code, code_of(answer)) in OF_NO_OPERATION


def code_of(answer: Any) -> str | None:
    is_json = answer.headers.get("content-type", [""])[0].startswith("application/json")
    body = answer.json() if is_json else None
    return body.get("code") if isinstance(body, dict) else None


def undescribed_code(operation: Any, answer: Any) -> str | None:
    """The answer's code, where the description doesn't show it for this operation."""
    code = code_of(answer)
    if answer.status_code < 400 or operation.path.startswith("/payment/"):
        return None
    known = described_codes(operation.definition.raw, answer.status_code)
    return None if code in known else f"{answer.status_code} {code}, described {sorted(known)}"


def run(
    operation: Any, mode: GenerationMode, share: int, crowd: Crowd, watch: Watch, found: Findings
) -> None:
    @hypothesis_settings(
        max_examples=share,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        crowd.name_what_exists(case)
        person = chance.choice(crowd.people)
        if person is not None:
            # Generated tokens are wrong, each of them: most requests shall come further.
            case.headers.pop("Authorization", None)
        token = {"Authorization": f"Bearer {person.token}"} if person else {}
        is_mock = case.path.startswith("/payment/") and current.MOCK_CALLBACKS
        answer, is_wrong = watch.send(
            lambda: case.call(headers=token), may_write=crowd.is_known(person) or is_mock
        )
        if is_wrong:
            found.add("changed rows", case, answer.text)
        if answer.status_code >= 500 and code_of(answer) != UNCONFIGURED:
            found.add("5xx", case, answer.text)
        if is_of_no_operation(case, answer):
            return
        if code := undescribed_code(operation, answer):
            found.add("code", case, code)
        for check in CHECKS:
            try:
                case.validate_response(answer, checks=[check])
            except AssertionError as error:
                found.add(check.__name__, case, error)
            except BaseExceptionGroup as error:
                found.add(check.__name__, case, error.exceptions)

    # An operation that takes nothing can't be asked wrongly.
    with suppress(Unsatisfiable):
        one()
