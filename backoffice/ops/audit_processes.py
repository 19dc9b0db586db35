"""The audit on several processor cores: each process takes one check after another.

Every process reads a snapshot of its own, all taken at one moment before the first check begins. No
check spans two of them: whatever it compares, it compares in one consistent picture.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from django.db import connections

from backoffice.ops.audit import consistent_reads, to_its_end
from tcmpay.common.invariants import Check, Scope, Violation, batches

# Each holds up to a hundred megabytes of its own: so all together stay below three hundred.
PROCESSES_MAX = 2
# Findings are handed over in bundles: books that are broken throughout fill no memory.
BUNDLE = 200
SNAPSHOT_SECONDS_MAX = 20

# A bundle of the check with this number; whether it was the last one.
Bundle = tuple[int, list[Violation], bool]


class AuditProcessLost(RuntimeError):
    """A process of the audit ended before its checks did."""


def processes_possible(using: str) -> int:
    """How many processes can audit: one where others would not see the rows, or can't be made."""
    reads: Any = connections[using]
    is_private = reads.vendor == "sqlite" and reads.is_in_memory_db()
    is_private |= any(one.in_atomic_block for one in connections.all(initialized_only=True))
    if is_private or sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return min(len(os.sched_getaffinity(0)), PROCESSES_MAX)


def audit_in_processes(
    scope: Scope, checks: Sequence[Check], processes: int
) -> Iterator[tuple[Check, list[Violation]]]:
    """What each check finds, in bundles as they come; the last one of a check may be empty.

    ``checks`` begin in their order: the longest first. Raises AuditProcessLost.
    """
    # No two processes share a connection.
    connections.close_all()
    # Workers inherit the checks, and everything that they stand on.
    context: Any = multiprocessing.get_context("fork")
    due, ready = context.Value("i", 0), context.Barrier(processes)
    workers, readers = [], []
    for _number in range(processes):
        reader, writer = context.Pipe(duplex=False)
        worker = context.Process(
            target=_work, args=(scope, checks, due, ready, writer), daemon=True
        )
        worker.start()
        # The only other end is the worker's: when it ends, in whatever way, the pipe does.
        writer.close()
        workers.append(worker)
        readers.append(reader)
    try:
        ended = 0
        for number, found, is_last in _bundles(readers):
            ended += is_last
            yield checks[number], found
        if ended != len(checks):
            raise AuditProcessLost(f"{len(checks) - ended} checks were not finished")
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _bundles(readers: list[Any]) -> Iterator[Bundle]:
    """What comes in, until the last process has ended."""
    readers = list(readers)
    while readers:
        reader: Any
        for reader in wait(readers):
            try:
                yield reader.recv()
            except EOFError:
                readers.remove(reader)


def _work(scope: Scope, checks: Sequence[Check], due: Any, ready: Any, writer: Connection) -> None:
    with closing(writer), consistent_reads():
        ready.wait(SNAPSHOT_SECONDS_MAX)
        # The first read takes the snapshot.
        with connections[scope.using].cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM chain_roots")
        while (number := _next(due)) < len(checks):
            for bundle in batches(to_its_end(checks[number], scope), BUNDLE):
                # Texts in the language of this process.
                told = [replace(found, message=str(found.message)) for found in bundle]
                writer.send((number, told, False))
            writer.send((number, [], True))


def _next(due: Any) -> int:
    with due.get_lock():
        number: int = due.value
        due.value += 1
    return number
