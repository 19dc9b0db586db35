"""The audit in several processes finds what it finds in one, and says so when one is lost."""

import os
import signal
from collections.abc import Iterator

import pytest

from backoffice.ops.audit_processes import AuditProcessLost, audit_in_processes, processes_possible
from tcmpay.common.invariants import Scope, Violation
from tests.audit.books import audit, sound_books, sql

SCOPE = Scope()


def _same_findings(*options: str) -> list[tuple[str, ...]]:
    """What several processes find, which is what one finds."""
    code, alone = audit("--processes", "1", *options)
    codes, together = audit("--processes", "3", *options)
    told, told_together = (
        sorted(tuple(one.values()) for one in all_) for all_ in (alone, together)
    )
    assert told_together == told
    assert codes == code == int(any(one[0] == "violation" for one in told))
    return told


@pytest.mark.django_db(transaction=True)
def test_several_processes_find_what_one_finds() -> None:
    world = sound_books()
    sql("UPDATE payment_orders SET description = 'x' WHERE id = %s", world.by_wechat.id)
    sql("UPDATE user_balances SET balance = 1 WHERE user_id = %s", world.user_id)
    sql("UPDATE refund_records SET refund_reason = 'x' WHERE id = %s", world.refund.id)
    sql("UPDATE payment_callbacks SET event = 'x' WHERE id = %s", world.callback.id)
    sql("UPDATE audit_events SET action = 'x' WHERE object_id = %s", world.open_refund.id)
    assert len({object_type for _kind, _code, object_type, *_more in _same_findings()}) >= 4


@pytest.mark.django_db(transaction=True)
def test_more_findings_than_a_bundle_holds_all_arrive() -> None:
    def much(scope: Scope) -> Iterator[Violation]:
        yield from (Violation("E9", "row", str(number), "") for number in range(1001))

    def nothing(scope: Scope) -> Iterator[Violation]:
        yield from ()

    found = [
        (check, one.object_id)
        for check, bundle in audit_in_processes(SCOPE, (nothing, much), 2)
        for one in bundle
    ]
    assert found == [(much, str(number)) for number in range(1001)]


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_is_no_clean_audit() -> None:
    def dying(scope: Scope) -> Iterator[Violation]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield from ()

    with pytest.raises(AuditProcessLost, match="1 checks"):
        list(audit_in_processes(SCOPE, (dying, lambda scope: iter(())), 2))


@pytest.mark.django_db
def test_inside_a_transaction_one_process_looks() -> None:
    assert processes_possible(SCOPE.using) == 1
