"""Every pattern of the product takes steps in proportion to what it is given, whatever that is.

The patterns are found in the source and in Django's registries, the hostile texts are made from
each pattern itself: a new one is tried without anybody thinking of it.
"""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

import simulator.wechat.routes
from tcmpay.common import redaction
from tests.hostile.steps import Stepper, TooManySteps, hostile_parts
from tests.rooms import ROOMS

FOLDERS = (*ROOMS, "simulator", "scripts")
TAKES_A_PATTERN = {
    "compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer",
    "template", "re_path", "RegexValidator", "RegexField",
}  # fmt: skip
# A file without any of these words has no pattern, and needs no reading.
WORDS = re.compile(r"\b(?:re|regex|re_path|RegexValidator|RegexField)\b")
# Steps may grow with the length, and by a little more where a repetition begins to bite; squared
# they would be sixteen times as many.
LENGTHS = (40, 160)
GROWTH_MAX = 7
# For the short text: a thousand a character is more than any alternatives need.
STEPS_MAX = 60_000


class Found(NamedTuple):
    where: str
    pattern: str
    flags: int
    # Only ever tried from the beginning of a text.
    is_anchored: bool = False


def product_files() -> list[Path]:
    files = [
        path
        for folder in FOLDERS
        for path in (settings.BASE_DIR / folder).rglob("*.py")
        if "tests" not in path.parts and "migrations" not in path.parts
    ]
    assert len(files) > 200, "the product is there"
    return files


def calls_with_patterns(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of `re`, by whatever name, and of what else takes a pattern."""
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("re", "django.urls")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        is_of_re = (
            isinstance(called, ast.Attribute)
            and isinstance(called.value, ast.Name)
            and called.value.id in ("re", "regex")
            and called.attr in TAKES_A_PATTERN
        )
        is_named = isinstance(called, ast.Name) and called.id in TAKES_A_PATTERN & (
            names | {"RegexValidator", "RegexField"}
        )
        is_member = isinstance(called, ast.Attribute) and called.attr in (
            "RegexValidator",
            "RegexField",
        )
        if is_of_re or is_named or is_member:
            yield node


def constants_given_to(path: str, function: str, position: int) -> list[str]:
    tree = ast.parse((settings.BASE_DIR / path).read_text(encoding="utf-8"))
    return [
        ast.literal_eval(node.args[position])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]


# Where a pattern is not written in the call: what may stand there.
ELSEWHERE: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("gateways/findings.py", "pattern"): lambda: [
        *constants_given_to("gateways/wechat/doctor.py", "check_form", 3),
        *constants_given_to("gateways/alipay/doctor.py", "check_form", 3),
    ],
    ("gateways/alipay/bills.py", "f'#+(支付宝{self.word}(查询)?|-+{self.word}列表-+)'"): lambda: [
        r"#+(支付宝业务明细(查询)?|-+业务明细列表-+)"
    ],
    ("gateways/alipay/bills.py", "f'#+-+{self.word}列表结束-+'"): lambda: [
        r"#+-+业务明细列表结束-+"
    ],
    ("tcmpay/common/redaction.py", "_NAMED_SECRET"): lambda: [redaction._NAMED_SECRET],
    ("tcmpay/common/redaction.py", "_NAMED_IN_QUOTES"): lambda: [redaction._NAMED_IN_QUOTES],
    ("tcmpay/common/redaction.py", "_NAMED_IN_SINGLE_QUOTES"): lambda: [
        redaction._NAMED_IN_SINGLE_QUOTES
    ],
    ("tcmpay/common/redaction.py", "_SECRET_NAME"): lambda: [redaction._SECRET_NAME],
    ("simulator/wechat/api.py", "route.pattern"): lambda: [
        route.pattern for route in simulator.wechat.routes.ROUTES
    ],
}


def written_in(path: Path) -> Iterator[Found]:
    name = str(path.relative_to(settings.BASE_DIR))
    text = path.read_text(encoding="utf-8")
    if not WORDS.search(text):
        return
    tree = ast.parse(text)
    anchored = calls_from_the_beginning(tree)
    for call in calls_with_patterns(tree):
        given = [*call.args, *(word.value for word in call.keywords if word.arg == "regex")]
        flags = _flags_of(call)
        try:
            patterns = [ast.literal_eval(given[0])]
        except ValueError:
            patterns = composed(name, given[0]) or ELSEWHERE[name, ast.unparse(given[0])]()
            assert patterns, f"{name}:{call.lineno}"
        for pattern in patterns:
            pattern = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
            yield Found(f"{name}:{call.lineno}", pattern, flags, call in anchored)


def composed(name: str, given: ast.expr) -> list[str]:
    """An f-string of the module's constants; nothing where it names anything else."""
    if not isinstance(given, ast.JoinedStr):
        return []
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    used = {node.id for node in ast.walk(given) if isinstance(node, ast.Name)}
    if not used <= vars(module).keys():
        return []
    return [eval(ast.unparse(given), vars(module))]


FROM_THE_BEGINNING = {"fullmatch", "match"}


def calls_from_the_beginning(tree: ast.AST) -> set[ast.Call]:
    """Calls whose pattern is only ever matched: directly, or by the one name that it is given."""
    used: dict[str, set[str]] = {}
    attributes = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
            attributes.add(id(node.value))
    passed_on = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in attributes
    }
    found = {
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in FROM_THE_BEGINNING
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            uses = {use for name in names for use in used.get(name, set())}
            if names and uses and uses <= FROM_THE_BEGINNING and not names & passed_on:
                found.add(node.value)
    return found


def _flags_of(call: ast.Call) -> int:
    """The flags that the call names; a replacement or a text is none."""
    words = [*call.args[1:], *(word.value for word in call.keywords)]
    flags = 0
    for word in words:
        text = ast.unparse(word)
        if re.fullmatch(r"re\.[A-Z]+(?: \| re\.[A-Z]+)*", text):
            for name in text.split(" | "):
                flags |= getattr(re, name.removeprefix("re."))
    return int(flags)


def of_addresses(resolver: Any = None) -> Iterator[Found]:
    for entry in (resolver or get_resolver()).url_patterns:
        yield Found("urls", entry.pattern.regex.pattern, entry.pattern.regex.flags)
        if isinstance(entry, URLResolver):
            yield from of_addresses(entry)
        else:
            assert isinstance(entry, URLPattern)


def of_models() -> Iterator[Found]:
    for model in apps.get_models():
        for field in model._meta.get_fields():
            for validator in getattr(field, "validators", ()):
                if (regex := getattr(validator, "regex", None)) is not None:
                    yield Found(f"{model._meta.label}.{field.name}", regex.pattern, regex.flags)


def of_json_schemas(schema: Any = None) -> Iterator[Found]:
    """What the bodies of WeChat Pay's calls are checked against."""
    if schema is None:
        schema = {route.operation: route.body for route in simulator.wechat.routes.ROUTES}
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            yield Found("JSON Schema", pattern, 0)
        for inner in schema.values():
            yield from of_json_schemas(inner) if isinstance(inner, dict) else ()


def all_patterns() -> list[Found]:
    found = [written for path in product_files() for written in written_in(path)]
    assert len(found) > 40, "the search finds the patterns"
    assert "tcmpay/common/redaction.py" in {each.where.partition(":")[0] for each in found}
    found += of_addresses()
    found += of_models()
    found += of_json_schemas()
    found += [Found("settings", pattern, 0) for pattern in settings.SECURE_REDIRECT_EXEMPT]
    # The most that is asked of each pattern.
    once = {
        (each.pattern, each.flags): each
        for each in sorted(found, key=lambda each: not each.is_anchored)
    }
    return sorted(once.values())


def worst_growth(pattern: str, flags: int, *, is_anchored: bool = False) -> tuple[str, str] | None:
    """The (beginning, repeated part) for which steps grow faster than the text, if there is one."""
    stepper = Stepper(pattern, flags & ~re.DEBUG)
    for beginning, unit in sorted(hostile_parts(stepper)):
        for end in ("", "\x00"):
            for is_whole in (True,) if is_anchored else (False, True):
                if grows(stepper, beginning, unit, end, is_whole=is_whole):
                    return beginning, unit
    return None


def grows(stepper: Stepper, beginning: str, unit: str, end: str, *, is_whole: bool) -> bool:
    short, long = (beginning + (unit * length)[:length] + end for length in LENGTHS)
    try:
        usual = stepper.steps(short, is_whole=is_whole, steps_max=STEPS_MAX)
        stepper.steps(long, is_whole=is_whole, steps_max=usual * GROWTH_MAX)
    except TooManySteps:
        return True
    return False


def name_of(found: Found) -> str:
    return f"{found.where} {found.pattern[:30]}".encode("ascii", "replace").decode()


PATTERNS = all_patterns()


@pytest.mark.parametrize("found", PATTERNS, ids=name_of)
def test_a_pattern_takes_steps_in_proportion_to_the_text(found):
    growth = worst_growth(found.pattern, found.flags, is_anchored=found.is_anchored)
    assert growth is None, found


# The first two were ours: 15,000 times `eyJ-` held a process for more than half a second.
SLOW = [
    r"\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*",
    r"(?i)(WECHATPAY2-[\w-]+\s+).*",
    r"[/?]+$",
    r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----(?P<body>.*?)-----END (?P=label)-----",
    r"(?:a+)+$",
    r"^(?:\w+\s?)*$",
    r"(?:a|a)*b",
    r"\s+$",
    r"x*x*y",
    r'\s*([a-z_]+)="([^"]*)"\s*',
    r"<!--.*?-->",
]


@pytest.mark.parametrize("pattern", SLOW)
def test_a_slow_pattern_is_found_out(pattern):
    flags = re.DOTALL if ".*?" in pattern else 0
    assert worst_growth(pattern, flags) is not None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", "BEARER  abcdefg, basic x"),
        (r"(?<![\w-])o[A-Za-z0-9_-]{7}(?![\w-])", "xoabcdefg oabcdefg"),
        (r"(a|ab)(c|bcd)(d*)", "abcd acd"),
        (r"([a-c])\1(?:x{2,3}?)y", "aaxxy bbxxxy acxxy"),
        (r"(?m)^a.*$", "ab\nac\nba"),
        (r"a++b|(?>a|ab)c", "aab abc ac"),
        (r"-?[0-9]{1,8}", "x-12345678-9"),
        (r"[^\s:/@]*:", "a:b /c: @:"),
    ],
)
def test_the_stepper_finds_what_python_finds(pattern, text):
    stepper = Stepper(pattern)
    ends: list[int] = []
    stepper._text = text.lower() if stepper.flags & re.IGNORECASE else text
    for start in range(len(text) + 1):
        stepper._groups = {}
        found: list[int] = []
        stepper._match(start, lambda end, found=found: found.append(end) or True)
        ends.append(found[0] if found else -1)
    compiled = re.compile(pattern)
    expected = [compiled.match(text, start) for start in range(len(text) + 1)]
    assert ends == [match.end() if match else -1 for match in expected]
