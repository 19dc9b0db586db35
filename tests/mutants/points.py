"""Where the code may be changed by a little: every such point of the rooms' syntax trees."""

import ast
from dataclasses import dataclass
from pathlib import Path

from tests.rooms import product_files

ROOT = Path(__file__).resolve().parent.parent.parent
# What a table is, the check of migrations against models looks at.
TABLES = frozenset({"models.py", "models"})
# What these forbid, nobody does: without them everything runs as before.
FORBIDDING = frozenset({"frozen", "kw_only", "slots"})

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
}


@dataclass(frozen=True)
class Point:
    """One change: the text between two byte offsets of a file becomes ``new``."""

    path: str
    function: str  # qualified; empty where it is evaluated as the module is read
    outermost: str  # the function around it that is no part of another
    outermost_line: int  # as its code says it: a decorator's, where it has one
    line: int
    last_line: int
    start: int
    end: int
    new: str
    kind: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function or '(as it is read)'} {self.kind}"


class Finder(ast.NodeVisitor):
    """All points of one file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path = path
        self.points: list[Point] = []
        self._names: list[str] = []
        self._function = self._outermost = ""
        self._outermost_line = 0
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def _add(self, node: ast.expr | ast.stmt, new: str, kind: str) -> None:
        last_line, last_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[last_line - 1] + last_column
        around = (self._function, self._outermost, self._outermost_line)
        place = (self.path, *around, node.lineno, last_line, start, end)
        self.points.append(Point(*place, new, kind))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dataclass":
                kept = [one for one in decorator.keywords if one.arg not in FORBIDDING]
                decorator = ast.Call(decorator.func, decorator.args, kept)
            self.visit(decorator)
        for part in node.body:
            self.visit(part)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "__repr__":
            return  # read by who debugs
        defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None]
        for part in [*node.decorator_list, *defaults]:
            self.visit(part)
        before = self._function, self._outermost, self._outermost_line
        self._names.append(node.name)
        self._function = ".".join(self._names)
        if not self._outermost:
            self._outermost = self._function
            self._outermost_line = min([node, *node.decorator_list], key=_line).lineno
        for statement in node.body:
            self.visit(statement)
        self._names.pop()
        self._function, self._outermost, self._outermost_line = before

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Types are what the type checker looks at."""
        if node.value is not None:
            self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            operators = list(node.ops)
            operators[index] = COMPARISONS[type(operator)]()
            text = ast.unparse(ast.Compare(node.left, operators, node.comparators))
            self._add(node, f"({text})", f"compares otherwise: {text}")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        changed = ast.unparse(ast.BoolOp(other, node.values))
        self._add(node, f"({changed})", f"connects otherwise: {changed}")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC and not any(map(_is_text, (node.left, node.right))):
            changed = ast.unparse(ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
            self._add(node, f"({changed})", f"reckons otherwise: {changed}")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node, f"bool({ast.unparse(node.operand)})", "no longer denied")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._add(node.test, f"(not ({ast.unparse(node.test)}))", "condition turned round")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._add(node.test, f"(not ({ast.unparse(node.test)}))", "condition turned round")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, str(not node.value), f"{node.value} turned round")
        elif isinstance(node.value, int):
            self._add(node, str(node.value + 1), f"{node.value} + 1")

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            return
        if node.value is not None:
            self._add(node.value, "None", "returns nothing")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not _is_log_line(node.value):
            self._add(node, "pass", f"not called: {ast.unparse(node.value)[:60]}")
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """A text in a text has no place of its own in the file."""


def _line(node: ast.expr | ast.stmt) -> int:
    return node.lineno


def _is_text(node: ast.expr) -> bool:
    """Texts can only be joined: anything else raises wherever it is run."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"_", "str"}
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_log_line(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "logger"


def sources() -> list[Path]:
    return [path for path in product_files() if not TABLES & {path.name, path.parent.name}]


def points() -> list[Point]:
    found: list[Point] = []
    for path in sources():
        source = path.read_bytes()
        finder = Finder(str(path.relative_to(ROOT)), source)
        finder.visit(ast.parse(source))
        found += finder.points
    return found
