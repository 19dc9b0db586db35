"""Sentences of our own that are kept in rows, in the reader's language.

What a worker writes into a row (why a case was opened, what a comparison found) is written in the
product's first language; the row can't know who reads it. A sentence is known by the catalog that
translates it: by itself, or by the one whose placeholders fit it. What people wrote stays as it is.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from django.utils import translation
from django.utils.translation import gettext, trans_real

_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
# Of a sentence's own letters; with fewer it would fit what is none of our sentences.
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
    for sentence in _sentences(language):
        if (found := sentence.values_in(text)) is not None:
            values = {name: _value(value, language) for name, value in found.items()}
            return str(re.sub(r"\)d", ")s", str(catalog.gettext(sentence.message))) % values)
    return None


def _value(value: str, language: str) -> str:
    return gettext(value) if value in _messages(language) else value


@cache
def _messages(language: str) -> frozenset[str]:
    keys = trans_real.translation(language)._catalog.keys()  # type: ignore[attr-defined]
    return frozenset(key for key in keys if isinstance(key, str) and key)


@cache
def _sentences(language: str) -> list["_Sentence"]:
    """The sentences with placeholders, those that say most first."""
    found = []
    for message in _messages(language):
        first, *rest = _PLACEHOLDER.split(message.replace("%%", "%"))
        sentence = _Sentence(message, (first, *rest[1::2]), tuple(rest[::2]))
        if sentence.names and len(re.findall(r"\w", "".join(sentence.literals))) >= _LETTERS_MIN:
            found.append(sentence)
    return sorted(found, key=lambda one: (-len("".join(one.literals)), one.message))


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A message of the catalog: what stands before, between and behind its placeholders."""

    message: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    def values_in(self, text: str) -> dict[str, str] | None:
        """What stands in ``text`` in place of the placeholders; None where it is another sentence.

        One way through the text: whoever writes what is kept can't make it longer.
        """
        first, *others = self.literals
        if not (text.startswith(first) and text.endswith(others[-1])):
            return None
        values: dict[str, str] = {}
        at, last = len(first), len(text) - len(others[-1])
        for name, literal in zip(self.names, others, strict=True):
            end = last if literal is others[-1] else text.find(literal, at + 1, last)
            if end <= at or values.setdefault(name, text[at:end]) != text[at:end]:
                return None
            at = end + len(literal)
        return values
