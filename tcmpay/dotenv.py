"""``.env`` read strictly: of a line that is no ``NAME=value`` only the number is told."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_COMMENT = re.compile(r"\s#")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"', "'": "'", "$": "$"}
SIZE_MAX = 256 * 1024
# What editors put in front of a text, and how the text is written then. UTF-32 is nobody's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextUnreadable(ValueError):
    """``text`` says why, without a word of the file's."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class FileNotRead(TextUnreadable):
    """The file is not there, is a folder, or is not ours to read."""


@dataclass
class EnvFile:
    """What a file says. A line that is no variable may be a secret: only its number is told."""

    name: str = ""
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    # Line → the word that it begins with.
    malformed: dict[int, str] = field(default_factory=dict)


def read_text(path: Path) -> str:
    """A small file in UTF-8 or UTF-16, with or without its mark. Raises TextUnreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise FileNotRead(f"can't be read ({error.strerror})") from error
    if len(content) > SIZE_MAX:
        raise TextUnreadable("is too large")
    mark, encoding = next((each for each in _MARKS if content.startswith(each[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise TextUnreadable("is not written in UTF-8") from None
    if "\0" in text:
        raise TextUnreadable("is not written in UTF-8")
    return text


def read_env_file(path: Path, *, name: str) -> EnvFile:
    """The variables of ``path``, which problems call ``name``.

    A variable that stands there twice with two values is a problem.
    """
    found = EnvFile(name=name)
    try:
        lines = read_text(path).splitlines()
    except TextUnreadable as error:
        found.problems.append(f"{name} {error.text}")
        return found
    numbered = iter(enumerate(lines, start=1))
    for number, line in numbered:
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        variable, equals, rest = text.partition("=")
        variable = variable.strip()
        if not equals or not _NAME.fullmatch(variable):
            begins = _NAME.match(variable)
            found.malformed[number] = begins[0] if begins else ""
            continue
        value = _value(rest.strip(), numbered)
        if value is None:
            found.malformed[number] = variable
        elif found.values.setdefault(variable, value) != value:
            found.problems.append(f"{name}: line {number} names a variable a second time")
        else:
            found.lines[variable] = number
    return found


def _value(text: str, following: Iterator[tuple[int, str]]) -> str | None:
    """What stands after the "=": bare up to a comment, or quoted, then over lines too."""
    if text[:1] not in ("'", '"'):
        comment = _COMMENT.search(" " + text)
        return text[: comment.start()].strip() if comment else text
    quote, text = text[0], text[1:]
    parts: list[str] = []
    while True:
        end = _closing(text, quote)
        if end is not None:
            break
        parts.append(text)
        try:
            text = next(following)[1]
        except StopIteration:
            return None
    rest = text[end + 1 :].strip()
    if rest and not rest.startswith("#"):
        return None
    value = "\n".join([*parts, text[:end]])
    return value if quote == "'" else _unescaped(value)


def _closing(text: str, quote: str) -> int | None:
    is_escaped = False
    for position, char in enumerate(text):
        if char == quote and not is_escaped:
            return position
        is_escaped = quote == '"' and char == "\\" and not is_escaped
    return None


def _unescaped(text: str) -> str:
    parts: list[str] = []
    chars = iter(text)
    for char in chars:
        if char != "\\":
            parts.append(char)
            continue
        following = next(chars, "")
        parts.append(_ESCAPES.get(following, "\\" + following))
    return "".join(parts)
