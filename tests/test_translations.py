"""Every text that a person may see is there in both languages."""

import ast
import gettext
import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.rooms import product_files

ROOT = Path(settings.BASE_DIR)
CATALOGUES = (
    ROOT / "locale/en/LC_MESSAGES/django.po",
    ROOT / "backoffice/locale/en/LC_MESSAGES/django.po",
)
MARKERS = {"_", "gettext", "gettext_lazy", "_lazy", "ngettext", "gettext_noop"}
IN_CONTEXT = {"pgettext", "pgettext_lazy"}
TEMPLATE_TEXT = re.compile(r"{%\s*(?:trans|translate)\s+\"([^\"]+)\"(?:\s+context\s+\"([^\"]+)\")?")
PO_ENTRY = re.compile(
    r'^(?:msgctxt (".*")\n)?msgid ((?:".*"\n?)+)^msgstr ((?:".*"\n?)+)', re.MULTILINE
)
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
# Between a text and what it is about, as gettext keeps the two.
CONTEXT_END = "\x04"
CHINESE = re.compile("[\u4e00-\u9fff]")


def marked_texts() -> set[str]:
    found: set[str] = set()
    for path in product_files(".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if name in IN_CONTEXT:
                found.add(CONTEXT_END.join(map(str, texts)))
            elif name in MARKERS and texts and isinstance(texts[0], str):
                found.add(texts[0])
    for path in product_files(".html"):
        for text, context in TEMPLATE_TEXT.findall(path.read_text(encoding="utf-8")):
            found.add(f"{context}{CONTEXT_END}{text}" if context else text)
    return {text for text in found if CHINESE.search(text)}


def read_po(path: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    for block in blocks:
        match = re.search(
            r'^(?:msgctxt (".*")\n)?msgid ((?:".*"\n?)+)^msgstr ((?:".*"\n?)+)', block, re.MULTILINE
        )
        if match:
            context, *parts = match.groups()
            key, text = (
                "".join(json.loads(line) for line in part.strip().split("\n")) for part in parts
            )
            entries[f"{json.loads(context)}{CONTEXT_END}{key}" if context else key] = text
    return entries


@pytest.fixture(scope="module")
def english() -> dict[str, str]:
    entries: dict[str, str] = {}
    for path in CATALOGUES:
        entries |= read_po(path)
    return entries


def test_every_text_has_an_english_one(english):
    texts = marked_texts()
    assert len(texts) > 500, "the search finds the texts"
    assert sorted(text for text in texts if not english.get(text)) == []


def test_placeholders_agree(english):
    wrong = [
        text
        for text, translated in english.items()
        if text and sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(translated))
    ]
    assert wrong == []


# Menus of the merchants' consoles are named as they are shown there.
CONSOLE_MENUS = re.compile(
    "账户中心|API 安全|商户 API 证书|商户信息|微信支付公钥|控制台|应用|接口加签方式"
)


def test_no_other_chinese_is_left_in_english(english):
    left = {text for key, text in english.items() if key}
    assert [text for text in left if CHINESE.search(CONSOLE_MENUS.sub("", text))] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=str)
def test_the_compiled_catalogue_is_up_to_date(path):
    with path.with_suffix(".mo").open("rb") as compiled:
        catalogue = gettext.GNUTranslations(compiled)
    stale = [key for key, text in read_po(path).items() if key and catalogue.gettext(key) != text]
    assert stale == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "message"),
    [
        (None, "未授权"),
        ("zh-CN", "未授权"),
        ("fr", "未授权"),
        ("en", "Unauthorized"),
        ("en-GB,en;q=0.9", "Unauthorized"),
    ],
)
def test_the_api_speaks_the_readers_language(client, language, message):
    headers = {"accept-language": language} if language else {}
    answer = client.get("/api/v1/payment/orders", headers=headers)
    assert answer.json()["message"] == message
    assert answer.json()["code"] == "UNAUTHENTICATED"
