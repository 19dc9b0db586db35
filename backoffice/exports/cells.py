"""Texts in cells, with nothing in them that a spreadsheet runs."""

import re
import unicodedata
from typing import Any

from backoffice.site.display import directions_shown

# OWASP, "CSV Injection": a cell that begins so is taken for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What XML can't hold or no reader sees; a tab would move what follows it to another column.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def harmless(text: str) -> str:
    """``text`` so that no spreadsheet takes it for a formula, also behind what it passes over."""
    first = next((letter for letter in text if not _is_passed_over(letter)), "")
    is_formula = text.startswith(FORMULA_STARTS) or first in FORMULA_STARTS
    return f"'{text}" if is_formula else text


def _is_passed_over(letter: str) -> bool:
    """Control and format characters, and spaces of any kind."""
    return unicodedata.category(letter)[0] in "CZ"


def cell_text(value: Any) -> str:
    """``value`` as a cell shows it: first without what hides, then made harmless."""
    return harmless(CONTROLS.sub("", directions_shown(str(value))))
