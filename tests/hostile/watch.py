"""Seeing every write to a table about money, and undoing those that were asked for rightly."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from tests.api.kit import MONEY_TABLES, money_rows

_WRITES = re.compile(
    rf"^\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b.*?\b({'|'.join(MONEY_TABLES)})\b", re.I | re.S
)


def money_hash() -> str:
    """One number for every row of every table about money."""
    return hashlib.sha256(repr(sorted(money_rows().items())).encode()).hexdigest()


class Watch:
    """Sends requests one by one and says which of them changed a row of money.

    What a request wrote rightly (it was accepted, by someone who may) is taken back, so that
    the rows stay those of the beginning however many requests come.
    """

    def __init__(self) -> None:
        self.begun = money_hash()
        self.answers: Counter[int] = Counter()
        self.accepted_writes = 0
        self._has_written = False

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        with connection.execute_wrapper(self._look):
            yield self

    def _look(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if _WRITES.match(sql):
            self._has_written = True
        return execute(sql, params, many, context)

    def send(self, ask: Callable[[], Any], *, may_write: bool) -> tuple[Any, bool]:
        """The answer, and whether it changed a row of money that it must not."""
        self._has_written = False
        before = transaction.savepoint()
        answer = ask()
        self.answers[answer.status_code] += 1
        is_wrong = False
        if self._has_written:
            if may_write and answer.status_code < 400:
                self.accepted_writes += 1
            else:
                is_wrong = money_hash() != self.begun
            transaction.savepoint_rollback(before)
        else:
            transaction.savepoint_commit(before)
        return answer, is_wrong
