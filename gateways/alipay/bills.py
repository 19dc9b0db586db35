"""The daily trade bill of Alipay (fact sheet, section 10).

A ZIP with GBK names and GBK files: the details and a summary. The details have ``#`` lines around
them, cells that end in a tab, negative refunds, and totals in the closing ``#`` lines, which are
the only check there is: no hash is given.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO

from gateways.bill_files import (
    checked_bill,
    copy_bounded,
    read_amount,
    read_fee,
    read_rows,
    read_wall_clock,
    temporary_file,
)
from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import Bill, BillKind, BillLine
from gateways.texts import SHANGHAI, Malformed

Download = Callable[[str, IO[bytes]], int]

# A superset of GBK: a rare character in a name must not lose the day.
_ENCODING = "gb18030"
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeError)
_SUMMARY_FILE = "汇总"
# Bills are made from 9 to 10 on the next day; until noon "no bill" may still mean "not yet".
_CERTAIN_AT = time(12)
_KINDS: Mapping[str, BillKind] = {"交易": BillKind.PAYMENT, "退款": BillKind.REFUND}
_TOTALS = re.compile(
    r"#(?P<name>交易|退款)合计：(?P<count>[0-9]+)笔(?:，商家实收[^0-9-]*(?P<sum>-?[0-9.]+)元)?"
)
_RECEIVED = "商家实收（元）"
_FREE_TEXT_COLUMN = 3  # 商品名称


def missing_bill(day: date, now: datetime, error: GatewayRejected) -> Bill:
    """An empty bill once it is certain that none will come, else "ask later".

    The one sub_code stands for "not ready" and for "no movement"; raises ``error`` for others.
    """
    if "BILL_NOT_EXIST" not in error.code.upper():
        raise error
    certain_at = datetime.combine(day + timedelta(days=1), _CERTAIN_AT, SHANGHAI)
    if now < certain_at:
        raise GatewayRejected(
            error.message, code=error.code, reason=RejectReason.TOO_SOON
        ) from error
    return Bill(day, iter(()))


def read_bill(day: date, url: str, download: Download) -> Bill:
    """Fetch (unsigned, another host, within 30 seconds), unpack and check a bill."""
    packed, file = temporary_file(), temporary_file()
    with packed:
        status = download(url, packed)
        if status != 200:
            raise GatewayUnknown(f"bill download: {status}", code=str(status))
        _unpack(packed, file)
    return checked_bill(day, file, read_lines)


def _unpack(packed: IO[bytes], file: IO[bytes]) -> None:
    packed.seek(0)
    try:
        with zipfile.ZipFile(packed, metadata_encoding=_ENCODING) as archive:
            files = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            details = [name for name in files if _SUMMARY_FILE not in name]
            if len(details) != 1:
                raise Malformed("files of the bill")
            with archive.open(details[0]) as source:
                copy_bounded(source, file)
    except _ZIP_FAULTS as error:
        raise Malformed("ZIP") from error


def read_lines(file: IO[bytes]) -> Iterator[BillLine]:
    """The lines of the details; raises Malformed where they differ from the closing totals."""
    tally = _Tally()
    header: list[str] = []
    for row in map(str.strip, read_rows(file, _ENCODING)):
        if row.startswith("#"):
            tally.compare(row)
        elif not header:
            header = [cell.strip() for cell in row.split(",")]
        elif row:
            cells = _cells(header, row)
            tally.add(cells)
            yield _line(cells)
    tally.require_complete()


class _Tally:
    """What the rows add up to, against what the closing lines say."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_KINDS, 0)
        self._sums = dict.fromkeys(_KINDS, Decimal(0))
        self._compared: set[str] = set()

    def add(self, cells: Mapping[str, str]) -> None:
        name = cells["业务类型"]
        if name not in _KINDS:
            raise Malformed(f"kind {name[:40]!r}")
        self._counts[name] += 1
        self._sums[name] += read_amount(cells.get(_RECEIVED, ""))

    def compare(self, row: str) -> None:
        totals = _TOTALS.match(row)
        if not totals:
            return
        name = totals["name"]
        # Without signs: refund rows are negative, and sources differ on their total.
        is_sum_wrong = totals["sum"] and abs(read_amount(totals["sum"])) != abs(self._sums[name])
        if int(totals["count"]) != self._counts[name] or is_sum_wrong:
            raise Malformed(f"totals of {name}")
        self._compared.add(name)

    def require_complete(self) -> None:
        if self._compared != set(_KINDS):
            raise Malformed("bill without totals")


def _cells(header: list[str], row: str) -> dict[str, str]:
    """Cells by column; commas in a product name are given back to it."""
    cells = row.split(",")
    surplus = len(cells) - len(header)
    if surplus > 0:
        end = _FREE_TEXT_COLUMN + surplus + 1
        cells[_FREE_TEXT_COLUMN:end] = [",".join(cells[_FREE_TEXT_COLUMN:end])]
    if len(cells) != len(header):
        raise Malformed("number of cells")
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _line(cells: Mapping[str, str]) -> BillLine:
    kind = _KINDS[cells["业务类型"]]
    return BillLine(
        kind=kind,
        out_trade_no=cells["商户订单号"],
        transaction_id=cells["支付宝交易号"],
        out_refund_no=cells["退款批次号/请求号"],
        refund_id="",  # Alipay gives refunds no number of its own
        amount=abs(read_amount(cells["订单金额（元）"])),
        fee=read_fee(kind, cells["服务费（元）"]),
        happened_at=read_wall_clock(cells["完成时间"] or cells["创建时间"]),
        state=cells["业务类型"],
    )
