"""Calls over HTTP that are made again where that is safe, and only there."""

import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from tcmpay_client.errors import NoAnswer, Refused, TcmpayError
from tcmpay_client.money import without_decimals

# Of these nothing was done, whatever was asked.
_NOTHING_DONE = frozenset({429})
# Worth another try where the call may be made twice. 502 is the gateway's own no.
_PASSING = frozenset({500, 503, 504})
_ANSWER_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """``takes_key``: a POST that moves money; with its key it may be made as often as needed."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None
    takes_key: bool = False
    idempotency_key: str | None = None
    if_none_match: str | None = None

    @property
    def is_repeatable(self) -> bool:
        return self.method == "GET" or self.takes_key


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/json")


@dataclass(frozen=True)
class Patience:
    """How often and how long a call is tried again (seconds)."""

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 8.0
    # A longer Retry-After is the caller's to wait for.
    retry_after_max: int = 60


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the address that it was meant for, and no further."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Transport:
    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str] | None,
        *,
        timeout_seconds: float = 15.0,
        patience: Patience | None = None,
        language: str = "zh-hans",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._patience = patience or Patience()
        self._language = language
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, call: Call) -> Answer:
        """The answer, which may be 304. Raises Refused, NoAnswer."""
        key = call.idempotency_key or (str(uuid.uuid4()) if call.takes_key else None)
        request = self._request(call, key)
        for attempt in range(1, self._patience.attempts + 1):
            is_last = attempt == self._patience.attempts
            try:
                answer = self._once(request)
            except (OSError, HTTPException) as error:
                if is_last or not call.is_repeatable:
                    raise _with_key(NoAnswer(f"{call.method} {call.path}: {error}"), key) from error
                self._sleep(self._wait(attempt))
                continue
            if answer.status < 300 or answer.status == 304:
                return answer
            refused = _refused(answer)
            wait = self._wait_after(refused, attempt)
            if is_last or wait is None or not _is_worth_it(call, refused):
                raise _with_key(refused, key)
            self._sleep(wait)
        raise AssertionError("unreachable")

    def _once(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                return self._read(response.status, response)
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error.code, error)

    @staticmethod
    def _read(status: int, response: Any) -> Answer:
        body = response.read(_ANSWER_BYTES_MAX)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status, headers, body)

    def _request(self, call: Call, key: str | None) -> urllib.request.Request:
        headers = {
            "Accept": "*/*",
            "Accept-Language": self._language,
            "User-Agent": "tcmpay-client-python",
        }
        token = self._token() if callable(self._token) else self._token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        if call.if_none_match:
            headers["If-None-Match"] = call.if_none_match
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(without_decimals(call.body), ensure_ascii=False).encode()
        query = {
            name: _query_text(one) for name, one in (call.query or {}).items() if one is not None
        }
        address = (
            self._base_url + call.path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        )
        return urllib.request.Request(address, content, headers, method=call.method)

    def _wait_after(self, refused: Refused, attempt: int) -> float | None:
        """None: too long to wait for here."""
        if refused.retry_after_seconds is None:
            return self._wait(attempt)
        if refused.retry_after_seconds > self._patience.retry_after_max:
            return None
        return refused.retry_after_seconds + random.uniform(0, 0.5)

    def _wait(self, attempt: int) -> float:
        """Longer each time, and not the same for everybody who was cut off at once."""
        longest = min(self._patience.longest_wait, self._patience.first_wait * 2 ** (attempt - 1))
        return random.uniform(longest / 2, longest)


def _is_worth_it(call: Call, refused: Refused) -> bool:
    if refused.status in _NOTHING_DONE:
        return True
    if not call.is_repeatable:
        return False
    return refused.status in _PASSING or refused.code == "IDEMPOTENCY_IN_PROGRESS"


def _refused(answer: Answer) -> Refused:
    try:
        body = json.loads(answer.body) if answer.is_json else {}
    except ValueError:
        body = {}
    waiting = answer.headers.get("retry-after", "")
    seconds = int(waiting) if waiting.isascii() and waiting.isdigit() else None
    return Refused(answer.status, body if isinstance(body, dict) else {}, seconds)


def _with_key(error: TcmpayError, key: str | None) -> TcmpayError:
    error.idempotency_key = key
    return error


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
