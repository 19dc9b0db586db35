"""A page as a person reads it: its text line by line, its links, its forms and what they hold.

What is drawn anew in each run (ids, numbers, digests, secrets) is put in words that stay the same.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

BLOCKS = frozenset({
    "address", "article", "aside", "body", "button", "dd", "details", "div", "dl", "dt", "fieldset",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "header", "label", "legend", "li", "main",
    "nav", "ol", "option", "p", "section", "select", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
})  # fmt: skip
HIDDEN = frozenset({"script", "style", "svg", "template", "noscript", "head"})
VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
})  # fmt: skip
ICON = "material-symbols-outlined"
# Of a field: what it would send, and what a browser would hold it to.
SHOWN = ("type", "name", "value", "checked", "selected", "disabled", "required", "maxlength")
TOKEN = "csrfmiddlewaretoken"
# The way from room to room is the same on every page: told once, on the first.
FRAME = re.compile(r"nav-sidebar")

ID = re.compile(  # as it is, in an address, broken for narrow columns, or its beginning alone
    r"(?:\b|(?<=%3D))[0-9a-f]{8} ?(-[0-9a-f]{4}){3}-[0-9a-f]{6} ?[0-9a-f]{6}\b|\b[0-9a-f]{8}…",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(ORD|TXN|RFD)20[0-9A-Z]{10,26}\b")
DIGEST = re.compile(r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{12,64}\b")

SECRET = re.compile(  # of an authenticator, of an endpoint
    r"\b([A-Z2-7]{4} ){7}[A-Z2-7]{4}\b|\bwhsec_[A-Za-z0-9+/=]+"
)


def steady(text: str) -> str:
    """``text`` with what is new in each run put in words."""
    text = NUMBER.sub(lambda found: f"<{found[1]}>", ID.sub("<id>", text))
    return SECRET.sub("<secret>", DIGEST.sub("<digest>", text))


@dataclass
class Form:
    """What posting it as it stands would send, and its buttons (name, value)."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)  # texts that nobody wrote yet
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """``lines``, and the ``forms`` that post."""

    def __init__(self, html: str, *, is_whole: bool = True) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.forms: list[Form] = []
        self._line: list[str] = []
        self._skipped: list[str] = []  # the open elements from the first that is not read
        self._is_whole = is_whole
        self._form: Form | None = None
        self._choice = ""
        self.feed(html)
        self.close()
        self._end_line()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if self._skipped or self._is_skipped(tag, told):
            if tag not in VOID:
                self._skipped.append(tag)
            return
        if tag in BLOCKS:
            self._end_line()
        self._tell(tag, told)
        self._note(tag, told)

    def _is_skipped(self, tag: str, told: dict[str, str]) -> bool:
        is_frame = not self._is_whole and bool(FRAME.search(told.get("id", "")))
        return tag in HIDDEN or ICON in told.get("class", "") or is_frame

    def _tell(self, tag: str, told: dict[str, str]) -> None:
        if tag in {"input", "textarea", "select", "option", "button"}:
            if told.get("name") != TOKEN:
                parts = [
                    f"{name}={told[name]}" if told[name] else name for name in SHOWN if name in told
                ]
                self._line.append(f"[{' '.join([tag, *parts])}]")
        elif tag == "a" and told.get("href"):
            self._line.append(f"[→ {told['href']}]")
        elif tag == "form":
            self._line.append(f"[form {told.get('method', 'get')} {told.get('action', '')}]")

    def _note(self, tag: str, told: dict[str, str]) -> None:
        name = told.get("name", "")
        if tag == "form":
            self._form = None
            if told.get("method", "").lower() == "post":
                self._form = Form(told.get("action", ""))
                self.forms.append(self._form)
        elif self._form is None or "disabled" in told:
            return
        elif tag == "button" and told.get("type", "submit") == "submit":
            self._form.buttons.append((name, told.get("value", "")))
        elif tag == "select":
            self._choice = name
        elif tag == "option":
            if self._choice and ("selected" in told or self._choice not in self._form.fields):
                self._form.fields[self._choice] = told.get("value", "")
        elif tag == "textarea" and name:
            self._form.empty.append(name)
        elif tag == "input" and name:
            self._note_input(self._form, name, told)

    def _note_input(self, form: Form, name: str, told: dict[str, str]) -> None:
        kind = told.get("type", "text")
        if kind == "submit":
            form.buttons.append((name, told.get("value", "")))
        elif kind in {"checkbox", "radio"}:
            if "checked" in told:
                form.fields[name] = told.get("value", "on")
        elif kind == "text" and not told.get("value"):
            form.empty.append(name)
        elif kind != "file":
            form.fields[name] = told.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            while tag in self._skipped and self._skipped.pop() != tag:
                pass
            return
        if tag in BLOCKS:
            self._end_line()
        if tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if not self._skipped and data.strip():
            self._line.append(" ".join(data.split()))

    def _end_line(self) -> None:
        if self._line:
            self.lines.append(steady(" ".join(self._line)))
        self._line = []
