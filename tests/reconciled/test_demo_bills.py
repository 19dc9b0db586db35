"""The demo's last days at the stand-in gateways: the calendar has something to show and to do."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from backoffice.demo.bills import DAYS, seed_bills
from backoffice.demo.data import finish
from backoffice.ops.audit import audit
from payments.models import PaymentException, PaymentTransaction
from reconciliation.models import BillFile, Difference, ReconciledDay
from tcmpay.common import clock
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db


def test_the_demo_has_days_that_agree_and_yesterday_s_differences(stand_in, settings):
    call_command("seed_demo", "--quiet", "--unfinished")
    settings.ORDER_EXPIRE_MINUTES = 120
    assert seed_bills(stand_in.base_url)
    assert settings.ORDER_EXPIRE_MINUTES == 120
    days = ReconciledDay.objects.order_by("day")
    yesterday = clock.today() - timedelta(days=1)
    assert len(days) == 2 * DAYS
    assert all(day.runs and day.our_payments == 3 for day in days)
    assert not Difference.objects.exclude(day__day=yesterday).exists()
    told = sorted(Difference.objects.open().values_list("difference_type", flat=True))
    assert told == ["duplicate", "fee"]
    assert PaymentException.objects.filter(kind__startswith="bill_", closed_at=None).count() == 2
    real = PaymentTransaction.objects.filter(is_mock=False).exclude(payment_method="balance")
    assert set(real.values_list("status", flat=True)) == {"success"}
    finish()
    found = [one for _check, found in audit(Scope()) for one in found]
    # No worker runs here, which would number events and deliver them.
    assert [one.message for one in found if not (one.is_notice or one.is_unfinished)] == []
    bills = BillFile.objects.count()
    assert not seed_bills(stand_in.base_url), "once"
    assert BillFile.objects.count() == bills
