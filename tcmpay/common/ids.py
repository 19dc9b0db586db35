"""Identifiers and the numbers that people read aloud."""

import re
import secrets
import uuid
from datetime import datetime

import uuid6

from tcmpay.common.clock import SHANGHAI

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NUMBER_SUFFIX_LENGTH = 10  # 36^10 per second: a clash is as good as impossible, and UNIQUE anyway

_ATTEMPT = re.compile(r"ORD[0-9]{14}[0-9A-Z]{10}(?:A[0-9A-Z]{2})?", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def parse_id(text: str) -> uuid.UUID:
    """The UUID that ``text`` writes in its usual form; raises ValueError for anything else.

    ``UUID`` itself also takes braces, hyphens anywhere, signs, underscores and other digits.
    """
    if not _ID.fullmatch(text):
        raise ValueError(text)
    return uuid.UUID(text)


def new_id() -> uuid.UUID:
    """A time-ordered UUID (version 7): new rows go to the end of the index."""
    return uuid.UUID(int=uuid6.uuid7().int)


def first_id_at(moment: datetime) -> uuid.UUID:
    """The smallest id that new_id can make at ``moment`` (RFC 9562: milliseconds come first)."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


def new_number(prefix: str, moment: datetime) -> str:
    """``ORD``, ``TXN`` or ``RFD`` + local time + a random suffix: 27 characters of [0-9A-Z]."""
    local = moment.astimezone(SHANGHAI)
    suffix = "".join(secrets.choice(ALPHABET) for _ in range(NUMBER_SUFFIX_LENGTH))
    return f"{prefix}{local:%Y%m%d%H%M%S}{suffix}"


def attempt_number(order_no: str, attempt: int) -> str:
    """The out_trade_no of an order's ``attempt``-th attempt at one gateway (from 0).

    The first is the order's own number; later ones add ``A`` and two characters.
    Raises ValueError past 1,296 attempts.
    """
    if attempt == 0:
        return order_no
    high, low = divmod(attempt - 1, len(ALPHABET))
    if high >= len(ALPHABET):
        raise ValueError("too many attempts")
    return f"{order_no}A{ALPHABET[high]}{ALPHABET[low]}"


def is_attempt_number(text: str) -> bool:
    """Whether ``text`` has the form of our attempts' numbers, whether or not there is such one."""
    return bool(_ATTEMPT.fullmatch(text))
