"""What production installs holds nothing that only tests need."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def pinned(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==", text, re.MULTILINE))


def test_production_installs_no_test_tools():
    production = pinned("requirements.txt") | pinned("requirements/base.txt")
    assert {"django", "gunicorn", "mysqlclient"} <= production
    tools = {"pytest", "pytest-django", "hypothesis", "ruff", "mypy", "playwright", "coverage"}
    assert not production & tools
    assert {"pytest", "pytest-django"} <= pinned("requirements/dev.txt")
