"""The trial of the gateways as a command: ``python -m tests.trial [--mariadb]``.

Pays and refunds at stand-in gateways that fail at random, in a database made for it, then
compares both books to the fen; exit code 1 on any difference.
"""

import argparse
import contextlib
import random
import signal
import sys
from collections.abc import Mapping
from typing import Any

from tests.programs import ProgramFailed
from tests.servers import mariadb
from tests.trial.stage import Plan
from tests.trial.supervisor import trial_run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trial", description=__doc__)
    parser.add_argument("--payments", type=int, default=2000)
    parser.add_argument("--refunds", type=int, default=500)
    parser.add_argument("--fault-percent", type=float, default=10.0, help="of EACH kind of fault")
    parser.add_argument("--seed", type=int, help="of behaviour and faults (default: random)")
    parser.add_argument("--mariadb", action="store_true", help="on a private MariaDB, not SQLite")
    asked = parser.parse_args()
    # Ended by a signal, the trial still stops the processes that it started.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(143))
    plan = Plan(
        payments=asked.payments,
        refunds=asked.refunds,
        fault_percent=asked.fault_percent,
        seed=random.SystemRandom().randrange(2**31) if asked.seed is None else asked.seed,
    )
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(mariadb()).url if asked.mariadb else ""
        try:
            result = trial_run(plan, say, server=server)
        except ProgramFailed as error:
            say(f"seed {plan.seed}: {error}")
            return 1
    return verdict(plan, result)


def verdict(plan: Plan, result: Mapping[str, Any]) -> int:
    for name, value in result["figures"].items():
        say(f"  {name}: {value}")
    for difference in result["differences"]:
        say(f"[difference] {difference}")
    outcome = "DIFFERENCES" if result["differences"] else "both books agree"
    say(f"{outcome}: {plan.payments} payments, {result['seconds']} s, seed {plan.seed}")
    return 1 if result["differences"] else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
