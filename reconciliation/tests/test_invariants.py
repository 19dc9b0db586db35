"""The audit sees bills, figures and differences that were changed by SQL, and is silent else."""

import pytest

from payments.models import PaymentException
from reconciliation.invariants import CHECKS
from reconciliation.models import BillFile, BillPart, Difference, ReconciledDay
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests.kit import (
    DAY,
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    strange_row,
)
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.invariants import Scope

pytestmark = pytest.mark.django_db
METHOD = "wechat"


def found():
    return [one for check in CHECKS for one in check(Scope()) if not one.is_unfinished]


@pytest.fixture(autouse=True)
def _a_day():
    payment, _lost = attempt(METHOD, configured(METHOD)), attempt(METHOD, configured(METHOD))
    lines = [payment_row(payment), payment_row(payment), strange_row("SHOP"), strange_row("X", 7)]
    imported(METHOD, lines[:1])
    imported(METHOD, lines, odd=["what?"], is_replacing=True)
    imported(METHOD, fund_rows(lines), bill_type=BillType.FUND)
    day_reconcile(actor=SYSTEM, merchant=merchant(METHOD), day=DAY)
    assert Difference.objects.found().count() == 5


def test_it_is_silent_about_what_the_product_wrote():
    assert found() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda: BillPart.objects.filter(number=0).update(content=b"x\x9c\x03\x00\x00\x00\x00\x01"),
        lambda: BillPart.objects.update(content=b"no zlib"),
        lambda: BillPart.objects.filter(bill__replaced_at=None).delete(),
        lambda: BillFile.objects.update(lines=9),
        lambda: BillFile.objects.filter(replaced_at=None).update(day=DAY + ONE_DAY),
        lambda: BillFile.objects.filter(bill_type="fund").update(current_key="wechat:1"),
        lambda: ReconciledDay.objects.update(matched=5),
        lambda: ReconciledDay.objects.update(verified=1),
        lambda: ReconciledDay.objects.update(total=1),
        lambda: ReconciledDay.objects.update(lines=1),
        lambda: Difference.objects.filter(difference_type="foreign").delete(),
        lambda: Difference.objects.filter(bill=None).update(difference_type="fee"),
        lambda: Difference.objects.filter(difference_type="line").update(line_number=99),
    ],
)
def test_it_sees_a_change_by_sql(change):
    change()
    assert found() != []


def test_it_sees_a_bill_that_is_gone():
    first = BillFile.objects.exclude(replaced_at=None).get()
    BillPart.objects.filter(bill=first).delete()
    BillFile.objects.filter(id=first.id).delete()
    assert found() != []


def test_it_sees_a_difference_that_lost_its_case():
    Difference.objects.filter(difference_type="foreign").update(case=None)
    assert [one.object_type for one in found()] == ["payment_exception"] * 2
    assert PaymentException.objects.count() == 5
