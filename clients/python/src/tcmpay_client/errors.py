"""What can go wrong: a refusal of the service, or no answer at all."""

from typing import Any


class TcmpayError(Exception):
    """Base of both. ``idempotency_key`` is the key that the call had: with it the same call may be
    made again later, and what happened already is found, not repeated."""

    idempotency_key: str | None = None


class Refused(TcmpayError):
    """The service answered and refused. Branch on ``code``; ``message`` is for people."""

    def __init__(self, status: int, body: dict[str, Any], retry_after_seconds: int | None) -> None:
        self.status = status
        self.code: str = body.get("code", "")
        self.message: str = body.get("message", "")
        self.reason: str | None = body.get("reason")
        self.errors: dict[str, list[str]] = body.get("errors", {})
        self.data: Any = body.get("data")
        self.request_id: str = body.get("request_id", "")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {self.code}: {self.message} (request {self.request_id})")


class NoAnswer(TcmpayError):
    """The network or something between failed: it is not known whether the call did anything."""
