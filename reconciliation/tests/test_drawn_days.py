"""In days drawn at random, what is found is exactly what was planted.

RECONCILIATION_SEEDS says how many days are drawn; a run is repeated with the seed that it names.
"""

import os
import random

import pytest

from conftest import SEED
from reconciliation.models import Difference, ReconciledDay
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillType
from reconciliation.tests.drawn import Expected, drawn
from reconciliation.tests.kit import DAY, NOON, at, configured, imported, merchant
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import ONE_DAY

pytestmark = pytest.mark.django_db
SEEDS = int(os.environ.get("RECONCILIATION_SEEDS", "12"))
NEXT = DAY + ONE_DAY


def found(row: ReconciledDay) -> Expected:
    rows = row.differences.found()
    told = [(one.difference_type, _number(one)) for one in rows]
    assert len(told) == len(set(told))
    return set(told)


def _number(one: Difference) -> str:
    has_none = one.difference_type in ("line", "fund_gap")
    return "" if has_none else one.refund_no or one.out_trade_no


def first_of(seed: int) -> random.Random:
    return random.Random(f"{SEED} {seed}")


@pytest.mark.parametrize("turn", range(SEEDS))
def test_what_is_found_is_what_was_planted(turn):
    seed = first_of(turn).randrange(2**32)
    print(f"drawn with seed {seed}")  # noqa: T201
    days = drawn(seed, {method: configured(method) for method in ("wechat", "alipay")})
    ours = merchant(days.method)

    def compared(day):
        return day_reconcile(actor=SYSTEM, merchant=ours, day=day)

    imported(days.method, days.rows, odd=days.odd)
    imported(days.method, days.funds(), bill_type=BillType.FUND)
    with clock.frozen(at(NOON, NEXT)):
        row = compared(DAY)
    told = {(kind, number) for kind, number in days.expected if number not in days.doubtful}
    doubtful = {("ours_only", number) for number in days.doubtful}
    assert found(row) == told | doubtful
    assert {_number(one) for one in row.differences.doubtful()} == days.doubtful
    with clock.frozen(at(NOON, NEXT + ONE_DAY)):
        imported(days.method, days.next_rows, day=NEXT)
        following = compared(NEXT)
    assert found(following) == days.next_expected
    assert found(ReconciledDay.objects.get(id=row.id)) == days.expected
    # Again: the same rows, and no case more.
    before = list(Difference.objects.order_by("id").values())
    with clock.frozen(at(NOON, NEXT + ONE_DAY)):
        compared(DAY)
        compared(NEXT)
    assert list(Difference.objects.order_by("id").values()) == before
