"""What the daily bills of both gateways share: temporary files, bounds, cells, two readings."""

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import IO

from gateways.interface import Bill, BillKind, BillLine
from gateways.texts import SHANGHAI, Malformed
from gateways.transport import BILL_BYTES_MAX

IN_MEMORY_BYTES_MAX = 8 << 20
_CHUNK_BYTES = 1 << 20
_SIGNED_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)

Parse = Callable[[IO[bytes]], Iterator[BillLine]]


def temporary_file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES_MAX)


def copy_bounded(
    source: IO[bytes], target: IO[bytes], watch: Callable[[bytes], object] | None = None
) -> None:
    """Unpack without letting a small archive fill the disk."""
    copied_bytes = 0
    while chunk := source.read(_CHUNK_BYTES):
        copied_bytes += len(chunk)
        if copied_bytes > BILL_BYTES_MAX:
            raise Malformed("bill too long")
        if watch:
            watch(chunk)
        target.write(chunk)


def checked_bill(day: date, file: IO[bytes], parse: Parse) -> Bill:
    """Read the file once for its faults and totals, then hand its lines out one by one, so that
    nobody acts on half of a bill that turns out to be broken."""
    file.seek(0)
    try:
        for _line in parse(file):
            pass
    except KeyError as error:
        raise Malformed(f"no column {error}") from error

    def lines() -> Iterator[BillLine]:
        with file:
            file.seek(0)
            yield from parse(file)

    return Bill(day, lines())


def read_rows(file: IO[bytes], encoding: str) -> Iterator[str]:
    """The lines of a file, without what ends them."""
    text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
    try:
        for row in text:
            yield row.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Malformed("encoding of the bill") from error
    finally:
        text.detach()  # the file is read a second time


def read_amount(cell: str) -> Decimal:
    """Yuan with up to six places (fees), possibly negative; an empty cell is zero."""
    text = cell.strip()
    if not text:
        return Decimal("0.00")
    if not _SIGNED_AMOUNT.fullmatch(text):
        raise Malformed(f"amount {text[:40]!r}")
    return Decimal(text)


def read_fee(kind: BillKind, cell: str) -> Decimal:
    """Positive what a payment cost us, negative what a refund gave back of it.

    WeChat Pay writes costs as positive, Alipay as negative amounts.
    """
    fee = abs(read_amount(cell))
    return -fee if kind is BillKind.REFUND else fee


def read_wall_clock(cell: str) -> datetime:
    try:
        return datetime.strptime(cell.strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError as error:
        raise Malformed(f"time {cell[:40]!r}") from error
