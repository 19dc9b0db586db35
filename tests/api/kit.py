"""How the API's tests speak: people, answers in the contract's shape, and what must not move."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.test import Client

from tcmpay.accounts.services import token_issue
from tcmpay.common import clock as deciding_clock
from tcmpay.common.actor import Role

API = "/api/v1/payment"
# Ten in the morning in Shanghai.
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
TOKEN_TTL_SECONDS = 3600
MONEY_TABLES = (
    "payment_orders",
    "payment_transactions",
    "refund_records",
    "refund_approvals",
    "user_balances",
    "balance_transactions",
    "payment_configs",
    "price_configs",
)
SUCCESS_KEYS = {"success", "message", "data"}
FAILURE_KEYS = {"success", "message", "code", "request_id"}
# `errors` stands in validation errors only, `data` in APPOINTMENT_HAS_ORDER only.
OPTIONAL_FAILURE_KEYS = {"errors", "data", "reason"}
DEFAULT: Any = object()


@dataclass(frozen=True)
class Person:
    """Someone with a platform token."""

    id: uuid.UUID
    role: Role
    token: str = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.id)


def someone(role: Role, user_id: uuid.UUID | None = None) -> Person:
    user_id = user_id or uuid.uuid4()
    token = token_issue(user_id=user_id, role=role, ttl_seconds=TOKEN_TTL_SECONDS)
    return Person(id=user_id, role=role, token=token)


@dataclass(frozen=True)
class Answer:
    """One answer of the API, its envelope checked already."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def message(self) -> str:
        return self.body["message"]

    @property
    def code(self) -> str:
        return self.body["code"]

    @property
    def errors(self) -> dict[str, Any]:
        return self.body["errors"]

    def accepted(self, status: int = 200) -> Any:
        """The data of a success."""
        assert self.status == status, self.body
        return self.data

    def created(self) -> Any:
        return self.accepted(201)

    def refused(self, status: int, code: str) -> "Answer":
        assert (self.status, self.body.get("code")) == (status, code), self.body
        return self

    def invalid(self, *fields: str) -> "Answer":
        """A validation error that names exactly ``fields`` (any, if none are given)."""
        self.refused(400, "VALIDATION_ERROR")
        assert not fields or set(self.errors) == set(fields), self.body
        return self


def ensure_envelope(response: Any) -> dict[str, Any]:
    """The parsed body; fails unless it has the contract's shape to the letter."""
    assert response["Content-Type"].split(";")[0] == "application/json", response.content[:300]
    body = json.loads(response.content)
    assert isinstance(body["message"], str)
    assert body["message"]
    if response.status_code < 400:
        assert response.status_code in (200, 201, 202)
        assert body["success"] is True
        assert set(body) == SUCCESS_KEYS
        return body
    assert body["success"] is False
    assert set(body) >= FAILURE_KEYS, body
    assert set(body) <= FAILURE_KEYS | OPTIONAL_FAILURE_KEYS, body
    assert ("errors" in body) == (body["code"] == "VALIDATION_ERROR" and _has_fields(body)), body
    assert ("reason" in body) == (body["code"] == "UNAUTHENTICATED"), body
    assert body["request_id"]
    return body


def _has_fields(body: dict[str, Any]) -> bool:
    return all(isinstance(texts, list | dict) for texts in body.get("errors", {0: None}).values())


class Api:
    """The API over HTTP, as a client of the platform meets it."""

    def __init__(self) -> None:
        self._client = Client(raise_request_exception=False)

    def raw(
        self,
        method: str,
        path: str,
        *,
        by: Person | None = None,
        content: bytes | str = b"",
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send bytes as they are and return Django's response."""
        sent = dict(headers or {})
        if by is not None:
            sent.setdefault("Authorization", f"Bearer {by.token}")
        return self._client.generic(
            method, self.address(path), content, content_type=content_type, headers=sent
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        by: Person | None = None,
        body: Any = DEFAULT,
        content: bytes | str = b"",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """Send ``body`` as JSON (or ``content`` as it is); ``key`` is the Idempotency-Key."""
        sent = dict(headers or {})
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not DEFAULT:
            content = json.dumps(body)
        response = self.raw(method, path, by=by, content=content, headers=sent, **more)
        assert response["X-Request-ID"]
        return Answer(response.status_code, ensure_envelope(response), response.headers)

    def get(self, path: str, *, by: Person | None = None, **more: Any) -> Answer:
        return self.call("GET", path, by=by, **more)

    def post(self, path: str, body: Any = DEFAULT, *, by: Person | None, **more: Any) -> Answer:
        return self.call("POST", path, by=by, body=body, **more)

    def put(self, path: str, body: Any = DEFAULT, *, by: Person | None, **more: Any) -> Answer:
        return self.call("PUT", path, by=by, body=body, **more)

    def callback(self, path: str, body: Any = DEFAULT, **more: Any) -> Any:
        """A gateway's call, answered in the gateway's own form."""
        content = json.dumps(body) if body is not DEFAULT else b""
        return self.raw("POST", path, **{"content": content, **more})

    @staticmethod
    def address(path: str) -> str:
        """``orders`` means /api/v1/payment/orders; what begins with / stays."""
        return path if path.startswith("/") else f"{API}/{path}"


class Clock:
    """The time that decides, moved by hand."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.now = NOW
        self.set(NOW)

    def set(self, moment: datetime) -> datetime:
        self.now = moment
        self._stack.enter_context(deciding_clock.frozen(moment))
        return moment

    def advance(self, **by: float) -> datetime:
        return self.set(self.now + timedelta(**by))


# When a sweep last took an order up moves nothing of it.
SWEEPS_NOTE = "expiry_tried_at"


def rows_of(table: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
        told = [at for at, column in enumerate(cursor.description) if column[0] != SWEEPS_NOTE]
        return [tuple(row[at] for at in told) for row in cursor.fetchall()]


def money_rows() -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows_of(table) for table in MONEY_TABLES}


@contextmanager
def nothing_moves() -> Iterator[None]:
    """No row of any table about money is changed, added or lost inside."""
    before = money_rows()
    yield
    after = money_rows()
    changed = [table for table in MONEY_TABLES if before[table] != after[table]]
    assert not changed, f"rows changed in {', '.join(changed)}"


def run_sql(statement: str, *arguments: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(arguments))
        return int(cursor.rowcount)
