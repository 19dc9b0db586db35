"""The files of bills: kept as compressed parts, opened again to be read."""

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import IO, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from gateways.bill_files import Unpacked, temporary_file
from gateways.interface import BillRefused, OpenedBill
from gateways.registry import unpacked_bill
from reconciliation.bill_text import lines_walked
from reconciliation.models import BillFile, BillPart, BillUpload, BillUploadPart

# Of the unpacked file a part: compressed it stays below half a megabyte whatever it holds.
PART_BYTES = 500_000
PARTS_AT_ONCE = 8  # a few megabytes in memory
# What a bill's repetitive text needs; more takes several times as long and saves a third.
LEVEL = 1
LINE_CHARACTERS_MAX = 1000


def parts_write(bill: BillFile, file: IO[bytes]) -> None:
    """Keep the unpacked ``file`` with its bill; inside the caller's unit."""
    for number, content in _contents_of(file):
        BillPart.objects.create(bill=bill, number=number, content=content)


def upload_write(upload: BillUpload, file: IO[bytes]) -> None:
    """Put the ``file`` away as it was sent; inside the caller's unit."""
    for number, content in _contents_of(file):
        BillUploadPart.objects.create(upload=upload, number=number, content=content)


def _contents_of(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    number = 0
    while piece := file.read(PART_BYTES):
        yield number, zlib.compress(piece, LEVEL)
        number += 1
    file.seek(0)


def bill_chunks(bill: BillFile, *, using: str = "default") -> Iterator[bytes]:
    """The unpacked file of ``bill``, a piece at a time. Raises zlib.error where one is damaged."""
    return _chunks(BillPart.objects.using(using).filter(bill=bill))


def upload_chunks(upload: BillUpload) -> Iterator[bytes]:
    """The file of ``upload`` as it was sent, a piece at a time. Raises zlib.error."""
    return _chunks(BillUploadPart.objects.filter(upload=upload))


def _chunks(parts: QuerySet[Any]) -> Iterator[bytes]:
    parts, number = parts.order_by("number"), 0
    while contents := list(
        parts.filter(number__gte=number, number__lt=number + PARTS_AT_ONCE).values_list(
            "content", flat=True
        )
    ):
        for content in contents:
            yield zlib.decompress(content, bufsize=PART_BYTES)
        number += PARTS_AT_ONCE


@contextmanager
def bill_opened(bill: BillFile) -> Iterator[OpenedBill]:
    """The kept ``bill``, to be read again: it was checked as a whole when it came, and is once more
    while its rows are read to their end. BillRefused then says that it was tampered with."""
    with temporary_file() as file:
        digest, bytes_long = hashlib.sha256(), 0
        try:
            for piece in bill_chunks(bill):
                digest.update(piece)
                bytes_long += file.write(piece)
        except zlib.error as error:
            raise BillRefused(_("账单原文已损坏")) from error
        if digest.hexdigest() != bill.sha256:
            raise BillRefused(_("账单原文与导入时的哈希值不符"))
        file.seek(0)
        unpacked = Unpacked(file, bill.sha256, bytes_long)
        with closing(unpacked_bill(bill.payment_method, bill.bill_type, unpacked)) as opened:
            yield opened


def lines_of(opened: OpenedBill, numbers: set[int]) -> dict[int, str]:
    """The texts of the lines ``numbers`` (from 1) of the unpacked file, without who paid."""
    opened.file.seek(0)
    walked = lines_walked(opened.file, lambda number, _raw: number in numbers)
    found = {
        number: columns.masked(text)[:LINE_CHARACTERS_MAX] if columns else ""
        for number, text, columns in islice(walked, len(numbers))
    }
    opened.file.seek(0)
    return found


def bill_raw_lines(bill: BillFile) -> Iterator[bytes]:
    """The lines of the unpacked file of ``bill``, without their ends. Raises zlib.error."""
    rest = b""
    for piece in bill_chunks(bill):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
