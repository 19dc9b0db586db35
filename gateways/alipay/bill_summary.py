"""The second file of Alipay's trade bill: one line for each shop and one for all (合计).

That of the account's details has a line for each kind of move; nothing is asked of it.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from gateways.bill_reading import refused
from gateways.bill_totals import Claim

# Places of the sums of a trade bill: of payments, and, one further, of refunds. Fees have five
# places after the point, everything else has two.
COUNT, ORDERED, RECEIVED, DISCOUNT, FEE = range(0, 10, 2)
FEN, FEE_PLACES = 2, 5

SUMMARY_MARK = "交易订单总笔数"
SUMMARY_MARKS = (SUMMARY_MARK, "收入笔数")
_ALL = "合计"
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,5})?", re.ASCII)
_FEN_IN_FEES = 10 ** (FEE_PLACES - FEN)


def _paid_or_net(place: int) -> tuple[Mapping[int, int], ...]:
    """Sources differ on whether refunds are taken off."""
    return {place: 1}, {place: 1, place + 1: -1}


_WAYS: Mapping[str, tuple[Mapping[int, int], ...]] = {
    SUMMARY_MARK: ({COUNT: 1},),
    "退款订单总笔数": ({COUNT + 1: 1},),
    "订单金额（元）": _paid_or_net(ORDERED),
    "商家实收（元）": _paid_or_net(RECEIVED),
    "商家优惠（元）": (
        *_paid_or_net(DISCOUNT),
        {ORDERED: 1, RECEIVED: -1},
        {ORDERED: 1, ORDERED + 1: -1, RECEIVED: -1, RECEIVED + 1: 1},
    ),
    "服务费（元）": _paid_or_net(FEE),
    "实收净额（元）": (
        {RECEIVED: _FEN_IN_FEES, RECEIVED + 1: -_FEN_IN_FEES},
        {RECEIVED: _FEN_IN_FEES, RECEIVED + 1: -_FEN_IN_FEES, FEE: -1, FEE + 1: 1},
    ),
}
_IN_FEES = frozenset({"服务费（元）", "实收净额（元）"})
_COUNTS = frozenset({SUMMARY_MARK, "退款订单总笔数"})


def summary_claims(text: str) -> tuple[Mapping[str, str], list[Claim]]:
    """What the line for all says of the columns that are known. Raises BillRefused."""
    rows = [[cell.strip(' \t"') for cell in line.split(",")] for line in text.splitlines()]
    header = next((row for row in rows if SUMMARY_MARK in row), [])
    values = next((row for row in rows if row[0] == _ALL), [])
    if not header or len(values) != len(header):
        raise refused(_("汇总文件没有合计行"))
    said = {
        name.replace("(", "（").replace(")", "）"): value
        for name, value in zip(header, values, strict=True)
    }
    return (
        {f"汇总 {name}": said[name] for name in _WAYS if name in said},
        [_claim(name, said[name]) for name in _WAYS if name in said],
    )


def _claim(name: str, said: str) -> Claim:
    if not _NUMBER.fullmatch(said):
        raise refused(_("合计无法读取：{name} {said}"), name=name, said=said[:40])
    is_count = name in _COUNTS
    places = 0 if is_count else FEE_PLACES if name in _IN_FEES else FEN
    value = int(Decimal(said).scaleb(places))
    if name == "服务费（元）":
        value = abs(value)  # a cost is negative in some files
    return Claim(f"汇总 {name}", said, value, _WAYS[name], places=places, is_count=is_count)
