"""What every part of a running trial knows, and how it steers the stand-ins."""

import http.client
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CALL_SECONDS_MAX = 30.0
FINISH_FILE, RESULT_FILE, PLAN_FILE = "finish", "result.json", "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried. ``speed`` is how many seconds of the trial's clock go by in a real one."""

    payments: int
    refunds: int
    fault_percent: float
    seed: int
    speed: float = 60.0
    # Once only leftovers have to settle, nobody is there whom a faster clock would hurry.
    settle_speed: float = 600.0
    buyers: int = 2
    buyer_threads: int = 8
    settle_seconds_max: float = 1_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every part of a running trial knows."""

    plan: Plan
    folder: Path
    database_url: str
    stand_in_port: int
    web_port: int
    started_at: float

    def write(self) -> None:
        facts = asdict(self) | {"folder": str(self.folder)}
        (self.folder / PLAN_FILE).write_text(json.dumps(facts))

    @staticmethod
    def read(folder: Path) -> "Stage":
        facts = json.loads((folder / PLAN_FILE).read_text())
        return Stage(**{**facts, "plan": Plan(**facts["plan"]), "folder": Path(facts["folder"])})

    @property
    def is_finishing(self) -> bool:
        return (self.folder / FINISH_FILE).exists()

    def seconds(self) -> float:
        """What the trial's clock has counted since the start."""
        finish = self.folder / FINISH_FILE
        until = finish.stat().st_mtime if finish.exists() else time.time()
        settling = max(time.time() - until, 0.0)
        return (until - self.started_at) * self.plan.speed + settling * self.plan.settle_speed

    def now(self) -> datetime:
        """The moment by the trial's clock."""
        return datetime.fromtimestamp(self.started_at, UTC) + timedelta(seconds=self.seconds())

    @property
    def speed(self) -> float:
        return self.plan.settle_speed if self.is_finishing else self.plan.speed

    @property
    def is_over(self) -> bool:
        return (self.folder / RESULT_FILE).exists()


class ControlRefused(Exception):
    """The stand-in can't do what was asked: the trade is closed, paid or unknown there."""


class StandInControl:
    """The steering of running stand-ins (CONTRACT section 8)."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, name: str, **body: Any) -> dict[str, Any]:
        """POST. Raises ControlRefused with the stand-in's words."""
        return self._call("POST", name, json.dumps(body).encode())

    def read(self, name: str) -> dict[str, Any]:
        return self._call("GET", name, b"")

    def _call(self, verb: str, name: str, body: bytes) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_SECONDS_MAX)
        try:
            connection.request(verb, f"/_control/{name}", body or None)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlRefused(f"{name}: {answer.get('error')}")
        return answer
