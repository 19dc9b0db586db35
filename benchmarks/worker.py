"""One process of one cell: prepares, says that it is ready, and works when told to.

python -m benchmarks.worker CELL SECONDS
"""

import json
import resource
import sys
import time

from benchmarks.cells import CELLS, statements_counted

WARM_UP = 20


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(cell: str, seconds: float) -> None:
    operation = CELLS[cell]()
    cpu_of = getattr(operation, "cpu", cpu_seconds)
    is_once = getattr(operation, "is_once", False)
    with statements_counted() as statements:
        for _again in range(0 if is_once else WARM_UP):
            statements.clear()
            operation()
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu, done, failed = time.perf_counter(), cpu_of(), 0, ""
    try:
        while time.perf_counter() - began < seconds and not (done and is_once):
            done += operation() or 1
    except Exception as error:
        failed = repr(error)[:200]
    print(
        json.dumps(
            {
                "done": done,
                "seconds": time.perf_counter() - began,
                "cpu": cpu_of() - cpu,
                "statements": len(statements),
                "failed": failed,
                **getattr(operation, "extra", dict)(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
