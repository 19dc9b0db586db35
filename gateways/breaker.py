"""Bounds on what one slow or dead gateway may take from us: free slots, and a circuit breaker."""

import time
from collections.abc import Callable
from threading import BoundedSemaphore, Lock
from typing import TypeVar

from gateways.errors import GatewayRejected, GatewayUnavailable, GatewayUnknown

Answer = TypeVar("Answer")


class Breaker:
    """Refuses calls for a while after ``failures_max`` unknown outcomes in a row.

    After ``open_seconds`` one call is let through as a trial: its outcome closes the circuit, or
    opens it for the same time again.
    """

    def __init__(
        self,
        *,
        failures_max: int = 8,
        open_seconds: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._is_half_open = False

    def admit(self) -> None:
        """Raises GatewayUnavailable while the circuit is open."""
        with self._lock:
            if self._opened_at is None:
                return
            is_cooled = self._clock() - self._opened_at >= self._open_seconds
            if self._is_half_open or not is_cooled:
                raise GatewayUnavailable("circuit open", code="CIRCUIT_OPEN")
            self._is_half_open = True

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._opened_at = None
            self._is_half_open = False

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._is_half_open = False
            if self._failures >= self._failures_max:
                self._opened_at = self._clock()

    def abandoned(self) -> None:
        """The call ended without telling anything about the gateway."""
        with self._lock:
            self._is_half_open = False


class CallLimiter:
    """One per payment method and process: how many calls at once, and whether at all.

    A short wait for a free slot carries a healthy gateway through a burst. While one that hangs
    holds the slots it would only take more threads away from everybody else: then there is none.
    """

    def __init__(
        self,
        *,
        calls_max: int = 8,
        wait_seconds: float = 0.2,
        stalled_seconds: float = 1.0,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = BoundedSemaphore(calls_max)
        self._wait_seconds = wait_seconds
        self._stalled_seconds = stalled_seconds
        self._breaker = breaker or Breaker()
        self._clock = clock
        self._started_at: dict[object, float] = {}  # by call, seconds of the clock
        self._lock = Lock()

    def run(self, call: Callable[[], Answer]) -> Answer:
        # A slot first: whoever is refused one must not hold the breaker's only trial.
        if not self._slots.acquire(timeout=self._slot_wait_seconds()):
            raise GatewayUnavailable("no free slot", code="NO_FREE_SLOT")
        key = object()
        try:
            with self._lock:
                self._started_at[key] = self._clock()
            self._breaker.admit()
            return self._recorded(call)
        finally:
            with self._lock:
                del self._started_at[key]
            self._slots.release()

    def _slot_wait_seconds(self) -> float:
        with self._lock:
            oldest = min(self._started_at.values(), default=None)
        is_stalled = oldest is not None and self._clock() - oldest >= self._stalled_seconds
        return 0.0 if is_stalled else self._wait_seconds

    def _recorded(self, call: Callable[[], Answer]) -> Answer:
        try:
            answer = call()
        except GatewayRejected:
            self._breaker.succeeded()  # a definite no comes from a gateway in good health
            raise
        except GatewayUnknown:
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer
