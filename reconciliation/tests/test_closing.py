"""Closing a business day: two people, figures that never change, days in order."""

from datetime import time
from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.db.transaction import atomic

from payments.models import ClosedDay, PaymentOrder
from payments.services.closed_days import closed_through
from payments.services.endings import order_cancel
from reconciliation.closing_errors import (
    CloseDecided,
    CloseNotFound,
    CloseWaits,
    DayNotClosable,
    FiguresChanged,
    NobodyKnown,
    NotNewestClosedDay,
    OwnClose,
    OwnReopening,
    ReasonMissing,
    ReopeningWaits,
)
from reconciliation.models import DailyClose
from reconciliation.services.closing import (
    close_propose,
    close_reject,
    close_sign,
    close_withdraw,
    reopening_approve,
    reopening_reject,
    reopening_request,
    reopening_withdraw,
    signature_verdict,
)
from reconciliation.services.watching import closing_watch
from reconciliation.stand import day_stand, days_waiting, first_open_day
from reconciliation.tests.days import (
    DAY,
    FIRST,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    closed,
    funded,
    morning_after,
    paid,
    paid_from_balance,
    patient,
    refund_begun,
    started,
    told,
)
from tcmpay.audit.macs import Verdict
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mock(settings):
    settings.MOCK_CALLBACKS = True


@pytest.fixture
def owner():
    return patient()


@pytest.fixture
def day(owner):
    """Noon of a day: 100 topped up, 30 paid of it and 10 given back; 45 paid at a gateway."""
    funded(owner, "100.00")
    order = paid_from_balance(owner, "30.00")
    refund_begun(order.id, "10.00")
    paid(owner, "45.00", order_type="consultation")
    return DAY


@pytest.fixture
def next_morning(day):
    with clock.frozen(morning_after(day)):
        yield day


def codes(day) -> list[str]:
    return [block.code for block in day_stand(day).blocks]


# --- figures ------------------------------------------------------------------------------------


def test_the_figures_of_a_day(next_morning):
    figures = closed(next_morning).figures
    sums = ("receipts", "refunds", "fees", "net")
    assert [figures[name] for name in sums] == ["75.00", "10.00", "0.00", "65.00"]
    by_method = {
        method: [told[name] for name in sums] for method, told in figures["by_method"].items()
    }
    assert by_method == {
        "balance": ["30.00", "10.00", "0.00", "20.00"],
        "wechat": ["45.00", "0.00", "0.00", "45.00"],
        "alipay": ["0.00", "0.00", "0.00", "0.00"],
    }
    assert figures["by_type"]["consultation"]["receipts"] == "45.00"
    balance = figures["balance"]
    assert balance["opening"] == "0.00"
    assert (balance["topups"], balance["spending"], balance["refunds"]) == (
        "100.00",
        "30.00",
        "10.00",
    )
    assert (balance["adjustments"], balance["other"], balance["closing"]) == (
        "0.00",
        "0.00",
        "80.00",
    )
    assert figures["verified_share"] == "1.0000"


def test_the_next_day_begins_where_this_one_ended(owner, next_morning):
    closed(next_morning)
    paid_from_balance(owner, "5.00", NOON + ONE_DAY)
    balance = closed(DAY + ONE_DAY).figures["balance"]
    assert (balance["opening"], balance["spending"], balance["closing"]) == (
        "80.00",
        "5.00",
        "75.00",
    )


def test_money_that_came_late_is_apart_from_receipts(owner, day):
    attempt = started(owner, "12.00")
    with clock.frozen(NOON + MINUTE):
        order_cancel(actor=owner, order_id=attempt.order_id)
    told(attempt, NOON + 2 * MINUTE, at=NOON + 2 * MINUTE)
    assert attempt.disposition == "late"
    figures = closed(day).figures
    assert (figures["receipts"], figures["surplus_in"], figures["surplus_out"]) == (
        "75.00",
        "12.00",
        "0.00",
    )


def test_surplus_of_a_closed_day_counts_in_the_first_open_one(owner, day):
    attempt = started(owner, "12.00")
    with clock.frozen(NOON + MINUTE):
        order_cancel(actor=owner, order_id=attempt.order_id)
    assert closed(day).figures["surplus_in"] == "0.00"
    told(attempt, NOON + 2 * MINUTE, at=NOON + 3 * ONE_DAY)
    assert day_stand(DAY + ONE_DAY).figures["surplus_in"] == "12.00"
    assert day_stand(DAY + 3 * ONE_DAY).figures["surplus_in"] == "0.00"


def test_a_late_payment_is_told_in_the_day_in_which_it_counts(owner, day):
    attempt = started(owner, "12.00")
    close = closed(day)
    told(attempt, NOON + MINUTE, at=NOON + ONE_DAY)
    figures = day_stand(DAY + ONE_DAY).figures
    assert (figures["receipts"], figures["late"]["receipts"]) == ("12.00", "12.00")
    assert day_stand(day).figures == close.figures


# --- two people ---------------------------------------------------------------------------------


def test_one_person_puts_it_forward_and_another_signs(next_morning):
    close = close_propose(actor=FIRST, day=next_morning)
    assert (day_stand(DAY).state, closed_through()) == ("ready", None)
    close_sign(actor=SECOND, close_id=close.id)
    assert (day_stand(DAY).state, closed_through()) == ("closed", DAY)
    close.refresh_from_db()
    assert (close.proposed_by, close.decided_by) == (FIRST.id, SECOND.id)
    assert signature_verdict(close) is Verdict.HOLDS


def test_nobody_signs_what_they_put_forward(next_morning):
    close = close_propose(actor=FIRST, day=next_morning)
    for nobody in (FIRST, SYSTEM):
        with pytest.raises(OwnClose):
            close_sign(actor=nobody, close_id=close.id)
    assert closed_through() is None


def test_the_system_puts_nothing_forward(next_morning):
    with pytest.raises(NobodyKnown):
        close_propose(actor=SYSTEM, day=next_morning)


def test_it_is_put_forward_once_and_signed_once(next_morning):
    close = close_propose(actor=FIRST, day=next_morning)
    with pytest.raises(CloseWaits):
        close_propose(actor=SECOND, day=next_morning)
    close_sign(actor=SECOND, close_id=close.id)
    with pytest.raises(CloseDecided):
        close_sign(actor=SECOND, close_id=close.id)
    with pytest.raises(DayNotClosable):
        close_propose(actor=FIRST, day=next_morning)


def test_figures_that_changed_meanwhile_are_put_forward_anew(owner, next_morning):
    attempt = started(owner, "12.00")
    first = close_propose(actor=FIRST, day=next_morning)
    told(attempt, NOON + MINUTE, at=morning_after(DAY))
    with pytest.raises(FiguresChanged):
        close_sign(actor=SECOND, close_id=first.id)
    second = close_propose(actor=FIRST, day=next_morning)
    first.refresh_from_db()
    assert (first.status, second.version) == ("withdrawn", 2)
    assert close_sign(actor=SECOND, close_id=second.id).figures["receipts"] == "87.00"


def test_it_is_rejected_with_a_reason_or_taken_back(next_morning):
    close = close_propose(actor=FIRST, day=next_morning)
    with pytest.raises(ReasonMissing):
        close_reject(actor=SECOND, close_id=close.id, notes=" ")
    assert close_reject(actor=SECOND, close_id=close.id, notes="差一笔").status == "rejected"
    close = close_propose(actor=FIRST, day=next_morning)
    with pytest.raises(CloseNotFound):
        close_withdraw(actor=SECOND, close_id=close.id)
    assert close_withdraw(actor=FIRST, close_id=close.id).status == "withdrawn"
    assert closed_through() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"decided_by": FIRST.id},
        {"decided_by": None},
        {"signature": ""},
        {"closed_day": None},
        {"closed_day": DAY + ONE_DAY},
        {"waiting_day": DAY},
        {"status": "pending"},
    ],
)
def test_the_database_refuses_a_close_that_two_people_did_not_sign(next_morning, changes):
    closed(next_morning)
    with pytest.raises(IntegrityError), atomic():
        DailyClose.objects.update(**changes)


# --- order --------------------------------------------------------------------------------------


def test_a_day_closes_an_hour_after_its_end(day):
    with clock.frozen(clock.day_start(DAY + ONE_DAY) + 59 * MINUTE):
        assert codes(day) == ["not_over"]
    with clock.frozen(clock.day_start(DAY + ONE_DAY) + HOUR):
        assert codes(day) == []


def test_closing_begins_with_the_first_day_that_has_money(next_morning):
    assert first_open_day() == DAY
    assert codes(DAY - ONE_DAY) == ["before_first"]


def test_without_any_money_there_is_nothing_to_close(db):
    with clock.frozen(morning_after(DAY)):
        assert codes(DAY) == ["no_money"]
        assert days_waiting() == []


def test_it_may_begin_later_where_earlier_books_are_closed_elsewhere(settings, owner, day):
    settings.DAY_CLOSE_FROM = DAY + ONE_DAY
    assert codes(DAY)[0] == "before_first"
    assert closed(DAY + ONE_DAY).figures["balance"]["opening"] == "80.00"


def test_days_close_one_after_the_other(owner, day):
    with clock.frozen(morning_after(DAY + 2 * ONE_DAY)):
        assert codes(DAY + 2 * ONE_DAY) == ["earlier_open"]
        assert days_waiting() == [DAY, DAY + ONE_DAY, DAY + 2 * ONE_DAY]
        with pytest.raises(DayNotClosable) as refusal:
            close_propose(actor=FIRST, day=DAY + ONE_DAY)
        assert [one["code"] for one in refusal.value.data] == ["earlier_open"]
    for number in range(3):
        closed(DAY + number * ONE_DAY)
    assert closed_through() == DAY + 2 * ONE_DAY
    signatures = list(DailyClose.objects.order_by("day").values_list("signature", flat=True))
    before = list(DailyClose.objects.order_by("day").values_list("previous_signature", flat=True))
    assert before == ["", *signatures[:2]]


def test_a_day_that_is_not_closed_in_time_is_an_alarm(settings, caplog, day):
    settings.DAY_CLOSE_REMIND_AT = time(17, 30)
    five = clock.day_start(DAY + ONE_DAY) + 17 * HOUR
    with clock.frozen(five + 29 * MINUTE):
        assert closing_watch() == 0
    with clock.frozen(five + 30 * MINUTE):
        assert closing_watch() == 1
    told = [(one.levelname, one.getMessage()) for one in caplog.records if "day_" in one.msg]
    assert told == [("INFO", "day_ready_to_close"), ("ERROR", "day_not_closed")]
    closed(day)
    with clock.frozen(five + HOUR):
        assert closing_watch() == 0


# --- opening again ------------------------------------------------------------------------------


def test_the_newest_day_opens_again_by_two_people_and_keeps_its_first_version(owner, day):
    attempt = started(owner, "12.00")
    first = closed(day)
    with clock.frozen(morning_after(DAY) + HOUR):
        asked = reopening_request(actor=SECOND, day=DAY, reason="漏了一笔")
        with pytest.raises(ReopeningWaits):
            reopening_request(actor=FIRST, day=DAY, reason="漏了一笔")
        for nobody in (SECOND, SYSTEM):
            with pytest.raises(OwnReopening):
                reopening_approve(actor=nobody, reopening_id=asked.id)
        reopening_approve(actor=FIRST, reopening_id=asked.id)
    assert (day_stand(DAY).state, closed_through()) == ("ready", None)
    told(attempt, NOON + MINUTE, at=morning_after(DAY) + 2 * HOUR)
    assert PaymentOrder.objects.get(id=attempt.order_id).paid_on == DAY
    second = closed(day, at=morning_after(DAY) + 3 * HOUR)
    signature, figures = first.signature, first.figures
    first.refresh_from_db()
    assert (first.status, first.signature, first.figures) == ("reopened", signature, figures)
    assert (second.version, second.figures["receipts"]) == (2, "87.00")
    assert ClosedDay.objects.count() == 2
    assert Decimal(figures["receipts"]) == 75


def test_only_the_newest_day_opens_again_and_for_a_reason(day):
    closed(day)
    closed(DAY + ONE_DAY)
    with pytest.raises(NotNewestClosedDay):
        reopening_request(actor=FIRST, day=DAY, reason="x")
    with pytest.raises(ReasonMissing):
        reopening_request(actor=FIRST, day=DAY + ONE_DAY, reason="")
    with pytest.raises(CloseNotFound):
        reopening_request(actor=FIRST, day=DAY + 2 * ONE_DAY, reason="x")
    with pytest.raises(NobodyKnown):
        reopening_request(actor=SYSTEM, day=DAY + ONE_DAY, reason="x")


def test_a_day_after_it_was_closed_meanwhile_keeps_it_closed(day):
    closed(day)
    asked = reopening_request(actor=FIRST, day=DAY, reason="x")
    closed(DAY + ONE_DAY)
    with pytest.raises(NotNewestClosedDay):
        reopening_approve(actor=SECOND, reopening_id=asked.id)
    reopening_withdraw(actor=FIRST, reopening_id=asked.id)
    assert closed_through() == DAY + ONE_DAY


def test_each_answer_returns_the_row_as_it_is_kept(day):
    def as_kept(answered):
        fields = [field.attname for field in type(answered)._meta.concrete_fields]
        kept = type(answered).objects.get(id=answered.id)
        assert [getattr(answered, name) for name in fields] == [
            getattr(kept, name) for name in fields
        ]
        return answered

    with clock.frozen(morning_after(DAY)):
        withdrawn = as_kept(close_propose(actor=FIRST, day=DAY))
        assert as_kept(close_withdraw(actor=FIRST, close_id=withdrawn.id)).status == "withdrawn"
        rejected = close_propose(actor=FIRST, day=DAY)
        no = {"close_id": rejected.id, "notes": "少一笔"}
        assert as_kept(close_reject(actor=SECOND, **no)).status == "rejected"
        signed = close_propose(actor=FIRST, day=DAY)
        assert as_kept(close_sign(actor=SECOND, close_id=signed.id)).status == "signed"
        asked = as_kept(reopening_request(actor=SECOND, day=DAY, reason="漏了一笔"))
        no = {"reopening_id": asked.id, "notes": "没有漏"}
        assert as_kept(reopening_reject(actor=FIRST, **no)).status == "rejected"
        asked = reopening_request(actor=SECOND, day=DAY, reason="漏了一笔")
        taken_back = reopening_withdraw(actor=SECOND, reopening_id=asked.id)
        assert as_kept(taken_back).status == "withdrawn"
        asked = reopening_request(actor=SECOND, day=DAY, reason="漏了一笔")
        opened = reopening_approve(actor=FIRST, reopening_id=asked.id)
        assert as_kept(opened).status == "approved"
