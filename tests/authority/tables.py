"""Reading the two tables. Each line keeps its number, so that a failure can name it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
API_FILE = FOLDER / "api.txt"
ADMIN_FILE = FOLDER / "admin.txt"
CALLERS = ("anonymous", "owner", "other", "admin", "service")
RIGHTS = ("see", "add", "change", "delete")
STAFF = "staff"
NOBODY = "-"


def lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """(where, words) of each line that is no comment."""
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            yield f"tests/authority/{file.name}:{number}", words


@dataclass(frozen=True)
class Call:
    """One line of the API's table."""

    where: str
    method: str
    path: str
    statuses: tuple[int, ...]
    body: str = ""
    writes_nothing: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body}".strip()


def api_table() -> list[Call]:
    calls = []
    for where, (method, path, *rest) in lines(API_FILE):
        statuses, more = rest[: len(CALLERS)], rest[len(CALLERS) :]
        assert len(statuses) == len(CALLERS), f"{where}: one status for each of {CALLERS}"
        body = "".join(word.removeprefix("body=") for word in more if word.startswith("body="))
        assert set(more) <= {"nothing", f"body={body}"}, f"{where}: {more}"
        calls.append(Call(where, method, path, tuple(map(int, statuses)), body, "nothing" in more))
    return calls


@dataclass(frozen=True)
class Page:
    """A ``page`` line of the admin's table."""

    where: str
    name: str
    method: str
    body: str
    object: str
    status: int
    writes: bool
    who: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.name} {self.object} {self.body}".strip()


@dataclass
class AdminTable:
    models: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def may(self, model: str, right: str) -> frozenset[str]:
        """The roles that have ``right``; superusers are among them wherever somebody is."""
        return self.models[model].get(right, frozenset())

    def actions(self, model: str) -> set[str]:
        rights = self.models.get(model, {})
        return {right.removeprefix("action:") for right in rights if right.startswith("action:")}

    def named_roles(self) -> set[str]:
        found: set[str] = set()
        for rights in self.models.values():
            found = found.union(*rights.values())
        return found.union(*(page.who for page in self.pages))


def admin_table() -> AdminTable:
    table = AdminTable()
    for where, (kind, *words) in lines(ADMIN_FILE):
        if kind == "group":
            name, _equals, *who = words
            table.groups[name] = _who(table, who)
        elif kind == "model":
            model, right, *who = words
            is_known = right in RIGHTS or right.startswith("action:")
            assert is_known, f"{where}: a right is one of {RIGHTS} or action:NAME"
            table.models.setdefault(model, {})[right] = _who(table, who)
        elif kind == "moved":
            table.moved.update(words)
        elif kind == "page":
            table.pages.append(_page(table, where, words))
        else:
            raise AssertionError(
                f"{where}: a line is a group, a model, moved or a page, not {kind}"
            )
    return table


def _page(table: AdminTable, where: str, words: list[str]) -> Page:
    name, asked, of, status, effect, *who = words
    method, _equals, body = asked.partition("=")
    assert effect in {"writes", "nothing"}, f"{where}: {effect}"
    return Page(where, name, method, body, of, int(status), effect == "writes", _who(table, who))


def _who(table: AdminTable, words: list[str]) -> frozenset[str]:
    found = {"superuser"}
    for word in words:
        if word != NOBODY:
            found |= table.groups.get(word, frozenset({word}))
    return frozenset(found)
