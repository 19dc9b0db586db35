"""A bill is evidence: kept whole, once, replaced only when asked; a wrong one changes nothing."""

import io
import os
from datetime import timedelta
from unittest.mock import patch

import pytest

from payments.services.closed_days import day_close, watermark_lock
from reconciliation.contents import bill_chunks
from reconciliation.errors import AnotherBillThere, BillNotAccepted, DayIsClosed
from reconciliation.models import BillFile, BillPart
from reconciliation.services.importing import AUDIT_OBJECT, bill_examine, bill_import
from reconciliation.states import BillSource, BillType
from reconciliation.tests.kit import (
    DAY,
    MERCHANT,
    Opened,
    at,
    attempt,
    configured,
    fund_rows,
    imported,
    merchant,
    payment_row,
    strange_row,
    written,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.verification import object_verify
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import money_unit

pytestmark = pytest.mark.django_db
METHOD = "wechat"


@pytest.fixture
def version():
    return configured(METHOD)


def kept():
    return BillFile.objects.count(), BillPart.objects.count(), AuditEvent.objects.count()


def test_the_file_is_kept_as_it_came(version):
    rows = [payment_row(attempt(METHOD, version))]
    bill = imported(METHOD, rows)
    assert b"".join(bill_chunks(bill)) == written(rows)
    assert (bill.lines, bill.bytes_long) == (1, len(written(rows)))
    event = AuditEvent.objects.get(object_id=str(bill.id))
    assert event.details["sha256"] == bill.sha256
    assert event.details["merchant"] == "1900000001"


def test_a_long_file_is_kept_in_parts_that_any_database_takes(version):
    noise = os.urandom(700_000).hex().encode()  # what compresses worst
    opened = Opened(io.BytesIO(b"[]"[:0]), "trade")
    opened.file, opened.sha256, opened.bytes_long = io.BytesIO(noise), "0" * 64, len(noise)
    bill = bill_import(
        actor=SYSTEM,
        merchant=merchant(METHOD),
        day=DAY,
        bill_type=BillType.TRADE,
        opened=opened,
        source=BillSource.UPLOADED,
    )
    assert bill.parts.count() == 3
    assert all(len(part.content) <= 512 * 1024 for part in bill.parts.all())
    assert b"".join(bill_chunks(bill)) == noise


def test_the_same_file_again_changes_nothing(version):
    rows = [payment_row(attempt(METHOD, version))]
    first = imported(METHOD, rows)
    before = kept()
    assert imported(METHOD, rows) == first
    assert kept() == before


@pytest.mark.parametrize("is_replacing", [False, True])
def test_a_file_of_the_same_lines_is_no_other_one(version, is_replacing):
    """As Alipay's, downloaded twice: each says when it was made."""
    lines = [payment_row(attempt(METHOD, version)) for _one in range(2)]
    first = imported(METHOD, lines, odd=["what?"])
    before = kept()
    again = imported(METHOD, lines[::-1], odd=["", "what?"], is_replacing=is_replacing)
    assert again == first
    assert kept() == before


def test_another_line_that_nobody_can_read_makes_another_file(version):
    imported(METHOD, [], odd=["what?"])
    with pytest.raises(AnotherBillThere) as refusal:
        imported(METHOD, [], odd=["which?"])
    told = refusal.value.data
    assert (told["only_before"], told["only_after"], told["changed"]) == (1, 1, 0)


def test_another_file_tells_what_differs_and_changes_nothing(version):
    gone, other, same = (attempt(METHOD, version) for _one in range(3))
    imported(METHOD, [payment_row(gone), payment_row(other), payment_row(same)])
    before = kept()
    new = [payment_row(other, amount_fen=1), payment_row(same), payment_row(same)]
    with pytest.raises(AnotherBillThere) as refusal:
        imported(METHOD, new)
    told = refusal.value.data
    assert (told["only_before"], told["only_after"], told["changed"]) == (1, 1, 1)
    assert gone.out_trade_no in told["examples"]
    assert kept() == before


def test_replacing_keeps_both(version):
    first = imported(METHOD, [payment_row(attempt(METHOD, version))])
    second = imported(METHOD, [], is_replacing=True)
    first.refresh_from_db()
    assert first.current_key is None
    assert first.replaced_at is not None
    assert second.current_key
    assert first.parts.exists()
    assert imported(METHOD, [payment_row(attempt(METHOD, version))], is_replacing=True)
    assert BillFile.objects.exclude(current_key=None).count() == 1


def test_a_file_that_was_replaced_may_count_again(version):
    rows = [payment_row(attempt(METHOD, version))]
    first = imported(METHOD, rows)
    imported(METHOD, [], is_replacing=True)
    with pytest.raises(AnotherBillThere):
        imported(METHOD, rows)
    assert imported(METHOD, rows, is_replacing=True) == first
    assert BillFile.objects.get(id=first.id).current_key


def test_the_trail_of_a_bill_that_was_replaced_is_unbroken(version):
    rows = [payment_row(attempt(METHOD, version))]
    imported(METHOD, rows)
    imported(METHOD, [], is_replacing=True)
    imported(METHOD, rows, is_replacing=True)
    for bill in BillFile.objects.all():
        assert object_verify(AUDIT_OBJECT, str(bill.id)).is_sound


def refused(rows, day=DAY):
    before = kept()
    with pytest.raises(BillNotAccepted) as refusal:
        imported(METHOD, rows, day=day)
    assert kept() == before
    return str(refusal.value.text)


def test_another_merchant_s_is_refused(version):
    line = payment_row(attempt(METHOD, version))
    assert "1900000002" in refused([line, line._replace(merchant="1900000002")])


def test_another_day_s_is_refused(version):
    line = payment_row(attempt(METHOD, version))
    assert "2026-11-23" in refused([line._replace(moment="2026-11-23 12:00:00")])


def test_a_line_of_the_neighbour_s_is_not_another_day(version):
    lines = [payment_row(attempt(METHOD, version)) for _one in range(3)]
    lines[0] = lines[0]._replace(moment="2026-11-23 23:59:59")
    assert imported(METHOD, lines).lines == 3


@pytest.mark.parametrize("lacks", ["has_payments", "has_refunds"])
def test_a_bill_of_one_half_is_refused_and_says_which_to_take(version, lacks):
    with patch.object(Opened, lacks, False):
        refusal = refused([payment_row(attempt(METHOD, version))])
    assert "ALL" in refusal


def test_a_fund_bill_of_another_account_is_refused(version):
    other = strange_row("SHOP1", merchant=MERCHANT)
    line = payment_row(attempt(METHOD, version))
    for _trade in ("not there", "there"):
        with pytest.raises(BillNotAccepted) as refusal:
            imported(METHOD, fund_rows([other]), bill_type=BillType.FUND)
        assert "另一商户号" in str(refusal.value.text)
        imported(METHOD, [line])


def test_a_fund_bill_with_something_of_the_trade_bill_or_of_ours_is_taken(version):
    payment = attempt(METHOD, version)
    imported(METHOD, fund_rows([payment_row(payment)]), bill_type=BillType.FUND)
    other = strange_row("SHOP1", merchant=MERCHANT)
    imported(METHOD, [other])
    imported(METHOD, fund_rows([other]), bill_type=BillType.FUND, is_replacing=True)


def test_a_day_to_come_is_refused(version):
    refused([], day=DAY + 2 * ONE_DAY)


def test_a_closed_day_takes_no_bill(version):
    @money_unit
    def close():
        day_close(watermark_lock(), DAY)

    lines = [payment_row(attempt(METHOD, version))]
    bill = imported(METHOD, lines)
    with clock.frozen(at(timedelta(hours=26))):
        close()
        before = kept()
        with pytest.raises(DayIsClosed):
            imported(METHOD, [], is_replacing=True)
        assert imported(METHOD, lines) == bill  # what it was closed with
    assert kept() == before


def test_examining_writes_nothing(version):
    rows = [payment_row(attempt(METHOD, version))]
    imported(METHOD, rows)
    before = kept()
    opened = Opened(io.BytesIO(written(rows * 2)), "trade")
    examined = bill_examine(
        merchant=merchant(METHOD), day=DAY, bill_type=BillType.TRADE, opened=opened
    )
    assert (examined.lines, examined.is_known, examined.changes.only_after) == (2, False, 1)
    assert kept() == before
