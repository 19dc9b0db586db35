"""A bill is of its day, but for an hour at either end; money that was traded may arrive later."""

from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from reconciliation.errors import BillNotAccepted
from reconciliation.services.differences import FUND_MISSING_AFTER, is_due
from reconciliation.services.importing import _ensure_mostly_of
from reconciliation.states import BillType, DifferenceType
from tcmpay.common import clock

DAY = date(2026, 11, 24)
OURS, NEXT = "2026-11-24 12:00:00", "2026-11-25 02:00:00"


def examined(*moments: str, bill_type: BillType = BillType.TRADE) -> None:
    rows = [SimpleNamespace(moment=moment) for moment in moments]
    opened = SimpleNamespace(lines=len(rows), rows=lambda: rows, fund_rows=lambda: rows)
    _ensure_mostly_of(DAY, bill_type, opened)


@pytest.mark.parametrize("bill_type", [BillType.TRADE, BillType.FUND])
def test_half_of_it_may_be_of_another_day_and_no_more(bill_type):
    examined(OURS, NEXT, bill_type=bill_type)
    with pytest.raises(BillNotAccepted) as refused:
        examined(OURS, NEXT, NEXT, bill_type=bill_type)
    assert "2026-11-25" in str(refused.value.text)


@pytest.mark.parametrize("moment", ["2026-11-23 23:00:00", OURS, "2026-11-25 00:59:59"])
def test_an_hour_at_either_end_is_of_the_day(moment):
    examined(moment)


@pytest.mark.parametrize("moment", ["2026-11-23 22:59:59", "2026-11-25 01:00:00", NEXT])
def test_what_is_further_away_is_not(moment):
    with pytest.raises(BillNotAccepted):
        examined(moment)


@pytest.mark.parametrize("kind", DifferenceType)
def test_staff_look_at_once_but_at_money_that_has_not_arrived_after_some_days(kind):
    is_later = kind == DifferenceType.FUND_MISSING
    for waited, is_time in [
        (FUND_MISSING_AFTER - timedelta(days=1), not is_later),
        (FUND_MISSING_AFTER, True),
    ]:
        with clock.frozen(clock.day_start(DAY + waited)):
            assert is_due(kind, DAY) is is_time
