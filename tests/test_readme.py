"""README.md names every variable, command and target that there is, and none that there is not."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import find_commands, get_commands, load_command_class

from tcmpay.environment import ADDRESSES_WITH_PASSWORDS

ROOT = Path(settings.BASE_DIR)
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECRETS = {
    *("SECRET_KEY", "CONFIG_ENCRYPTION_KEYS", "JWT_SECRET", "JWT_PUBLIC_KEY"),
    *("METRICS_TOKEN", "AUDIT_CHAIN_KEYS"),
}
# Read by our code, but not settings: Django's own, and make's.
NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE", "PORT"}


def section(title: str) -> str:
    """The text from the heading ``title`` to the next one of its level."""
    level = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert level, title
    rest = README[level.end() :]
    following = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def variables_read() -> set[str]:
    found: set[str] = set()
    for name in ("settings.py", "environment.py"):
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


def test_every_variable_is_in_the_table_and_every_row_is_a_variable():
    documented = first_cells(section("Configuration"))
    assert len(documented) == len(set(documented))
    read = variables_read()
    assert len(read) > 20, "the search finds the variables"
    assert set(documented) == read


def test_every_secret_is_named_with_its_file_form():
    source = (ROOT / "tcmpay" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r"\bsecrets\.(?:require|optional)\(\s*\"([A-Z_]+)\"", source))
    assert read == SECRETS
    named = set(re.findall(r"`([A-Z_]+)_FILE`", section("Configuration")))
    assert named - {"TCMPAY_ENV", "AUDIT_ROOT"} == SECRETS | set(ADDRESSES_WITH_PASSWORDS)


def test_every_command_is_listed_and_every_listed_one_exists():
    documented = [cell.split()[0] for cell in first_cells(section("Commands"))]
    assert len(documented) == len(set(documented))
    assert set(documented) == our_commands()


def test_every_option_of_a_listed_command_exists():
    for cell in first_cells(section("Commands")):
        name = cell.split()[0]
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", cell)) <= known, name


def test_every_target_of_make_is_listed():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    documented = {cell.removeprefix("make ") for cell in first_cells(section("Two commands"))}
    assert targets == {name for name in documented if name.islower()}


def test_every_error_code_is_in_the_api_document():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    )
    codes: set[str] = set()
    for path in ROOT.glob("*/**/*.py"):
        parts = path.relative_to(ROOT).parts
        if ".venv" in parts or "tests" in parts:
            continue
        if path.name == "errors.py" and "gateways" not in parts:
            source = path.read_text(encoding="utf-8")
            codes.update(re.findall(r"code(?:: \S+)? = \"([A-Z_]+)\"", source))
    exceptions = (ROOT / "tcmpay/common/api/exceptions.py").read_text("utf-8")
    codes.update(re.findall(r"\d{3},\s+\"([A-Z_]+)\"", exceptions))
    codes.add("INTERNAL_ERROR")
    codes.discard("DOMAIN_ERROR")  # the base class's, never sent
    assert len(codes) > 25, "the search finds the codes"
    assert codes == documented


DOCUMENTS = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_the_documents_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        path, _separator, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """The headings' anchors as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
