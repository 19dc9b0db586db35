"""How long a bill is, before anything of it is read: by its bytes, never by its word."""

import gzip
import io
import struct
import zipfile

import pytest

from gateways.bill_files import is_longer_than

LIMIT = 5_000


def zipped(*contents: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.csv", content)
    return file.getvalue()


def lying(archive: bytes) -> bytes:
    """The archive says of its file that it has one byte."""
    for magic, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = archive.index(magic) + place
        archive = archive[:at] + struct.pack("<L", 1) + archive[at + 4 :]
    return archive


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zipped])
def test_it_is_longer_by_what_it_unpacks_to(packed):
    for length, is_longer in ((LIMIT, False), (LIMIT + 1, True), (100 * LIMIT, True)):
        file = io.BytesIO(packed(b"x" * length))
        assert is_longer_than(file, LIMIT) is is_longer
        assert file.tell() == 0


def test_all_files_of_an_archive_count_together():
    assert is_longer_than(io.BytesIO(zipped(b"x" * 3_000, b"y" * 3_000)), LIMIT)


@pytest.mark.parametrize(
    "broken",
    [b"", b"PK\x03\x04", b"\x1f\x8bno", zipped(b"x" * LIMIT)[:-30], gzip.compress(b"x")[:9]],
    ids=["empty", "zip begun", "gzip begun", "zip cut", "gzip cut"],
)
def test_what_cannot_be_unpacked_is_refused_at_once_instead(broken):
    assert not is_longer_than(io.BytesIO(broken), LIMIT)


def test_an_archive_that_lies_about_its_length_unpacks_to_no_more_than_it_says():
    assert not is_longer_than(io.BytesIO(lying(zipped(b"x" * 50_000))), LIMIT)
