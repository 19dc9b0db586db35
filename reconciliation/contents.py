"""The files of bills: kept as compressed parts, opened again to be read."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from django.utils.translation import gettext as _

from gateways.bill_files import temporary_file
from gateways.interface import BillRefused, OpenedBill
from gateways.registry import unread_bill
from reconciliation.bill_text import Columns
from reconciliation.models import BillFile, BillPart

# Of the unpacked file a part: compressed it stays below half a megabyte whatever it holds.
PART_BYTES = 500_000
# What a bill's repetitive text needs; more takes several times as long and saves a third.
LEVEL = 1
LINE_CHARACTERS_MAX = 1000


def parts_write(bill: BillFile, file: IO[bytes]) -> None:
    """Keep the unpacked ``file`` with its bill; inside the caller's unit."""
    file.seek(0)
    number = 0
    while piece := file.read(PART_BYTES):
        BillPart.objects.create(bill=bill, number=number, content=zlib.compress(piece, LEVEL))
        number += 1
    file.seek(0)


def bill_chunks(bill: BillFile, *, using: str = "default") -> Iterator[bytes]:
    """The unpacked file of ``bill``, a piece at a time. Raises zlib.error where one is damaged."""
    parts = BillPart.objects.using(using).filter(bill=bill)
    number = 0
    while (content := _content(parts, number)) is not None:
        yield zlib.decompress(content)
        number += 1


def _content(parts: object, number: int) -> bytes | None:
    content = parts.filter(number=number).values_list("content", flat=True).first()  # type: ignore[attr-defined]
    return None if content is None else bytes(content)


@contextmanager
def bill_opened(bill: BillFile) -> Iterator[OpenedBill]:
    """The kept ``bill``, to be read again: it was checked as a whole when it came, and is once more
    while its rows are read to their end. BillRefused then says that it was tampered with."""
    file = temporary_file()
    with file:
        try:
            for piece in bill_chunks(bill):
                file.write(piece)
        except zlib.error as error:
            raise BillRefused(_("账单原文已损坏")) from error
        file.seek(0)
        opened = unread_bill(bill.payment_method, bill.bill_type, file)
        if opened.sha256 != bill.sha256:
            opened.close()
            raise BillRefused(_("账单原文与导入时的哈希值不符"))
        try:
            yield opened
        finally:
            opened.close()


def lines_of(opened: OpenedBill, numbers: set[int]) -> dict[int, str]:
    """The texts of the lines ``numbers`` (from 1) of the unpacked file, without who paid."""
    found: dict[int, str] = {}
    if not numbers:
        return found
    columns: Columns | None = None
    opened.file.seek(0)
    for number, line in enumerate(opened.file, start=1):
        if columns is None or number in numbers:
            text = line.decode(opened.encoding, errors="replace").rstrip("\r\n")
            columns = columns or Columns.of(text.removeprefix("\ufeff"))
            if number in numbers:
                found[number] = columns.masked(text)[:LINE_CHARACTERS_MAX] if columns else ""
                if len(found) == len(numbers):
                    break
    opened.file.seek(0)
    return found
