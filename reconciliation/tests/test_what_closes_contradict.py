"""What the audit says of a closed day whose rows, figures or differences changed since."""

from collections import defaultdict
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from balances.selectors import LedgerMoves
from reconciliation.invariants import _difference_problem
from reconciliation.invariants_closing import _money_problem, _moves_problem
from reconciliation.money import Cell, DayMoney, Sums
from reconciliation.states import CASE_KINDS, DifferenceType

CELL = Cell("wechat", "1900000001", "consultation", "consultation")
PAID = {"receipts_number": 2, "receipts": "30.00", "refunds_number": 1, "refunds": "4.00"}
NONE = {"receipts_number": 0, "receipts": "0.00", "refunds_number": 0, "refunds": "0.00"}
CELL_TOLD = {
    "method": "wechat",
    "merchant": "1900000001",
    "order_type": "consultation",
    "service": "consultation",
}
FIGURES: dict[str, Any] = {
    **PAID,
    "cells": [{**CELL_TOLD, **PAID}],
    "surplus_in": "9.00",
    "surplus_out": "3.00",
    "late": NONE,
}


def day_money(cell: Cell = CELL) -> DayMoney:
    money = DayMoney(defaultdict(Sums, {cell: Sums(2, Decimal(30), 1, Decimal(4))}))
    money.surplus["wechat", "1900000001"] = Sums(1, Decimal(9), 1, Decimal(3))
    return money


def test_a_day_as_it_was_closed_is_right_under_whatever_merchant_number():
    other = Cell("wechat", "1900000002", "consultation", "consultation")
    assert _money_problem(FIGURES, day_money()) == ""
    assert _money_problem(FIGURES, day_money(other)) == ""


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"cells": [{**CELL_TOLD, **PAID, "receipts": "31.00"}]}, "收款或退款与日结时不同"),
        ({"cells": [{**CELL_TOLD, **PAID, "service": "x"}]}, "收款或退款与日结时不同"),
        ({"cells": [{**CELL_TOLD, **PAID, "order_type": "x"}]}, "收款或退款与日结时不同"),
        ({"cells": [{**CELL_TOLD, **PAID, "method": "alipay"}]}, "收款或退款与日结时不同"),
        ({"receipts": "31.00"}, "合计与日结的明细不符"),
        ({"refunds_number": 2}, "合计与日结的明细不符"),
        ({"surplus_in": "8.00"}, "多收款项与日结时不同"),
        ({"surplus_out": "8.00"}, "多收款项与日结时不同"),
        ({"late": PAID}, "迟到的款项与日结时不同"),
    ],
)
def test_whatever_differs_is_named(told, problem):
    assert _money_problem(FIGURES | told, day_money()) == problem


MOVES = {"topups": "9.00", "spending": "0.00", "refunds": "0.00", "adjustments": "0.00"}
BALANCE = {"opening": "1.00", "closing": "10.00", "other": "0.00", **MOVES}


def test_the_balances_moves_are_the_ledgers_and_lead_from_opening_to_closing():
    assert _moves_problem(BALANCE, LedgerMoves(topups=Decimal(9))) == ""
    assert _moves_problem(BALANCE, LedgerMoves()) == "余额变动与日结时不同"
    gap = _moves_problem(BALANCE | {"closing": "10.01"}, LedgerMoves(topups=Decimal(9)))
    assert gap == "余额负债的期初加变动不等于期末"


def difference(**other: Any) -> Any:
    facts = {
        "day": SimpleNamespace(payment_method="wechat"),
        "bill": SimpleNamespace(payment_method="wechat"),
        "case": SimpleNamespace(kind=CASE_KINDS[DifferenceType.AMOUNT]),
        "difference_type": DifferenceType.AMOUNT,
    }
    return SimpleNamespace(**facts | other)


def test_a_difference_is_of_its_bills_gateway_and_its_cases_kind():
    assert _difference_problem(difference()) == ""
    assert _difference_problem(difference(bill=None, case=None)) == ""
    alipay = SimpleNamespace(payment_method="alipay")
    assert _difference_problem(difference(bill=alipay)) == "差异引用了另一支付方式的账单"
    strange = SimpleNamespace(kind=CASE_KINDS[DifferenceType.FEE])
    assert _difference_problem(difference(case=strange)) == "差异与其差错的类型不符"
