"""Refunds of many orders: asked for by one, agreed to by another, each once, whatever breaks."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from balances.models import BalanceTransaction
from payments.models import PaymentOrder
from refunds.bulk_plan import ROWS_MAX, Wanted, plan_of
from refunds.errors import (
    BulkAlreadyDecided,
    BulkChanged,
    BulkNotRunning,
    BulkOfNothing,
    BulkPausedByAnother,
    BulkSizeWrong,
    SelfReview,
)
from refunds.invariants_bulks import check_bulks
from refunds.models import Refund, RefundBulk, RefundBulkRow
from refunds.services import bulk_runs, bulks
from refunds.services.bulk_runs import bulk_run, bulks_sweep
from refunds.services.bulks import (
    bulk_approve,
    bulk_decide,
    bulk_end,
    bulk_pause,
    bulk_request,
    bulk_resume,
    bulk_withdraw,
    same_asked_before,
)
from refunds.services.requests import refund_request, refund_review
from refunds.states import BulkSource
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.errors import Forbidden
from tcmpay.common.invariants import Scope
from tests.clinic import new_order, paid_order, patient, staff_actor_of

pytestmark = pytest.mark.django_db
MANY = 10


def person(name: str, role: str = "reviewer") -> Actor:
    made = StaffUser.objects.create_user(username=name, is_staff=True)
    made.groups.set([Group.objects.get(name=role)])
    return staff_actor_of(made)


@pytest.fixture
def maker() -> Actor:
    return person("chen", "finance")


@pytest.fixture
def wang() -> Actor:
    return person("wang")


def ask(maker: Actor, *orders: PaymentOrder | str, **more) -> RefundBulk:
    wanted = [Wanted(order if isinstance(order, str) else str(order.id)) for order in orders]
    wanted = more.pop("wanted", wanted)
    return bulk_request(
        actor=maker, wanted=wanted, reason="医生停诊", source=BulkSource.ORDERS, **more
    )


def running(maker: Actor, approver: Actor, *orders: PaymentOrder, **more) -> RefundBulk:
    bulk = ask(maker, *orders, **more)
    return bulk_approve(actor=approver, bulk_id=bulk.pk, notes="已核对排班")


def outcomes(bulk: RefundBulk) -> list[tuple[str, str]]:
    return list(bulk.rows.order_by("position").values_list("outcome", "error_code"))


def credits() -> int:
    return BalanceTransaction.objects.filter(related_type="refund").count()


# --- the verdicts ---------------------------------------------------------------------------------


def test_the_plan_says_of_each_order_whether_it_would_be_refunded_and_why_not(maker, wang):
    whole, part, unpaid = paid_order(), paid_order(amount="50.00"), new_order(patient())
    refund_request(actor=maker, order_id=part.id, amount=Decimal("20.00"), reason="已有申请")
    back = paid_order()
    done = refund_request(actor=maker, order_id=back.id, amount=Decimal("30.00"), reason="x")
    refund_review(actor=wang, refund_id=done.id, is_approved=True, notes="")
    plan = plan_of(
        [
            Wanted(str(whole.id)),
            Wanted(part.order_no.lower()),
            Wanted(str(unpaid.id)),
            Wanted(str(back.id)),
            Wanted("ORD20260101000000ABCDEF"),
            Wanted(whole.order_no),
            Wanted(str(uuid.uuid4())),
        ]
    )
    assert [(row.code, row.amount) for row in plan.rows] == [
        ("", Decimal("30.00")),
        ("", Decimal("30.00")),  # what is left beside the request that waits
        ("ORDER_NOT_REFUNDABLE", None),
        ("REFUND_NOTHING_LEFT", None),
        ("NOT_FOUND", None),
        ("BULK_ORDER_REPEATED", Decimal("30.00")),
        ("NOT_FOUND", None),
    ]
    assert (plan.amount, len(plan.able)) == (Decimal("60.00"), 2)
    assert dict(plan.refusals) == {
        "ORDER_NOT_REFUNDABLE": 1, "REFUND_NOTHING_LEFT": 1, "NOT_FOUND": 2,
        "BULK_ORDER_REPEATED": 1,
    }  # fmt: skip
    assert [(one.method, one.count) for one in plan.by_method] == [("balance", 2)]


def test_an_amount_beyond_what_is_left_is_no_refund_and_one_within_is(maker):
    order = paid_order()
    beyond, within = Wanted(str(order.id), Decimal("30.01")), Wanted(str(order.id), Decimal("0.01"))
    assert [plan_of([one]).rows[0].code for one in (beyond, within)] == ["REFUND_EXCEEDS_PAID", ""]


def test_an_order_is_named_by_its_number_or_by_its_id_with_dashes_or_without():
    order = paid_order()
    for named in (order.order_no.lower(), str(order.id), order.id.hex, order.id.hex.upper()):
        assert [row.order.id for row in plan_of([Wanted(named)]).able] == [order.id]


def test_top_ups_are_no_services_of_a_day():
    order = paid_order()
    PaymentOrder.objects.filter(pk=order.pk).update(order_type="topup", payment_method="wechat")
    assert plan_of([Wanted(str(order.id))]).rows[0].code == "BULK_TOPUP"


def test_ten_waiting_requests_are_the_bound_of_an_order(maker):
    order = paid_order()
    for _number in range(MANY - 1):
        refund_request(actor=maker, order_id=order.id, amount=Decimal("1.00"), reason="x")
    assert plan_of([Wanted(str(order.id))]).rows[0].code == ""
    refund_request(actor=maker, order_id=order.id, amount=Decimal("1.00"), reason="x")
    assert plan_of([Wanted(str(order.id))]).rows[0].code == "REFUND_LIMIT"


def test_looking_writes_nothing_and_asking_makes_no_refund(maker):
    order = paid_order()
    plan_of([Wanted(str(order.id))])
    assert not RefundBulk.objects.exists()
    bulk = ask(maker, order)
    assert (bulk.status, bulk.amount, bulk.rows_able) == ("pending", Decimal("30.00"), 1)
    assert not Refund.objects.exists()
    assert bulk_run(bulk_id=bulk.pk) == 0, "nobody has agreed to it"


def test_none_too_many_and_nothing_to_refund_are_refused(maker):
    with pytest.raises(BulkSizeWrong):
        ask(maker)
    with pytest.raises(BulkSizeWrong):
        plan_of([Wanted("x")] * (ROWS_MAX + 1))
    with pytest.raises(BulkOfNothing):
        ask(maker, new_order(patient()))
    assert not RefundBulk.objects.exists()


def test_what_changed_since_the_preview_is_not_confirmed(maker):
    order = paid_order()
    seen = plan_of([Wanted(str(order.id))]).digest
    refund_request(actor=maker, order_id=order.id, amount=Decimal("1.00"), reason="x")
    with pytest.raises(BulkChanged):
        ask(maker, order, seen=seen)
    assert not RefundBulk.objects.exists()


def test_an_order_is_in_one_unfinished_bulk_at_a_time(maker, wang):
    order = paid_order()
    first = ask(maker, wanted=[Wanted(str(order.id), Decimal("10.00"))])
    assert plan_of([Wanted(str(order.id))]).rows[0].code == "BULK_ORDER_ELSEWHERE"
    same = plan_of([Wanted(order.order_no, Decimal("10.00"))])
    assert same_asked_before(same) is None, "it can't be asked for now"
    bulk_decide(actor=wang, bulk_id=first.pk, is_approved=False, notes="排错了")
    again = plan_of([Wanted(order.order_no, Decimal("10.00"))])
    assert again.able
    assert same_asked_before(again) is None, "a rejected one asked nothing back"
    second = running(maker, wang, wanted=[Wanted(str(order.id), Decimal("10.00"))])
    bulk_run(bulk_id=second.pk)
    again = plan_of([Wanted(order.order_no, Decimal("10.00"))])
    assert same_asked_before(again) == second


def test_of_two_that_take_one_order_at_once_the_later_is_told(maker, wang, monkeypatch):
    """Both have looked before either is there."""
    order, other = paid_order(), paid_order()
    alone = [Wanted(str(order.id), Decimal("10.00"))]
    both = [*alone, Wanted(str(other.id))]
    looked = {len(wanted): plan_of(wanted) for wanted in (alone, both)}
    seen = looked[len(both)].digest
    ask(maker, wanted=alone)

    def too_early(wanted):
        return looked.pop(len(wanted), None) or plan_of(wanted)

    monkeypatch.setattr(bulks, "plan_of", too_early)
    with pytest.raises(BulkOfNothing):
        ask(wang, wanted=alone)
    with pytest.raises(BulkChanged):
        ask(wang, wanted=both, seen=seen)
    assert outcomes(ask(wang, wanted=both)) == [
        ("refused", "BULK_ORDER_ELSEWHERE"), ("waiting", ""),
    ]  # fmt: skip


def test_a_row_that_holds_no_order_asks_nothing_back(maker, wang):
    """As of two bulks that took the same order before orders were held."""
    bulk = running(maker, wang, paid_order())
    bulk.rows.update(held_order=None)
    assert [found.code for found in check_bulks(Scope())] == ["E9"]
    bulk_run(bulk_id=bulk.pk)
    assert list(check_bulks(Scope())) == []
    assert outcomes(bulk) == [("refused", "BULK_ORDER_ELSEWHERE")]
    assert not Refund.objects.exists()


# --- who may --------------------------------------------------------------------------------------


def test_patients_doctors_and_the_platforms_back_end_ask_for_no_bulk():
    order = paid_order()
    for role in (Role.PATIENT, Role.DOCTOR, Role.SERVICE):
        with pytest.raises(Forbidden):
            ask(Actor(uuid.uuid4(), role), order)
    assert not RefundBulk.objects.exists()


def test_whoever_asked_does_not_agree_and_may_take_it_back(maker, wang):
    bulk = ask(maker, paid_order())
    for is_approved in (True, False):
        with pytest.raises(SelfReview):
            bulk_decide(actor=maker, bulk_id=bulk.pk, is_approved=is_approved, notes="x")
    with pytest.raises(Forbidden):
        bulk_withdraw(actor=wang, bulk_id=bulk.pk, notes="")
    assert bulk_withdraw(actor=maker, bulk_id=bulk.pk, notes="").status == "withdrawn"
    with pytest.raises(BulkAlreadyDecided):
        bulk_approve(actor=wang, bulk_id=bulk.pk, notes="")


def test_confirmed_twice_it_is_one_bulk(maker, wang):
    order, key = paid_order(), uuid.uuid4()
    assert ask(maker, order, bulk_id=key).pk == ask(maker, order, bulk_id=key).pk == key
    assert RefundBulk.objects.count() == 1
    with pytest.raises(Forbidden):
        ask(wang, order, bulk_id=key)


def test_it_pauses_while_one_of_both_lacks_the_permission_and_says_why(maker, wang):
    bulk = running(maker, wang, paid_order())
    account = StaffUser.objects.filter(pk=wang.id)
    account.update(is_active=False)
    assert bulk_run(bulk_id=bulk.pk) == 0
    bulk.refresh_from_db()
    assert (bulk.status, outcomes(bulk)) == ("paused", [("waiting", "")])
    event = AuditEvent.objects.get(object_id=str(bulk.pk), action="refund_bulk_paused")
    assert (event.actor_role, "没有权限" in event.reason) == ("system", True)
    assert not Refund.objects.exists()
    account.update(is_active=True)
    bulk_resume(actor=maker, bulk_id=bulk.pk)
    bulk_run(bulk_id=bulk.pk)
    assert outcomes(bulk) == [("approved", "")]
    assert list(check_bulks(Scope())) == []


# --- carrying it out --------------------------------------------------------------------------


def test_each_order_is_refunded_in_both_names_and_the_bulk_ends(maker, wang):
    orders = [paid_order(), paid_order(amount="50.00")]
    bulk = running(maker, wang, *orders, new_order(patient()))
    assert bulk_run(bulk_id=bulk.pk) == 2
    bulk.refresh_from_db()
    assert bulk.status == "finished"
    assert outcomes(bulk) == [
        ("approved", ""), ("approved", ""), ("refused", "ORDER_NOT_REFUNDABLE"),
    ]  # fmt: skip
    refunds = Refund.objects.order_by("refund_amount")
    assert [
        (one.requested_by, one.reviewed_by, one.refund_reason, one.status) for one in refunds
    ] == [(maker.id, wang.id, "医生停诊", "success")] * 2
    assert credits() == 2
    assert bulk_run(bulk_id=bulk.pk) == 0, "a late bell refunds nothing"


def test_a_row_that_another_run_carried_out_is_not_carried_out_again(maker, wang):
    """Two runs that took the same rows: the second meets them one by one."""
    order = paid_order()
    bulk = running(maker, wang, wanted=[Wanted(str(order.id), Decimal("10.00"))])
    row = bulk.rows.get()
    first, second = (bulk_runs._carry_out(maker, wang, bulk, row.id) for _run in range(2))
    assert (first.status, second) == ("success", None)
    assert Refund.objects.filter(order=order).count() == 1


def test_large_ones_wait_for_a_second_reviewer_and_the_approvers_own_for_another(
    maker, wang, settings
):
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("40.00")
    own = paid_order(Actor(wang.id, Role.PATIENT))
    large, small = paid_order(amount="50.00"), paid_order()
    bulk = running(maker, wang, large, own, small)
    bulk_run(bulk_id=bulk.pk)
    assert [outcome for outcome, _code in outcomes(bulk)] == ["asked", "asked", "approved"]
    assert set(
        Refund.objects.filter(status="pending").values_list("order_id", "approvals_needed")
    ) == {(large.id, 1), (own.id, 1)}
    assert credits() == 1


def test_what_changed_since_it_was_asked_is_refused_row_by_row(maker, wang):
    gone, good = paid_order(), paid_order()
    bulk = running(maker, wang, gone, good)
    refund_request(actor=maker, order_id=gone.id, amount=Decimal("10.00"), reason="先来")
    bulk_run(bulk_id=bulk.pk)
    assert outcomes(bulk) == [("refused", "REFUND_EXCEEDS_PAID"), ("approved", "")]


def test_it_pauses_goes_on_and_ends_early(maker, wang, monkeypatch):
    monkeypatch.setattr(bulk_runs, "CHUNK_ROWS", 1)
    bulk = running(maker, wang, *[paid_order() for _number in range(3)])
    with pytest.raises(BulkNotRunning):
        bulk_resume(actor=maker, bulk_id=bulk.pk)
    assert bulk_run(bulk_id=bulk.pk) == 1
    bulk_pause(actor=maker, bulk_id=bulk.pk)
    assert (bulk_run(bulk_id=bulk.pk), bulks_sweep()) == (0, 0)
    bulk_resume(actor=maker, bulk_id=bulk.pk)
    assert bulk_run(bulk_id=bulk.pk) == 1
    bulk_pause(actor=maker, bulk_id=bulk.pk)
    with pytest.raises(BulkNotRunning):
        bulk_pause(actor=maker, bulk_id=bulk.pk)
    bulk_end(actor=maker, bulk_id=bulk.pk, notes="其余改期")
    assert [outcome for outcome, _code in outcomes(bulk)] == ["approved", "approved", "left_out"]
    assert (credits(), RefundBulk.objects.get().status) == (2, "finished")


def test_whoever_asked_resumes_what_they_paused_but_not_what_somebody_else_did(maker, wang):
    bulk = running(maker, wang, paid_order())
    bulk_pause(actor=maker, bulk_id=bulk.pk)
    bulk_resume(actor=maker, bulk_id=bulk.pk)
    bulk_pause(actor=wang, bulk_id=bulk.pk)
    with pytest.raises(BulkPausedByAnother):
        bulk_resume(actor=maker, bulk_id=bulk.pk)
    bulk_resume(actor=person("zhao"), bulk_id=bulk.pk)
    bulk.refresh_from_db()
    assert (bulk.status, bulk.paused_by) == ("running", None)
    bulk_run(bulk_id=bulk.pk)
    assert outcomes(bulk) == [("approved", "")]


def test_a_pause_in_the_middle_of_a_chunk_stops_before_the_next_row(maker, wang, monkeypatch):
    bulk = running(maker, wang, paid_order(), paid_order())
    run_row = bulk_runs._run_row

    def pauses_after(*arguments):
        run_row(*arguments)
        bulk_pause(actor=maker, bulk_id=bulk.pk)

    monkeypatch.setattr(bulk_runs, "_run_row", pauses_after)
    assert bulk_run(bulk_id=bulk.pk) == 1
    assert list(bulk.rows.filter(outcome="waiting").values_list("tries", flat=True)) == [0]


def test_an_interrupted_run_is_found_and_goes_on_where_it_stopped(maker, wang, monkeypatch):
    bulk = running(maker, wang, paid_order(), paid_order())
    run_row, rung = bulk_runs._run_row, []

    def dies_after_one(*arguments):
        if Refund.objects.exists():
            raise SystemExit
        run_row(*arguments)

    monkeypatch.setattr(bulk_runs, "_run_row", dies_after_one)
    with pytest.raises(SystemExit):
        bulk_run(bulk_id=bulk.pk)
    monkeypatch.setattr(bulk_runs, "_run_row", run_row)
    monkeypatch.setattr(bulk_runs, "ring", lambda *arguments: rung.append(arguments))
    assert bulks_sweep() == 0, "its run may still be alive"
    with clock.frozen(clock.now() + timedelta(minutes=3)):
        assert bulks_sweep() == 1
        assert rung == [("refunds.run_bulk", str(bulk.pk))]
        assert bulk_run(bulk_id=bulk.pk) == 1
    assert [outcome for outcome, _code in outcomes(bulk)] == ["approved", "approved"]
    assert credits() == 2


def test_a_run_that_comes_late_leaves_a_finished_bulk_as_its_trail_tells(maker, wang):
    """It took the row before another run carried it out and ended the bulk."""
    bulk = running(maker, wang, paid_order())
    row = bulk.rows.get()
    bulk_run(bulk_id=bulk.pk)
    bulk_runs._run_row(bulk_runs._people(bulk), bulk, row.id)
    assert list(check_bulks(Scope())) == []


def test_a_row_that_fails_again_and_again_is_given_up(maker, wang, monkeypatch):
    bulk = running(maker, wang, paid_order())

    def broken(**_arguments):
        raise RuntimeError

    monkeypatch.setattr(bulk_runs, "refund_ask", broken)
    for _run in range(bulk_runs.TRIES_MAX + 1):
        bulk_run(bulk_id=bulk.pk)
    assert outcomes(bulk) == [("refused", "INTERNAL_ERROR")]
    bulk.refresh_from_db()
    assert bulk.status == "finished"


# --- the audit ------------------------------------------------------------------------------------


def test_the_audit_finds_a_row_whose_refund_is_not_as_it_was_asked(maker, wang):
    bulk = running(maker, wang, paid_order(), paid_order())
    bulk_run(bulk_id=bulk.pk)
    assert list(check_bulks(Scope())) == []
    first, _second = bulk.rows.order_by("position")
    RefundBulkRow.objects.filter(pk=first.pk).update(amount=Decimal("29.00"))
    assert {found.code for found in check_bulks(Scope())} == {"R1", "E9"}
    RefundBulkRow.objects.filter(pk=first.pk).update(
        amount=first.amount, refund=None, outcome="left_out"
    )
    assert {found.code for found in check_bulks(Scope())} == {"E9"}


def test_a_strict_audit_names_a_bulk_that_lies_about(maker, wang):
    bulk = running(maker, wang, paid_order())
    assert list(check_bulks(Scope())) == []
    with clock.frozen(clock.now() + timedelta(minutes=30)):
        (found,) = check_bulks(Scope())
    assert (found.code, found.object_id, found.is_unfinished) == ("E5", str(bulk.pk), True)


def test_an_audit_of_lately_looks_at_what_goes_on_and_at_what_ended_lately(maker, wang):
    with clock.frozen(clock.now() - timedelta(days=10)):
        bulk = running(maker, wang, paid_order())
    lately = Scope(since=clock.now() - timedelta(days=1))
    assert [found.code for found in check_bulks(lately)] == ["E5"]
    bulk_run(bulk_id=bulk.pk)
    assert list(check_bulks(lately)) == []
    bulk.rows.update(reason="另一个原因")
    assert {found.code for found in check_bulks(lately)} == {"R1", "E9"}
