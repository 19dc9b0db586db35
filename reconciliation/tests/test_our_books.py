"""Keys kept as fingerprints: what no line agreed with is named again, or said to have changed."""

import pytest

from gateways.interface import payment_key
from reconciliation.errors import BillsChanged
from reconciliation.our_books import OurBooks, fingerprints

KEYS = [payment_key(f"ORD2026{number:05d}", number) for number in (5, 120, 99_999)]


def books_of(keys, left):
    return OurBooks(fingerprints=set(fingerprints(left)), read=lambda: [[(key,)] for key in keys])


def test_what_is_left_gets_its_number_and_fen():
    books = books_of(KEYS, KEYS[1:])
    books.name_left()
    assert books.payments == {"ORD202600120": 120, "ORD202699999": 99_999}
    assert books.our_receipts_fen == 120 + 99_999


def test_nothing_is_read_again_where_nothing_is_left():
    books = OurBooks(read=lambda: pytest.fail("read again"))
    books.name_left()
    assert books.payments == {}


def test_a_payment_that_changed_meanwhile_makes_the_comparison_begin_anew():
    changed = payment_key("ORD202600120", 121)
    with pytest.raises(BillsChanged):
        books_of([KEYS[0], changed], KEYS[1:2]).name_left()


def test_fingerprints_are_small_and_tell_fen_and_numbers_apart():
    found = fingerprints([*KEYS, payment_key("ORD202600005", 6), payment_key("ORD202600006", 5)])
    assert len(set(found)) == len(found)
    assert all(0 <= one < 1 << 60 for one in found)
