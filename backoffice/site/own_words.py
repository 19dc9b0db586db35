"""Sentences of our own that are kept in rows, in the reader's language.

What a worker writes into a row (why a case was opened, what a comparison found) is written in the
product's first language; the row can't know who reads it. A sentence is known by the catalog that
translates it: by itself, or by the one whose placeholders fit it. What people wrote stays as it is.
"""

import re
from functools import cache, lru_cache

from django.utils import translation
from django.utils.translation import gettext, trans_real

_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
# Of a pattern's own letters; with fewer it would fit what is none of our sentences.
_LETTERS_MIN = 4
# What stands before a sentence of ours: a number, and its colon.
_BEGINNINGS = re.compile(r"(?P<first>[A-Z0-9]+)(?P<colon>：|: )(?P<rest>.+)", re.DOTALL)
_KEPT = 4096


def own_words(text: str) -> str:
    """``text`` as the reader's language has it; as it is where it is not ours."""
    language = translation.get_language() or ""
    if not text or language.startswith("zh"):
        return text
    return _told(str(text), language)


@lru_cache(maxsize=_KEPT)
def _told(text: str, language: str) -> str:
    if (whole := _known(text, language)) is not None:
        return whole
    if found := _BEGINNINGS.fullmatch(text):
        return f"{found['first']}: {_told(found['rest'], language)}"
    return text


def _known(text: str, language: str) -> str | None:
    catalog = trans_real.translation(language)
    if text in _messages(language):
        return str(catalog.gettext(text))
    for pattern, message in _patterns(language):
        if found := pattern.fullmatch(text):
            values = {name: _value(value, language) for name, value in found.groupdict().items()}
            return str(re.sub(r"\)d", ")s", str(catalog.gettext(message))) % values)
    return None


def _value(value: str, language: str) -> str:
    return gettext(value) if value in _messages(language) else value


@cache
def _messages(language: str) -> frozenset[str]:
    keys = trans_real.translation(language)._catalog.keys()  # type: ignore[attr-defined]
    return frozenset(key for key in keys if isinstance(key, str) and key)


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """The sentences with placeholders, those that say most first."""
    found = []
    for message in _messages(language):
        letters = _PLACEHOLDER.sub("", message)
        if letters == message or len(re.findall(r"\w", letters)) < _LETTERS_MIN:
            continue
        found.append((len(letters), re.compile(_pattern(message), re.DOTALL), message))
    found.sort(key=lambda one: (-one[0], one[2]))
    return [(pattern, message) for _length, pattern, message in found]


def _pattern(message: str) -> str:
    text, names, at = "", set[str](), 0
    for found in _PLACEHOLDER.finditer(message):
        text += re.escape(message[at : found.start()].replace("%%", "%"))
        name = found[1]
        text += f"(?P={name})" if name in names else f"(?P<{name}>.+?)"
        names.add(name)
        at = found.end()
    return text + re.escape(message[at:].replace("%%", "%"))
