"""Input that means harm, or an accident that looks like it (MONEY section 4): data, by kind.

``{"$repeat": ["x", 3]}`` in a file stands for ``"xxx"``. A body is ``latin1`` (one character for
each byte), ``parts`` (texts with how often) or ``members`` (an object of that many).
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def corpus(name: str) -> Any:
    """What ``name``.json says."""
    return _unfolded(json.loads((FOLDER / f"{name}.json").read_text()))


def _unfolded(value: Any) -> Any:
    if isinstance(value, list):
        return [_unfolded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$repeat"}:
        unit, times = value["$repeat"]
        return unit * times
    return {name: _unfolded(one) for name, one in value.items()}


def values() -> list[Any]:
    """Values for any field of a JSON body. None is an id, an amount, a date or a known word."""
    return [value for group in corpus("values").values() for value in group]


def amounts() -> list[str]:
    """JSON literals, some of them no JSON, that are no amount."""
    return [literal for group in corpus("amounts").values() for literal in group]


def bodies() -> list[tuple[str, bytes]]:
    """Whole bodies with their content type. None of them may be understood."""
    return [(entry["type"], _content(entry)) for entry in corpus("bodies")]


def _content(entry: dict[str, Any]) -> bytes:
    if "members" in entry:
        return json.dumps({str(number): 0 for number in range(entry["members"])}).encode()
    if "parts" in entry:
        return "".join(text * times for text, times in entry["parts"]).encode("latin1")
    return str(entry["latin1"]).encode("latin1")
