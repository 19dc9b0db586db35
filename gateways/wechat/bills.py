"""The daily trade bill of WeChat Pay (fact sheet, section 7).

UTF-8 with BOM; the header is plain, every other cell begins with a backtick, so that the
separator is a comma and a backtick (product names contain commas); the last two lines are the
summary. Amounts are yuan, while the API speaks fen.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import IO, Any

from gateways.bill_files import (
    checked_bill,
    copy_bounded,
    read_amount,
    read_fee,
    read_rows,
    read_wall_clock,
    temporary_file,
)
from gateways.interface import Bill, BillKind, BillLine
from gateways.texts import Malformed, read_text

Download = Callable[[str, IO[bytes]], None]

_GZIP_MAGIC = b"\x1f\x8b"
_BACKTICK = "`"
_SEPARATOR = ",`"
_REFUNDED_STATES = frozenset({"REFUND", "REVOKED"})


def read_bill(day: date, answer: Mapping[str, Any], download: Download) -> Bill:
    """Fetch, unpack and check the file that an answer of trade_bill names.

    The hash is over the unpacked file (chapter 7_9_1); the SDK never looks at it.
    """
    if read_text(answer, "hash_type") not in ("", "SHA1"):
        raise Malformed("hash_type")
    packed, file = temporary_file(), temporary_file()
    with packed:
        download(read_text(answer, "download_url", is_required=True), packed)
        digest = _unpack(packed, file)
    if digest != read_text(answer, "hash_value", is_required=True).lower():
        raise Malformed("SHA-1 of the bill")
    return checked_bill(day, file, read_lines)


def read_lines(file: IO[bytes]) -> Iterator[BillLine]:
    """The lines of an unpacked bill; raises Malformed where it does not add up."""
    rows = read_rows(file, "utf-8-sig")
    header = next(rows, "").split(",")
    for lines_before, row in enumerate(rows):
        if not row.startswith(_BACKTICK):
            # Only the count: the amounts are covered by the hash, and its own sums may be rounded.
            if read_amount(split_cells(next(rows, ""))[0]) != lines_before:
                raise Malformed("number of lines")
            return
        cells = split_cells(row)
        if len(header) != len(cells):
            raise Malformed("number of cells")
        yield _line(dict(zip(header, cells, strict=True)))
    raise Malformed("bill without summary")


def split_cells(row: str) -> list[str]:
    return row.removeprefix(_BACKTICK).split(_SEPARATOR)


def _unpack(packed: IO[bytes], file: IO[bytes]) -> str:
    packed.seek(0)
    is_packed = packed.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    packed.seek(0)
    digest = hashlib.sha1(usedforsecurity=False)
    source = gzip.GzipFile(fileobj=packed, mode="rb") if is_packed else packed
    try:
        copy_bounded(source, file, digest.update)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed("gzip") from error
    return digest.hexdigest()


def _line(cells: Mapping[str, str]) -> BillLine:
    is_refund = cells["交易状态"] in _REFUNDED_STATES
    kind = BillKind.REFUND if is_refund else BillKind.PAYMENT
    return BillLine(
        kind=kind,
        out_trade_no=cells["商户订单号"],
        transaction_id=cells["微信订单号"],
        out_refund_no=cells["商户退款单号"] if is_refund else "",
        refund_id=cells["微信退款单号"] if is_refund else "",
        amount=_first_amount(cells, _REFUND_AMOUNTS if is_refund else _PAYMENT_AMOUNTS),
        fee=read_fee(kind, cells["手续费"]),
        happened_at=read_wall_clock(cells["交易时间"]),
        state=cells["退款状态"] if is_refund else cells["交易状态"],
        app_id=cells.get("公众账号ID", ""),
    )


# What was ordered, not what was settled after WeChat's own coupons: our books know the former.
_PAYMENT_AMOUNTS = ("订单金额", "应结订单金额")
_REFUND_AMOUNTS = ("申请退款金额", "退款金额")


def _first_amount(cells: Mapping[str, str], names: tuple[str, ...]) -> Decimal:
    for name in names:
        if name in cells:
            return abs(read_amount(cells[name]))
    raise Malformed("no amount column")
