"""Notices that wait, however many, hold up neither the gateway nor what stands behind them."""

from datetime import timedelta
from itertools import count
from unittest.mock import patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateways.interface import RefundState
from payments.models import PaymentException
from payments.services.callbacks import refund_notices_waiting
from refunds.services.notices import RUN_SECONDS, notices_take
from refunds.services.requests import refund_withdraw
from refunds.tests import stage
from refunds.tests.stage import ALL, BEGUN_AT, Answers
from tcmpay.common import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def test_a_run_ends_in_time_and_the_next_one_goes_on():
    payment = stage.paid("wechat")
    for number in range(3):
        stage.noticed(payment, f"console-{number}", RefundState.CLOSED)
    slow = count(step=RUN_SECONDS * 0.9)
    with patch("tcmpay.common.sweep.time.monotonic", lambda: next(slow)):
        assert notices_take() == 1
    assert refund_notices_waiting().count() == 2
    assert notices_take() == 2


def test_a_run_that_is_stopped_breaks_no_notice():
    payment = stage.paid("wechat")
    callback = stage.noticed(payment, "console-1", RefundState.SUCCESS)
    with (
        patch("refunds.services.notices._take", side_effect=SoftTimeLimitExceeded),
        pytest.raises(SoftTimeLimitExceeded),
    ):
        notices_take()
    callback.refresh_from_db()
    assert callback.takes == 0
    assert notices_take() == 1


def test_the_gateway_is_asked_every_few_minutes_about_what_waits_for_a_decision():
    payment = stage.paid("alipay")
    stage.unsent(payment)
    stage.noticed(payment, "console-1", RefundState.SUCCESS, refunded_total=ALL)
    says = stage.says(RefundState.SUCCESS, amount=ALL)
    answers = Answers(says, says)
    with stage.gateway_answers(answers):
        for seconds in range(0, 600, 30):
            with clock.frozen(BEGUN_AT + timedelta(seconds=seconds)):
                assert notices_take() == 0
    assert answers.questions == 2


def test_what_waits_for_room_is_booked_as_soon_as_there_is_some():
    payment = stage.paid("alipay")
    refunds = [stage.pending(payment) for _ in range(3)]
    stage.noticed(payment, "console-1", RefundState.SUCCESS)
    says = stage.says(RefundState.SUCCESS)
    with stage.gateway_answers(Answers(says, says)):
        assert notices_take() == 0
        refund_withdraw(actor=stage.OWNER, refund_id=refunds[0].id)
        assert notices_take() == 1


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_failed_refund_that_was_done_after_all_waits_for_room_too(method):
    """Its amount was free, and others hold it by now."""
    payment = stage.paid(method)
    failed = stage.failed(payment)
    others = [stage.pending(payment) for _ in range(3)]
    stage.noticed(payment, failed.refund_no, RefundState.SUCCESS)
    assert notices_take() == 0
    case = PaymentException.objects.get(kind="refund_abnormal")
    refund_withdraw(actor=stage.OWNER, refund_id=others[0].id)
    assert notices_take() == 1
    failed.refresh_from_db()
    case.refresh_from_db()
    assert (failed.status, case.outcome) == ("success", "settled")


def test_what_gets_room_locks_no_notice_of_another_payment():
    payment = stage.paid("alipay")
    refund = stage.pending(payment)
    for name in ("console-1", "console-2"):
        stage.noticed(payment, name, RefundState.SUCCESS)
    waiting = refund_notices_waiting().values_list("id", flat=True)
    by_key = sorted(str(notice_id).replace("-", "") for notice_id in waiting)
    stage.noticed(stage.paid("alipay"), "console-3", RefundState.SUCCESS)
    with CaptureQueriesContext(connection) as captured:
        refund_withdraw(actor=stage.OWNER, refund_id=refund.id)
    hurried = [
        query["sql"].replace("-", "")
        for query in captured
        if query["sql"].startswith("UPDATE") and "next_take_at" in query["sql"]
    ]
    assert len(hurried) == len(by_key)
    assert all(key in sql for key, sql in zip(by_key, hurried, strict=True))
