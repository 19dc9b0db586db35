"""The watch itself: what it must not overlook."""

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
    page.wait_for_timeout(200)
    assert any(problem in found for found in desk.watch.problems), desk.watch.problems
    desk.watch.problems.clear()


def test_no_inline_script_runs(desk):
    page = desk.open()
    page.goto(desk.url("admin:login"))
    page.evaluate(DEEDS["CSP script-src-elem inline"])
    assert page.evaluate("window.ran") is None
    page.wait_for_timeout(200)
    desk.watch.problems.clear()
