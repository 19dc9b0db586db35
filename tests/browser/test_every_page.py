"""Every page that a role can reach by following links, at both widths: nothing cut, no English.

An administrator's pages are looked at in each test run. ``PAGES_OF=all`` walks as every role and
keeps pictures of each page under test-artifacts/pages.
"""

import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from urllib.parse import urldefrag, urlsplit

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Page

from backoffice.demo.data import seed
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.roles import ROLES
from tests.browser.kit import IS_LONG, PICTURES, WIDTHS, barriers, too_wide_px

WALKERS = sorted(ROLES) if IS_LONG else ["administrator"]
# A page with other filters is the same page; a few show what its states look like.
VISITS_OF_A_PAGE_MAX = 3 if IS_LONG else 1
SAME_ROWS = re.compile(r"[?&](o|_changelist_filters)=")
# What these answer isn't a page, or ends the walk.
NOT_PAGES = {"admin:logout", "admin:jsi18n", "admin:switch_language", "admin:set_language"}
# Names and numbers are the same in every language.
UNTRANSLATED = re.compile(
    r"https?://\S+|\S+@\S+|[\w-]+(?:\.[\w-]+)+|[\w.-]*[\d_/][\w./:-]*"
    r"|\b(?:API|CSV|XLSX|TOTP|PEM|PKCS|RSA|MD5|SHA|SQL|UUID|JSON|UTC|QR|IP|URL|ID|PDF|HTTP|HTTPS"
    r"|WeChat|Alipay|Authenticator|Google|Microsoft|tcmpay|APIv3|AppID|AppSecret|JSAPI"
    r"|alipayRootCert|DEMO\w*|FreeOTP|App|APPID|PID|crt|Ctrl|Mac|Command|esc|https|massage|ping)\b"
)
ENGLISH = re.compile(r"[A-Za-z]{3,}(?:[ ][A-Za-z]+)*")
# Codes, keys, what people typed and what is kept for readers of the other language.
PLAIN_TEXT = """() => {
    const page = document.body.cloneNode(true);
    page.querySelectorAll('script, style, template, noscript, code, pre, svg, textarea,'
        + ' input, [hidden], [lang=en], .tcm-code, .tcm-key,'
        + ' .material-symbols-outlined').forEach(one => one.remove());
    return page.innerText;
}"""
CUT_TABLES = """() => [...document.querySelectorAll('main *, #page *')]
    .filter(one => ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)
        && one.scrollWidth > one.clientWidth + 1 && one.querySelector('table'))
    .map(one => one.scrollWidth - one.clientWidth + ' px')"""


@pytest.mark.parametrize("role", WALKERS)
def test_every_page_that_a_role_can_reach(desk, staff, role):
    list(seed())
    _number_the_staff()
    page = desk.open(as_=staff(role, username="1001", last_name="陈同事"))
    problems: list[str] = []
    names = []
    for name, number in walk(page, desk.origin):
        names.append(name)
        problems += [
            f"{name} {page.url}: {wrong}" for wrong in wrongs(page, picture(role, name, number))
        ]
    assert "admin:index" in names
    if role == "administrator":
        assert len(set(names)) > 40, sorted(set(names))
    sys.stdout.write(f"{role}: {len(names)} pages of {len(set(names))} kinds, at both widths\n")
    assert not problems, "\n".join(problems)


def _number_the_staff() -> None:
    """The demo's user names are roles, which would hide a role that isn't named in Chinese."""
    for number, person in enumerate(StaffUser.objects.order_by("id")):
        person.username = str(2000 + number)
        person.save(update_fields=["username"])


def walk(page: Page, origin: str) -> Iterator[tuple[str, int]]:
    """Open one page after the other, each as the links of those before it show it."""
    ahead, known, visits = deque([f"{origin}/admin/"]), {f"{origin}/admin/"}, Counter[str]()
    while ahead:
        address = ahead.popleft()
        name = page_name(address, origin)
        if name is None or visits[name] >= VISITS_OF_A_PAGE_MAX:
            continue
        answer = page.goto(address)
        if answer is None or "text/html" not in answer.headers.get("content-type", ""):
            continue
        assert answer.status == 200, (address, answer.status)
        assert page.evaluate("document.documentElement.lang") == "zh-hans", address
        visits[name] += 1
        for link in page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)"):
            link = urldefrag(link).url
            if link not in known and not SAME_ROWS.search(link):
                known.add(link)
                ahead.append(link)
        yield name, visits[name]


def page_name(address: str, origin: str) -> str | None:
    """The url name of an admin page; None for anything else."""
    if not address.startswith(f"{origin}/admin/"):
        return None
    try:
        name = resolve(urlsplit(address).path).view_name
    except Resolver404:
        return None
    is_page = name not in NOT_PAGES and not name.endswith("_download")
    return name if is_page else None


def picture(role: str, name: str, number: int) -> str | None:
    if not IS_LONG:
        return None
    return f"every/{role}-{name.removeprefix('admin:')}-{number}"


def wrongs(page: Page, picture: str | None) -> Iterator[str]:
    for width, (across, down) in WIDTHS.items():
        page.set_viewport_size({"width": across, "height": down})
        page.wait_for_timeout(50)  # Alpine redraws what depends on the width
        if overflow := too_wide_px(page):
            yield f"{overflow} px too wide at {across} px"
        if width == "desktop":
            yield from (f"columns out of sight: {table}" for table in page.evaluate(CUT_TABLES))
            yield from barriers(page)
        if picture is not None:
            path = PICTURES / f"{picture}-{width}.png"
            page.screenshot(path=path, full_page=True)
    text = UNTRANSLATED.sub(" ", page.evaluate(PLAIN_TEXT))
    if found := ENGLISH.findall(text):
        yield f"not in Chinese: {sorted(set(found))}"
