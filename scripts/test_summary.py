"""Say how the tests went: a line for each database, and the sum as the last line.

    test_summary.py passed|FAILED NAME=EXIT_CODE|none=JUNIT_XML…

"none" is a run that had none of the tests that were asked for. Exit code 1 when a check or a test
failed, or when a run ended badly, or when nothing ran at all.
"""

import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count_of(path: str, exit_code: int) -> Count:
    count = Count()
    try:
        suites = ElementTree.parse(path).getroot().iter("testsuite")
        for suite in suites:
            total, failures, errors, skipped = (
                int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
            )
            count.failed += failures + errors
            count.skipped += skipped
            count.passed += max(0, total - failures - errors - skipped)
    except (OSError, ElementTree.ParseError):
        print(f"{path}: no results, the run broke off")
    # A run that crashed, or found no test, must not look like one in which nothing failed.
    if exit_code and not count.failed:
        print(f"{path}: pytest ended with exit code {exit_code}, counted as one failure")
        count.failed += 1
    return count


def main(gates: str, runs: list[str]) -> int:
    total = Count()
    for run in runs:
        name, exit_code, path = run.split("=")
        if exit_code == "none":
            continue
        count = count_of(path, int(exit_code))
        print(f"{name}: {count}")
        total.passed += count.passed
        total.failed += count.failed
        total.skipped += count.skipped
    print(total)
    is_good = total.passed and not total.failed and gates == "passed"
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
