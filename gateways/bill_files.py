"""Unpacking what was downloaded or uploaded as a bill: plain, gzip or ZIP, told by its content.

Nothing here trusts the file: what it unpacks to is bounded in bytes, members and nesting.
"""

import gzip
import hashlib
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from gateways.interface import BillRefused
from gateways.transport import BILL_BYTES_MAX

if TYPE_CHECKING:
    from _hashlib import HASH

IN_MEMORY_BYTES_MAX = 8 << 20
SUMMARY_BYTES_MAX = 4 << 20
MEMBERS_MAX = 8
_CHUNK_BYTES = 1 << 20
_SNIFFED_BYTES = 1 << 12
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeError)
# As both gateways pack; what else zipfile opens fails in ways of its own.
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What a ZIP ends with: 22 bytes and a comment.
_END_OF_ZIP = struct.Struct("<4s4H2LH")
_END_OF_ZIP_MAGIC = b"PK\x05\x06"
# What comes before it in archives above four gigabytes, and says other sizes.
_ZIP64_MAGIC = b"PK\x06\x07"
_ZIP64_BYTES = 20
_COMMENT_BYTES_MAX = 1 << 16

_MEMBERS = _("压缩包里应有一个明细文件，至多另有一个汇总文件")

IsSummary = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The details of a bill, at their first byte, and the summary that came with them."""

    file: IO[bytes]
    sha256: str
    bytes_long: int
    summary: bytes | None = None


def temporary_file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES_MAX)


def unpack(file: IO[bytes], *, is_summary: IsSummary = lambda head: False) -> Unpacked:
    """A copy of the bill in ``file``, unpacked; ``is_summary`` tells a second file of an archive
    by its first bytes.

    Raises BillRefused.
    """
    file.seek(0)
    magic = file.read(len(_ZIP_MAGIC))
    file.seek(0)
    if magic == _ZIP_MAGIC:
        return _unzip(file, is_summary)
    if not magic.startswith(_GZIP_MAGIC):
        return _copied(file)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as source:
            return _copied(source)  # type: ignore[arg-type]
    except _ZIP_FAULTS as error:
        raise BillRefused(_("压缩文件已损坏或不完整")) from error


def is_longer_than(file: IO[bytes], bytes_max: int) -> bool:
    """Whether the bill in ``file``, which stays at its first byte, unpacks to more: read no further
    than that. One that can't be unpacked doesn't."""
    left = bytes_max - file.seek(0, 2)
    file.seek(0)
    if left < 0:
        return True
    magic = file.read(len(_ZIP_MAGIC))
    file.seek(0)
    try:
        if magic == _ZIP_MAGIC:
            return _is_archive_longer(file, bytes_max)
        if magic.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file, mode="rb") as source:
                return _left_after(source, bytes_max) < 0  # type: ignore[arg-type]
        return False
    except (BillRefused, *_ZIP_FAULTS):
        return False
    finally:
        file.seek(0)


def _is_archive_longer(file: IO[bytes], left: int) -> bool:
    _require_few_members(file)
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type not in _PACKED_BY:
                return False
            with archive.open(member) as source:
                left = _left_after(source, left)
            if left < 0:
                return True
    return False


def _left_after(source: IO[bytes], left: int) -> int:
    while left >= 0 and (chunk := source.read(_CHUNK_BYTES)):
        left -= len(chunk)
    return left


def digest_of(file: IO[bytes], digest: "HASH") -> str:
    """The hash of the whole file, which stays at its first byte."""
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _copied(source: IO[bytes]) -> Unpacked:
    file, digest, bytes_long = temporary_file(), hashlib.sha256(), 0
    while chunk := source.read(_CHUNK_BYTES):
        if not bytes_long and chunk.startswith((_GZIP_MAGIC, _ZIP_MAGIC)):
            raise BillRefused(_("压缩文件里还是压缩文件"))
        bytes_long += len(chunk)
        if bytes_long > BILL_BYTES_MAX:
            raise BillRefused(_("文件太大：超出账单的上限"))
        digest.update(chunk)
        file.write(chunk)
    if not bytes_long:
        raise BillRefused(_("文件是空的"))
    file.seek(0)
    return Unpacked(file, digest.hexdigest(), bytes_long)


def _unzip(file: IO[bytes], is_summary: IsSummary) -> Unpacked:
    _require_few_members(file)
    details: list[Unpacked] = []
    summaries: list[bytes] = []
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if member.compress_type not in _PACKED_BY:
                    raise BillRefused(_("压缩包的压缩方式不支持：请重新下载原文件"))
                with archive.open(member) as source:
                    is_details = not is_summary(source.read(_SNIFFED_BYTES))
                if details if is_details else summaries:
                    raise BillRefused(_MEMBERS)
                with archive.open(member) as source:
                    if is_details:
                        details.append(_copied(source))
                    else:
                        summaries.append(source.read(SUMMARY_BYTES_MAX))
    except _ZIP_FAULTS as error:
        raise BillRefused(_("压缩文件已损坏或不完整")) from error
    if not details:
        raise BillRefused(_MEMBERS)
    (found,) = details
    return Unpacked(found.file, found.sha256, found.bytes_long, summaries[0] if summaries else None)


def _require_few_members(file: IO[bytes]) -> None:
    """Before zipfile reads a directory of a million entries into memory."""
    length = file.seek(0, 2)
    file.seek(max(0, length - _END_OF_ZIP.size - _COMMENT_BYTES_MAX))
    tail = file.read()
    place = tail.rfind(_END_OF_ZIP_MAGIC)
    if place < 0 or len(tail) - place < _END_OF_ZIP.size:
        raise BillRefused(_("压缩文件已损坏或不完整"))
    end = _END_OF_ZIP.unpack_from(tail, place)
    members, directory_bytes = end[4], end[5]
    is_zip64 = tail[:place][-_ZIP64_BYTES:].startswith(_ZIP64_MAGIC)
    if is_zip64 or members > MEMBERS_MAX or directory_bytes > MEMBERS_MAX << 12:
        raise BillRefused(_MEMBERS)
    file.seek(0)
