"""One part of a trial as a process: ``python -m tests.trial.parts NAME FOLDER [NUMBER]``.

All parts live by a clock that runs faster than the real one, as the stand-ins' schedules do. The
web server keeps real time: gateways sign their callbacks by theirs.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.trial.stage import Stage


def use_clock(stage: Stage) -> None:
    """From now on what decides about time runs faster in this process."""
    from gateways.registry import _LIMITERS
    from tcmpay.common import clock

    setattr(clock, "now", stage.now)  # noqa: B010
    for guard in _LIMITERS.values():
        guard._breaker._clock = stage.seconds


def buyers(stage: Stage, number: int) -> None:
    from tests.trial.buyers import Buyers

    Buyers(stage, number).run()


def staff(stage: Stage, _number: int) -> None:
    from tests.trial.staff import Staff

    Staff(stage).run()


def sweeper(stage: Stage, _number: int) -> None:
    from tests.trial.sweeper import Sweeper

    Sweeper(stage).run()


PARTS: Mapping[str, Callable[[Stage, int], None]] = {
    "buyers": buyers,
    "staff": staff,
    "sweeper": sweeper,
}


def main(name: str, folder: str, number: str = "0") -> None:
    import django

    stage = Stage.read(Path(folder))
    # The trial's own database, whatever the environment names.
    os.environ["DATABASE_URL"] = stage.database_url
    django.setup()
    use_clock(stage)
    PARTS[name](stage, int(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
