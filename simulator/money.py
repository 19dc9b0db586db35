"""Fen inside, yuan where a protocol writes yuan. Integers only."""

from __future__ import annotations

import re

# Alipay: 0.01 to 100000000, at most two places [fact sheet alipay.md section 6].
YUAN = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,2}))?", re.ASCII)
YUAN_MAX_FEN = 100_000_000_00


def yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def fen_of(text: str) -> int | None:
    """Read an amount in yuan; None when it is not one from 0.01 to 100000000.00."""
    match = YUAN.fullmatch(text)
    if not match:
        return None
    fen = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    return fen if 1 <= fen <= YUAN_MAX_FEN else None
