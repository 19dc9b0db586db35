"""The documents name what there is and nothing else, alike in Chinese and in English."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import find_commands, get_commands, load_command_class

from tcmpay.environment import ADDRESSES_WITH_PASSWORDS

ROOT = Path(settings.BASE_DIR)
CHINESE = sorted(
    [page for page in ROOT.glob("*.md") if not page.name.endswith(".en.md")]
    + list(ROOT.glob("docs/*.md"))
)
OPERATIONS = ROOT / "docs/operations.md"
README_LINES_MAX = 250
SECRETS = {
    *("SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "JWT_SECRET", "JWT_PUBLIC_KEY"),
    *("METRICS_TOKEN", "AUDIT_CHAIN_KEYS", "SENTRY_DSN"),
    *("NOTIFY_SMTP_URL", "NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET", "NOTIFY_WECOM_URL"),
    *("NOTIFY_DINGTALK_URL", "NOTIFY_DINGTALK_SECRET"),
    *("NOTIFY_FEISHU_URL", "NOTIFY_FEISHU_SECRET"),
}
# Read by our code, but not settings: Django's own, and make's.
NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE", "PORT"}

both_languages = pytest.mark.parametrize("folder", ["docs", "docs/en"])
each_pair = pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def english_of(page: Path) -> Path:
    if page.parent == ROOT:
        return page.with_suffix(".en.md")
    return page.parent / "en" / page.name


def prose(page: Path) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def section(page: Path, title: str) -> str:
    """The text from the heading ``title`` to the next one of its level."""
    text = text_of(page)
    level = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert level, title
    rest = text[level.end() :]
    following = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


# --- two languages, one content ---------------------------------------------------------------


def test_every_document_is_in_both_languages():
    english = {*ROOT.glob("*.en.md"), *ROOT.glob("docs/en/*.md")}
    assert {english_of(page) for page in CHINESE} == english
    assert len(CHINESE) > 10, "the search finds the documents"


@each_pair
def test_each_language_leads_to_the_other_at_its_top(page):
    english = english_of(page)
    there, back = ("en/" + page.name, "../" + page.name) if page.parent != ROOT else ("", "")
    assert text_of(page).split("\n")[2] == f"[English]({there or english.name})"
    assert text_of(english).split("\n")[2] == f"[中文]({back or page.name})"


def headings(page: Path) -> list[str]:
    return re.findall(r"^(#+) .", prose(page), re.MULTILINE)


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"^```.*?^```$", text_of(page), re.DOTALL | re.MULTILINE)


def code_words(page: Path) -> set[str]:
    return {" ".join(word.split()) for word in re.findall(r"`([^`]+)`", prose(page))}


def rows(page: Path) -> list[tuple[int, list[str]]]:
    """Of each row of a table: how many cells it has, and the code in its first one."""
    return [
        (len(re.findall(r"(?<!\\)\|", line)), re.findall(r"`([^`]+)`", line.split(" | ")[0]))
        for line in re.findall(r"^\|.*$", prose(page), re.MULTILINE)
    ]


def links(page: Path) -> Counter[str]:
    """Where the page leads, a document by its Chinese path, so that both can be compared."""
    chinese = {english_of(one): one for one in CHINESE}
    found: Counter[str] = Counter()
    for target in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", prose(page)):
        if target.startswith(("http:", "https:")):
            found[target] += 1
            continue
        path = target.partition("#")[0]
        linked = (page.parent / path).resolve() if path else page
        found[str(chinese.get(linked, linked))] += 1
    return found


@each_pair
@pytest.mark.parametrize("part", [headings, code_blocks, code_words, rows, links])
def test_both_languages_say_the_same(page, part):
    assert part(page) == part(english_of(page))


# --- what they name -----------------------------------------------------------------------------


def variables_read() -> set[str]:
    found: set[str] = set()
    for name in ("settings.py", "environment.py", "watching.py", "telemetry.py"):
        source = (ROOT / "tcmpay" / name).read_text(encoding="utf-8")
        found.update(re.findall(r"\benv\.\w+\(\s*\"([A-Z_]+)\"", source))
        found.update(re.findall(r"\bsecrets\.(?:require|optional)\(\s*\"([A-Z_]+)\"", source))
        found.update(re.findall(r"\benviron(?:\.get\(|\[)\s*\"([A-Z_]+)\"", source))
    return found - NOT_SETTINGS


def our_commands() -> set[str]:
    return {
        name
        for config in apps.get_app_configs()
        if Path(config.path).is_relative_to(ROOT) and ".venv" not in Path(config.path).parts
        for name in find_commands(str(Path(config.path) / "management"))
    }


@both_languages
def test_every_variable_is_in_the_table_and_every_row_is_a_variable(folder):
    documented = first_cells(text_of(ROOT / folder / "configuration.md"))
    assert len(documented) == len(set(documented))
    read = variables_read()
    assert len(read) > 20, "the search finds the variables"
    assert set(documented) == read


@both_languages
def test_every_secret_is_named_with_its_file_form(folder):
    names = ("settings.py", "watching.py", "telemetry.py")
    files = (ROOT / "tcmpay" / name for name in names)
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    read = set(re.findall(r"\bsecrets\.(?:require|optional)\(\s*\"([A-Z_]+)\"", source))
    assert read == SECRETS
    named = set(re.findall(r"`([A-Z_]+)_FILE`", text_of(ROOT / folder / "configuration.md")))
    assert named - {"TCMPAY_ENV", "AUDIT_ROOT", "BACKUP_STAMP"} == SECRETS | set(
        ADDRESSES_WITH_PASSWORDS
    )


@both_languages
def test_every_command_is_listed_and_every_listed_option_exists(folder):
    cells = first_cells(section(ROOT / folder / "commands.md", "manage.py"))
    documented = [cell.split()[0] for cell in cells]
    assert len(documented) == len(set(documented))
    assert set(documented) == our_commands()
    for name, cell in zip(documented, cells, strict=True):
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", cell)) <= known, name


@both_languages
def test_every_target_of_make_is_listed(folder):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    cells = first_cells(section(ROOT / folder / "commands.md", "make"))
    assert targets == {cell.removeprefix("make ") for cell in cells if cell.startswith("make ")}


@both_languages
def test_every_error_code_is_in_the_api_document(folder):
    documented = first_cells(text_of(ROOT / folder / "api.md"))
    named = [cell for cell in documented if re.fullmatch(r"[A-Z_]+", cell)]
    codes: set[str] = set()
    for path in ROOT.glob("*/**/*.py"):
        parts = path.relative_to(ROOT).parts
        if ".venv" in parts or "tests" in parts:
            continue
        if path.name == "errors.py" and parts[0] != "gateways":
            source = path.read_text(encoding="utf-8")
            codes.update(re.findall(r"code(?:: \S+)? = \"([A-Z_]+)\"", source))
    codes.discard("DOMAIN_ERROR")  # the base class's, never sent
    assert len(codes) > 25, "the search finds the codes"
    assert codes == set(named)


def test_every_scheduled_task_is_in_the_table_of_tasks():
    """In one language, as in what follows: the other has the same words of code."""
    named = code_words(ROOT / "docs/architecture.md")
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= named


def test_every_logged_trouble_is_in_the_table_of_events():
    cells = re.findall(r"^\| (`.*?`) \| (?:info|warn|err)", text_of(OPERATIONS), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(cells)))
    logged = re.findall(
        r"\blog\w*\.(?:warning|error|exception)\(\s*\"(\w+)\"", words_of_the_product()
    )
    assert len(named) > 25, "the search finds the events"
    assert set(logged) <= named
    assert [event for event in named if event not in words_of_the_product()] == []


@pytest.mark.django_db
def test_every_figure_is_in_the_table_of_metrics(client):
    served = client.get("/metrics").content.decode()
    ours = re.findall(r"^# TYPE ((?:tcmpay|http|money)_\w+) ", served, re.MULTILINE)
    named = re.findall(r"((?:tcmpay|http|money)_\w+)", section(OPERATIONS, "指标"))
    of_redis_alone = {"tcmpay_broker_up", "tcmpay_broker_messages"}
    assert {name for name in ours if not name.endswith("_created")} | of_redis_alone == set(named)


@each_pair
def test_files_of_code_that_are_named_exist(page):
    files = {word for word in code_words(page) if re.fullmatch(r"(\w+/)+\w+\.py", word)}
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


@cache
def words_of_the_product() -> str:
    sources = (path for kind in ("py", "html", "js") for path in ROOT.glob(f"*/**/*.{kind}"))
    return "\n".join(
        text_of(path)
        for path in sources
        if not {".venv", "tests", ".demo"} & set(path.relative_to(ROOT).parts)
    )


@each_pair
def test_words_of_pages_are_on_the_pages(page):
    quoted = [
        word.strip()
        for words in re.findall(r"「([^」]+)」", text_of(page))
        for word in words.split("→")
    ]
    assert [word for word in quoted if word not in words_of_the_product()] == []


# --- form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "README.en.md"])
def test_the_readme_is_a_page_that_a_person_reads(name):
    assert len(text_of(ROOT / name).splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize(
    "page",
    [*CHINESE, *map(english_of, CHINESE)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_between_the_documents_lead_somewhere(page):
    for target in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", prose(page)):
        if target.startswith(("http:", "https:")):
            continue
        path, _separator, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """The headings' anchors as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    }
