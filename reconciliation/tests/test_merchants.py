"""Whose bills a day has to have: those whose books hold something of it."""

from datetime import timedelta

import pytest

from reconciliation.our_books import merchants_of_day, our_books
from reconciliation.stand import day_stand
from reconciliation.tests.kit import DAY, MERCHANT, at, attempt, configured, refund
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db
LATE = timedelta(hours=23, minutes=50)


def numbers(day):
    return [merchant.number for merchant in merchants_of_day(day, ("wechat",))]


def missing(day):
    return [block.text[-10:] for block in day_stand(day).blocks if block.code == "bill_missing"]


def test_a_refund_asks_for_the_former_number_s_bill_of_the_day_of_its_acceptance():
    payment = attempt("wechat", configured("wechat"), day=DAY - 10 * ONE_DAY)
    configured("wechat", mch_id="1900000002")
    refund(
        payment,
        moved=LATE,
        completed_at=at(timedelta(minutes=5), DAY + ONE_DAY),
        completed_on=DAY + ONE_DAY,
        refund_response={"create_time": at(LATE).isoformat()},
    )
    assert numbers(DAY) == [MERCHANT, "1900000002"]
    assert missing(DAY) == [MERCHANT]
    assert numbers(DAY + ONE_DAY) == ["1900000002"]


def test_an_attempt_without_a_version_is_the_running_number_s():
    configured("wechat")
    attempt("wechat", None)
    assert missing(DAY) == [MERCHANT]
    assert our_books(merchants_of_day(DAY)[0], DAY).our_payments == 1
