"""What the interleavings of a race add up to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.races.worker import Trace


@dataclass
class Figures:
    """Of one scenario: how often it ran, and which of its serial orders its ends were like."""

    name: str
    database: str
    serial: int
    holds: int
    runs: int = 0
    held: int = 0
    overlapping: int = 0
    outcomes: Counter[int] = field(default_factory=Counter)

    def add(self, outcome: int, *, is_held: bool, is_overlapping: bool) -> None:
        self.runs += 1
        self.held += is_held
        self.overlapping += is_overlapping
        self.outcomes[outcome] += 1

    def as_record(self) -> dict[str, Any]:
        """For another process: plain values."""
        return asdict(self) | {"outcomes": [self.outcomes[n] for n in range(self.serial)]}


def lines_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each scenario, and one for all; those that never truly raced are named."""
    lines = [
        f"{record['name']}: {record['runs']} interleavings"
        f" ({record['overlapping']} overlapping, {record['held']} held at one of"
        f" {record['holds']} steps), serial outcomes {_counted(record['outcomes'])}"
        for record in records
    ]
    idle = [record["name"] for record in records if not record["overlapping"]]
    one_sided = [
        record["name"] for record in records if record["serial"] > 1 and 0 in record["outcomes"]
    ]
    lines += [f"never overlapped: {name}" for name in idle]
    lines += [f"some serial outcome never seen: {name}" for name in one_sided]
    runs = sum(record["runs"] for record in records)
    lines.append(f"{len(records)} pairs, {runs} interleavings, lost 0, doubled 0")
    return lines


def _counted(outcomes: Sequence[int]) -> str:
    seen = sum(times > 0 for times in outcomes)
    return f"{seen} of {len(outcomes)} ({'/'.join(map(str, outcomes))})"


def is_overlapping(traces: Sequence[Trace]) -> bool:
    """Whether some mover did a step between two steps of another."""
    spans = [(trace[0][0], trace[-1][0]) for trace in traces if trace]
    return any(
        start < moment < end
        for number, (start, end) in enumerate(spans)
        for other, trace in enumerate([trace for trace in traces if trace])
        if other != number
        for moment, _text in trace
    )


def difference(summary: Mapping[str, Any], expected: Sequence[Mapping[str, Any]]) -> str:
    """What is lost and what is doubled against the serial outcome that is nearest."""
    real = Counter(_facts(summary))
    gaps = [(Counter(_facts(serial)) - real, real - Counter(_facts(serial))) for serial in expected]
    lost, doubled = min(gaps, key=lambda gap: gap[0].total() + gap[1].total())
    return (
        f"  lost {lost.total()}: {[*lost.elements()]};"
        f" too much {doubled.total()}: {[*doubled.elements()]}"
    )


def _facts(summary: Mapping[str, Any]) -> list[str]:
    """The parts of a summary that can be missing or too many by themselves."""
    return [
        f"{name}: {part}"
        for name, rows in summary.items()
        for row in rows
        for part in str(row).split("; ")
    ]
