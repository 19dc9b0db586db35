"""Short memories: nonces that were used, tokens of bill downloads. Both are bounded."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Any

from simulator import clock

NONCES_MAX = 200_000
NONCE_SECONDS = 600  # a stale time stamp is refused after 300 s either way
TOKENS_MAX = 1_000


class UsedNonces:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def use(self, nonce: str) -> bool:
        """True the first time, False when the nonce was used within the last ten minutes."""
        moment = clock.now()
        with self._lock:
            while self._seen:
                oldest = next(iter(self._seen))
                if len(self._seen) < NONCES_MAX and self._seen[oldest] > moment - NONCE_SECONDS:
                    break
                del self._seen[oldest]
            if nonce in self._seen:
                return False
            self._seen[nonce] = moment
            return True


class Tokens:
    """What a short-lived download address stands for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def issue(self, value: Any, *, seconds: float) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[token] = (clock.now() + seconds, value)
            while len(self._kept) > TOKENS_MAX:
                self._kept.popitem(last=False)
        return token

    def value(self, token: str) -> Any | None:
        """What was kept under the token; None once its time is over."""
        with self._lock:
            until, value = self._kept.get(token, (0.0, None))
        return value if clock.now() < until else None
