"""Several refunds decided at once: once each, whatever interrupts, and nobody's own."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from balances.models import BalanceTransaction
from refunds import invariants_evidence
from refunds.errors import BatchSizeWrong, RefundNotReplaceable, SelfReview
from refunds.invariants import check_batches
from refunds.invariants_evidence import NEXT_WITHIN, _run_problem
from refunds.models import Refund, RefundBatch
from refunds.services import batches
from refunds.services.batches import batch_confirm, batch_run, batches_sweep
from refunds.services.requests import refund_replace, refund_review
from refunds.states import BatchDecision
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.errors import Forbidden
from tcmpay.common.invariants import Scope
from tests.clinic import patient, staff_actor_of, waiting_refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def reviewer():
    return person("lin")


def person(name):
    made = StaffUser.objects.create_user(username=name, is_staff=True)
    made.groups.set([Group.objects.get(name="reviewer")])
    return made


def confirm(reviewer, refunds, decision=BatchDecision.APPROVE, batch_id=None):
    return batch_confirm(
        actor=staff_actor_of(reviewer),
        batch_id=batch_id or uuid.uuid4(),
        refund_ids=[refund.pk for refund in refunds],
        decision=decision,
        notes="医生停诊",
    )


def outcomes(batch):
    return list(batch.rows.order_by("position").values_list("outcome", "error_code"))


def test_each_refund_is_decided_and_the_batch_ends(reviewer):
    refunds = [waiting_refund("10.00"), waiting_refund("20.00")]
    batch = confirm(reviewer, refunds)
    assert Refund.objects.filter(status="pending").count() == 2, "confirming moves nothing yet"
    assert batch_run(batch_id=batch.pk) == 2
    batch.refresh_from_db()
    assert outcomes(batch) == [("done", ""), ("done", "")]
    assert batch.finished_at is not None
    assert {refund.review_notes for refund in Refund.objects.all()} == {"医生停诊"}
    assert batch_run(batch_id=batch.pk) == 0, "a late bell decides nothing"
    assert BalanceTransaction.objects.filter(related_type="refund").count() == 2


def test_a_row_that_is_refused_says_why_and_holds_up_nobody(reviewer):
    own = waiting_refund("8.00", asker=staff_actor_of(reviewer))
    decided, good = waiting_refund("10.00"), waiting_refund("20.00")
    refund_review(
        actor=staff_actor_of(person("wang")), refund_id=decided.pk, is_approved=False, notes="否"
    )
    batch = confirm(reviewer, [own, decided, good])
    batch_run(batch_id=batch.pk)
    assert outcomes(batch) == [
        ("refused", "SELF_REVIEW"), ("refused", "REFUND_ALREADY_REVIEWED"), ("done", ""),
    ]  # fmt: skip
    own.refresh_from_db()
    assert own.status == "pending"


def test_confirmed_twice_it_is_one_batch(reviewer):
    refund, key = waiting_refund(), uuid.uuid4()
    assert confirm(reviewer, [refund], batch_id=key).pk == key
    assert confirm(reviewer, [refund], batch_id=key).pk == key
    assert RefundBatch.objects.count() == 1
    with pytest.raises(Forbidden):
        confirm(person("wang"), [refund], batch_id=key)


def test_an_interrupted_batch_is_found_and_goes_on_where_it_stopped(reviewer, monkeypatch):
    refunds = [waiting_refund("10.00"), waiting_refund("20.00")]
    batch = confirm(reviewer, refunds)
    run_row, rung = batches._run_row, []

    def dies_after_one(*arguments):
        if Refund.objects.filter(status="success").exists():
            raise SystemExit
        run_row(*arguments)

    monkeypatch.setattr(batches, "_run_row", dies_after_one)
    with pytest.raises(SystemExit):
        batch_run(batch_id=batch.pk)
    monkeypatch.setattr(batches, "_run_row", run_row)
    monkeypatch.setattr(batches, "ring", lambda *arguments: rung.append(arguments))
    assert batches_sweep() == 0, "its run may still be alive"
    with clock.frozen(clock.now() + timedelta(minutes=3)):
        assert batches_sweep() == 1
        assert rung == [("refunds.run_batch", str(batch.pk))]
        assert batch_run(batch_id=batch.pk) == 1
    assert outcomes(batch) == [("done", ""), ("done", "")]
    assert BalanceTransaction.objects.filter(related_type="refund").count() == 2


def test_a_run_that_comes_late_leaves_a_finished_batch_as_its_trail_tells(reviewer):
    """It took the row before another run decided it and ended the batch."""
    batch = confirm(reviewer, [waiting_refund()])
    batch_run(batch_id=batch.pk)
    batches._run_row(staff_actor_of(reviewer), batch, batch.rows.get().id)
    assert list(invariants_evidence.check_batches(Scope())) == []


def test_a_row_that_fails_again_and_again_is_given_up(reviewer, monkeypatch):
    batch = confirm(reviewer, [waiting_refund()])

    def broken(**_arguments):
        raise RuntimeError

    monkeypatch.setattr(batches, "refund_decide", broken)
    for _run in range(batches.TRIES_MAX + 1):
        batch_run(batch_id=batch.pk)
    assert outcomes(batch) == [("refused", "INTERNAL_ERROR")]
    batch.refresh_from_db()
    assert batch.finished_at is not None


def test_who_lost_the_permission_meanwhile_decides_nothing(reviewer):
    batch = confirm(reviewer, [waiting_refund()])
    reviewer.groups.clear()
    batch_run(batch_id=batch.pk)
    assert outcomes(batch) == [("refused", "FORBIDDEN")]
    assert Refund.objects.get().status == "pending"


def test_large_ones_get_their_first_approval(reviewer, settings):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("20.00")
    batch = confirm(reviewer, [waiting_refund("25.00")])
    batch_run(batch_id=batch.pk)
    assert outcomes(batch) == [("first_approval", "")]
    again = confirm(reviewer, list(Refund.objects.all()))
    batch_run(batch_id=again.pk)
    assert outcomes(again) == [("refused", "REFUND_ALREADY_REVIEWED")]
    other = confirm(person("wang"), list(Refund.objects.all()))
    batch_run(batch_id=other.pk)
    assert outcomes(other) == [("done", "")]


def test_none_and_too_many_are_refused(reviewer):
    with pytest.raises(BatchSizeWrong):
        confirm(reviewer, [])


def test_patients_confirm_nothing():
    with pytest.raises(Forbidden):
        batch_confirm(
            actor=patient(),
            batch_id=uuid.uuid4(),
            refund_ids=[],
            decision=BatchDecision.APPROVE,
            notes="",
        )


# --- asking for less instead --------------------------------------------------------------------


def test_a_replacing_request_is_its_reviewers_and_holds_only_its_amount(reviewer):
    refund = waiting_refund("30.00")
    new = refund_replace(
        actor=staff_actor_of(reviewer), refund_id=refund.pk, amount=Decimal("24.00"), notes="80%"
    )
    refund.refresh_from_db()
    assert (refund.status, refund.review_notes, new.status) == ("cancelled", "80%", "pending")
    assert new.transaction.__class__.objects.get(pk=new.transaction_id).refund_reserved == 24
    assert refund.refund_no in new.refund_reason
    with pytest.raises(SelfReview):
        refund_review(actor=staff_actor_of(reviewer), refund_id=new.pk, is_approved=True, notes="")
    refund_review(
        actor=staff_actor_of(person("wang")), refund_id=new.pk, is_approved=True, notes=""
    )
    assert Refund.objects.get(pk=new.pk).status == "success"


@pytest.mark.parametrize("amount", ["30.00", "31.00", "0.00", "-1.00"])
def test_a_replacing_request_asks_for_less(reviewer, amount):
    refund = waiting_refund("30.00")
    with pytest.raises(RefundNotReplaceable):
        refund_replace(
            actor=staff_actor_of(reviewer),
            refund_id=refund.pk,
            amount=Decimal(amount),
            notes="x",
        )
    assert Refund.objects.get().status == "pending"


def test_a_strict_audit_names_a_batch_that_lies_about(reviewer):
    batch = confirm(reviewer, [waiting_refund()])
    assert list(check_batches(Scope())) == []
    with clock.frozen(clock.now() + timedelta(minutes=30)):
        (found,) = check_batches(Scope())
    assert (found.code, found.object_id, found.is_unfinished) == ("E5", str(batch.pk), True)


@pytest.mark.parametrize(
    ("finished", "next_run", "problem"),
    [
        (None, timedelta(0), ""),
        (None, NEXT_WITHIN, ""),
        (timedelta(0), None, ""),
        (None, None, "批次的完成时间与下次处理时间不相符"),
        (timedelta(0), timedelta(0), "批次的完成时间与下次处理时间不相符"),
        (None, NEXT_WITHIN + timedelta(seconds=1), "下次处理的时间远在将来"),
    ],
)
def test_a_batch_is_finished_or_will_be_run_soon(finished, next_run, problem):
    with clock.frozen(clock.now()):
        now = clock.now()
        batch = RefundBatch(
            finished_at=None if finished is None else now + finished,
            next_run_at=None if next_run is None else now + next_run,
        )
        assert _run_problem(batch) == problem


def test_an_audit_of_lately_looks_at_what_goes_on_and_at_what_ended_lately(reviewer):
    with clock.frozen(clock.now() - timedelta(days=10)):
        batch = confirm(reviewer, [waiting_refund()])
    lately = Scope(since=clock.now() - timedelta(days=1))

    def problems() -> int:
        return len(list(invariants_evidence.check_batches(lately)))

    batch.rows.update(error_code="X")
    assert problems() == 1
    batch.rows.update(error_code="")
    batch_run(batch_id=batch.pk)
    assert problems() == 0
    batch.rows.update(error_code="X")
    assert problems() == 1
