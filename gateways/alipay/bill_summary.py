"""The second file of Alipay's bills: one line for all (合计) after those of shops or of kinds."""

import re
from collections.abc import Mapping
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from gateways.bill_reading import refused
from gateways.bill_totals import Claim, OneOf

# Places of the sums of a trade bill: of payments, and, one further, of refunds. Fees have five
# places after the point, everything else has two.
COUNT, ORDERED, RECEIVED, DISCOUNT, FEE = range(0, 10, 2)
FEN, FEE_PLACES = 2, 5

# Places of the sums of an account's bill.
MOVES_IN, SUM_IN, MOVES_OUT, SUM_OUT = range(4)

# Columns that only a summary has: of trades, of an account.
TRADES, MOVES = SUMMARY_MARKS = ("交易订单总笔数", "收入笔数")
_ALL = "合计"
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,5})?", re.ASCII)
_FEN_IN_FEES = 10 ** (FEE_PLACES - FEN)


Ways = tuple[Mapping[int, int], ...]


def _net(ways: Ways) -> Ways:
    """The same with what refunds add taken off."""
    minus = ({place + 1: -factor for place, factor in way.items()} for way in ways)
    return tuple({**way, **less} for way, less in zip(ways, minus, strict=True))


_WAYS_OF_TRADES: Mapping[str, Ways] = {
    TRADES: ({COUNT: 1},),
    "退款订单总笔数": ({COUNT + 1: 1},),
    "实收净额（元）": (
        {RECEIVED: _FEN_IN_FEES, RECEIVED + 1: -_FEN_IN_FEES},
        {RECEIVED: _FEN_IN_FEES, RECEIVED + 1: -_FEN_IN_FEES, FEE: -1, FEE + 1: 1},
    ),
}
# Sources differ on whether refunds are taken off: they are of all of these, or of none.
_WAYS_OF_PAYMENTS: Mapping[str, Ways] = {
    "订单金额（元）": ({ORDERED: 1},),
    "商家实收（元）": ({RECEIVED: 1},),
    "商家优惠（元）": ({DISCOUNT: 1}, {ORDERED: 1, RECEIVED: -1}),
    "服务费（元）": ({FEE: 1}, {FEE: -1}),  # a cost is negative in some files
}
_WAYS_OF_MOVES: Mapping[str, Ways] = {
    MOVES: ({MOVES_IN: 1},),
    "收入金额（+元）": ({SUM_IN: 1},),
    "支出笔数": ({MOVES_OUT: 1},),
    "支出金额（-元）": ({SUM_OUT: -1},),
    "总金额（元）": ({SUM_IN: 1, SUM_OUT: -1},),
}
_WAYS: Mapping[str, tuple[Mapping[str, Ways], Mapping[str, Ways]]] = {
    TRADES: (_WAYS_OF_TRADES, _WAYS_OF_PAYMENTS),
    MOVES: (_WAYS_OF_MOVES, {}),
}
_IN_FEES = frozenset({"服务费（元）", "实收净额（元）"})
_COUNTS = frozenset({TRADES, "退款订单总笔数", MOVES, "支出笔数"})


def summary_claims(text: str, mark: str) -> tuple[Mapping[str, str], list[Claim | OneOf]]:
    """What the line for all says of the columns that are known; ``mark`` is the one that such a
    summary must have. Raises BillRefused."""
    rows = [[cell.strip(' \t"') for cell in line.split(",")] for line in text.splitlines()]
    header = next((row for row in rows if mark in row), [])
    values = next((row for row in rows if row[0] == _ALL), [])
    if not header or len(values) != len(header):
        raise refused(_("汇总文件没有合计行"))
    names = [name.replace("(", "（").replace(")", "）") for name in header]
    said = dict(zip(names, values, strict=True))
    fixed, open_ways = _WAYS[mark]
    claims: list[Claim | OneOf] = [*_claims(fixed, said)]
    of_payments = _claims(open_ways, said)
    net = _claims({name: _net(ways) for name, ways in open_ways.items()}, said)
    if of_payments:
        claims.append(OneOf((of_payments, net)))
    known = [name for name in (*fixed, *open_ways) if name in said]
    return {f"汇总 {name}": said[name] for name in known}, claims


def _claims(ways: Mapping[str, Ways], said: Mapping[str, str]) -> list[Claim]:
    return [_claim(name, said[name], of_name) for name, of_name in ways.items() if name in said]


def _claim(name: str, said: str, ways: Ways) -> Claim:
    if not _NUMBER.fullmatch(said):
        raise refused(_("合计无法读取：{name} {said}"), name=name, said=said[:40])
    is_count = name in _COUNTS
    places = 0 if is_count else FEE_PLACES if name in _IN_FEES else FEN
    value = int(Decimal(said).scaleb(places))
    if name == "支出金额（-元）":
        value = -abs(value)  # the sign is left out in some files
    return Claim(f"汇总 {name}", said, value, ways, places=places, is_count=is_count)
