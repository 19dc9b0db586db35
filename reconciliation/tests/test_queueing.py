"""A comparison that takes long is asked for, and made by a worker as the one who asked."""

import uuid
from datetime import timedelta

import pytest

from reconciliation.errors import BillsChanged, NothingToCompare
from reconciliation.models import BillPart, ReconciledDay
from reconciliation.our_books import our_books
from reconciliation.services import queueing, running
from reconciliation.services.queueing import LEASE, day_compare_ask, days_compare
from reconciliation.services.running import day_reconcile
from reconciliation.tests.kit import DAY, attempt, configured, imported, merchant, payment_row
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
METHOD = "wechat"
CLERK = Actor(uuid.uuid4(), Role.STAFF)


SECOND = timedelta(seconds=1)


def by_hand():
    day_reconcile(actor=CLERK, merchant=merchant(METHOD), day=DAY)


@pytest.fixture
def rung(monkeypatch):
    bells: list[str] = []
    monkeypatch.setattr(queueing, "ring", bells.append)
    return bells


@pytest.fixture
def asked(rung):
    imported(METHOD, [payment_row(attempt(METHOD, configured(METHOD)))])
    day_compare_ask(actor=CLERK, merchant=merchant(METHOD), day=DAY)
    return ReconciledDay.objects.get()


def test_a_day_that_was_asked_for_is_compared_once(asked, rung):
    assert rung == ["reconciliation.compare_days"]
    assert days_compare() == 1
    asked.refresh_from_db()
    assert (asked.runs, asked.matched, asked.compare_at) == (1, 1, None)
    event = AuditEvent.objects.get(object_id=str(asked.id), action="day_reconciled")
    assert event.actor_id == CLERK.id
    assert days_compare() == 0


def test_what_another_run_compared_meanwhile_is_not_compared_again(asked):
    day_reconcile(actor=CLERK, merchant=merchant(METHOD), day=DAY)
    assert days_compare() == 0


@pytest.mark.parametrize("run", [by_hand, days_compare], ids=["by hand", "by a worker"])
def test_what_is_asked_for_while_a_run_reads_is_compared_once_more(asked, run, monkeypatch):
    def asks_again(*read):
        monkeypatch.setattr(running, "our_books", our_books)
        books = our_books(*read)
        with clock.frozen(asked.compare_at + SECOND):
            day_compare_ask(actor=CLERK, merchant=merchant(METHOD), day=DAY)
        return books

    monkeypatch.setattr(running, "our_books", asks_again)
    run()
    with clock.frozen(asked.compare_at + 2 * SECOND):
        assert days_compare() == 1, "the run may have read our books before what was asked for"
        assert days_compare() == 0
    asked.refresh_from_db()
    assert (asked.runs, asked.compare_at) == (2, None)


def test_of_two_workers_one_compares(asked, monkeypatch):
    monkeypatch.setattr(queueing, "day_reconcile", lambda **_asked: days_compare())
    assert days_compare() == 1
    asked.refresh_from_db()
    assert asked.compare_at == clock.now() + LEASE, "a worker that died is followed by another"


def test_a_file_that_was_tampered_with_is_not_tried_for_ever(asked):
    BillPart.objects.update(content=b"no longer")
    assert days_compare() == 1
    assert days_compare() == 0
    asked.refresh_from_db()
    assert (asked.runs, asked.compare_at) == (0, None)


def test_what_is_asked_for_meanwhile_is_not_lost_with_what_is_refused(asked, monkeypatch):
    def asks_again(**_asked_for):
        day_compare_ask(actor=CLERK, merchant=merchant(METHOD), day=DAY)
        raise NothingToCompare()

    def is_asked_for() -> bool:
        asked.refresh_from_db()
        return asked.compare_at is not None and asked.compare_at <= clock.now()

    monkeypatch.setattr(queueing, "day_reconcile", asks_again)
    assert days_compare() == 1
    assert is_asked_for()

    def refused(**_asked_for):
        raise NothingToCompare()

    monkeypatch.setattr(queueing, "day_reconcile", refused)
    assert days_compare() == 1
    assert not is_asked_for()


def test_a_day_whose_bills_changed_again_and_again_stays_asked_for(asked, monkeypatch):
    def changed(**_asked_for):
        raise BillsChanged()

    with monkeypatch.context() as patch:
        patch.setattr(queueing, "day_reconcile", changed)
        days_compare()
    assert days_compare() == 1
    asked.refresh_from_db()
    assert (asked.runs, asked.compare_at) == (1, None)
