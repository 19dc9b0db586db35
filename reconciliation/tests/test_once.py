"""What a page reads in many places is read once; what decides reads for itself."""

from contextlib import suppress

from reconciliation.once import once, read_once


def test_it_is_read_once_within_and_anew_afterwards():
    read: list[tuple[int, int]] = []

    @once
    def sum_of(first: int, *, second: int = 0) -> int:
        read.append((first, second))
        return first + second

    assert (sum_of(1), sum_of(1)) == (1, 1)
    assert len(read) == 2, "by default each reads"
    with read_once():
        assert [sum_of(1), sum_of(1), sum_of(1, second=2), sum_of(2)] == [1, 1, 3, 2]
    assert read[2:] == [(1, 0), (1, 2), (2, 0)]
    with suppress(KeyError), read_once():
        raise KeyError
    sum_of(1)
    sum_of(1)
    assert len(read) == 7
