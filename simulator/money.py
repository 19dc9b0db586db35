"""Fen inside, yuan where a protocol writes yuan. Integers only."""

from __future__ import annotations

import re

# Alipay: 0.01 to 100000000, at most two places [fact sheet alipay.md section 6].
YUAN = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,2}))?", re.ASCII)
YUAN_MAX_FEN = 100_000_000_00
FEE_RATE_PER_MILLE = 6


def yuan(value: int, places: int = 2) -> str:
    """A whole number of fen (or of 1e-``places`` yuan), as yuan."""
    unit = 10**places
    return f"{'-' if value < 0 else ''}{abs(value) // unit}.{abs(value) % unit:0{places}d}"


def fen_of(text: str) -> int | None:
    """Read an amount in yuan; None when it is not one from 0.01 to 100000000.00."""
    match = YUAN.fullmatch(text)
    if not match:
        return None
    fen = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    return fen if 1 <= fen <= YUAN_MAX_FEN else None


def fee_fen(fen: int) -> int:
    """Each line's fee is rounded by itself: the real bills' five decimals end in three zeros."""
    return (fen * FEE_RATE_PER_MILLE + 500) // 1_000
