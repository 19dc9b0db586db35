"""How often something that is away is asked again."""

import time
from collections.abc import Callable

QUIET_SECONDS = 5.0


class Cooldown:
    """Begun by a failure, for ``quiet_seconds``: then somebody tries again.

    Shared by threads without a lock: at worst two of them try at the same moment.
    """

    def __init__(
        self, *, quiet_seconds: float = QUIET_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._quiet_until = 0.0

    def is_running(self) -> bool:
        return self._clock() < self._quiet_until

    def start(self) -> None:
        self._quiet_until = self._clock() + self._quiet_seconds
