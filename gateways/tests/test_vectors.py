"""The official test vectors are the official ones, and each of them is asked somewhere."""

import hashlib
import re
from pathlib import Path

from gateways.tests.vectors import FILE, VECTORS

FILE_SHA256 = "1d8653ce5ebd48fa4b5ea31f0e0d4374001de7e63af052d486a752fb5489cdca"
ASKED_IN = ("wechat/tests/test_vectors.py", "alipay/tests/test_vectors.py")


def test_the_file_is_the_official_one():
    assert len(VECTORS) == 32
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == FILE_SHA256


def test_every_kind_of_vector_is_asked():
    room = Path(__file__).parent.parent
    texts = "".join((room / name).read_text(encoding="utf-8") for name in ASKED_IN)
    assert set(re.findall(r'@each\("([a-z0-9-]+)"\)', texts)) == {one["kind"] for one in VECTORS}
