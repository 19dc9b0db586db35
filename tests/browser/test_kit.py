"""The kit itself: what its watch must not overlook, and that nobody clicks past it."""

import re
from pathlib import Path

import pytest

DEEDS = {
    "request to another host": "fetch('https://elsewhere.test/').catch(() => null)",
    "CSP connect-src": "fetch('https://elsewhere.test/').catch(() => null)",
    "CSP script-src-elem inline": "document.body.append(Object.assign("
    "document.createElement('script'), {text: 'window.ran = true'}))",
    "CSP img-src": "document.body.append(Object.assign("
    "document.createElement('img'), {src: 'https://elsewhere.test/a.png'}))",
    "exception in a script": "setTimeout(() => { throw new Error('x') })",
    "console: told": "console.error('told')",
}


@pytest.mark.parametrize("problem", DEEDS)
def test_it_notices(desk, problem):
    page = desk.open()
    page.goto(desk.url("admin:login"))
    assert desk.watch.problems == []
    if problem == "request to another host":
        page = desk.open()  # a page without our policy: the browser would let it out
        page.goto("about:blank")
    page.evaluate(DEEDS[problem])
    desk.watch.expect(page, problem)


def test_no_inline_script_runs(desk):
    page = desk.open()
    page.goto(desk.url("admin:login"))
    page.evaluate(DEEDS["CSP script-src-elem inline"])
    desk.watch.expect(page, "CSP script-src-elem inline")
    assert page.evaluate("window.ran") is None


def test_nobody_clicks_without_saying_what_is_waited_for():
    """See ``follow`` and ``press``."""
    clicks = {
        path.name: found
        for path in Path(__file__).parent.glob("*.py")
        if path.name != "kit.py"
        and (found := re.findall(r"\.(?:click|dblclick|tap)\(", path.read_text("utf-8")))
    }
    assert clicks == {}
