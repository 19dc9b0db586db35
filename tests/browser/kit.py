"""The pages in a real browser: what a test writes with, and what is watched while it does.

    @pytest.mark.browser                       # `pytest -m browser` runs these, and only these
    def test_a_reviewer_approves(desk, staff):
        page = desk.open(as_=staff("reviewer"))        # signed in, at the admin's first page
        page.goto(desk.url("admin:refunds_refund_changelist"))
        follow(page.get_by_role("link", name="审核"))
        desk.look(page, "refund-review")               # at 1440 and 390, light and dark

Nothing has to be asserted about the surroundings: a request to another host, an error on the
console, a violation of the content security policy, an exception in a script or an answer of 5xx
fails the test at its end, whatever the page looked like.

A click does not wait for the document that it leads to. So nobody clicks but ``follow``, which
does, and ``press``, after which a test waits for what it expects.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
)

from tcmpay.accounts.models import StaffUser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox: continuous integration runs as root in containers. The rest keeps the browser itself
# from calling home, so that what leaves the machine is the page's doing.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # How the browser itself writes days in its fields.
    "--lang=zh-CN",
)
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
WAIT_MILLISECONDS = 30_000
REDRAWN_WITHIN_MILLISECONDS = 5_000
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PICTURES = Path(settings.BASE_DIR) / "test-artifacts" / "pages"
IS_LONG = os.environ.get("PAGES_OF") == "all"
# Violations are events of the document; this writes each where the watch reads it.
TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', event => console.error(
    'CSP ' + event.effectiveDirective + ' ' + event.blockedURI + ' ' + event.sourceFile
    + ':' + event.lineNumber));
"""
# Violations of axe-core's rules that keep somebody out. A change of colours that is still under way
# is taken as done.
BARRIERS = """async rules => {
    document.getAnimations().forEach(one => { try { one.finish(); } catch { one.cancel(); } });
    const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};
    const {violations} = await axe.run(document, {...only, resultTypes: ['violations']});
    return violations.filter(one => ['serious', 'critical'].includes(one.impact)).flatMap(one =>
        one.nodes.map(node => `${one.id}: ${node.target.join(' ')} `
            + [...node.any, ...node.all, ...node.none].map(check => check.message).join(', ')));
}"""
CONTRAST = ["color-contrast"]
DARK_OR_NOT = "isDark => document.documentElement.classList.toggle('dark', isDark)"


def find_browser() -> str:
    """The browser's program. Raises RuntimeError when none is installed."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise RuntimeError("no Chromium is installed; `make test` installs or names it")


def launch(playwright: Playwright) -> Browser:
    # The test writes rows while the browser's event loop runs in the same thread, which Django
    # takes for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    return playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))


def follow(locator: Locator, *, key: str = "") -> None:
    """Click what leads to another document, or press ``key`` on it, and wait for that document."""
    with locator.page.expect_navigation():
        if key:
            locator.press(key)
        else:
            locator.click()


def press(locator: Locator, *, times: int = 1) -> None:
    """Click what changes this document, now or later."""
    locator.click(click_count=times)


class Watch:
    """What must not happen on any page, noted as it happens."""

    def __init__(self, origin: str) -> None:
        self._host = urlsplit(origin).netloc
        self._allowed: list[str] = []
        self.problems: list[str] = []

    def follow(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note(f"exception in a script: {error}"))

    @contextmanager
    def allowing(self, *parts: str) -> Iterator[None]:
        """Problems whose text has one of ``parts`` in it are what this step is about."""
        self._allowed.extend(parts)
        try:
            yield
        finally:
            for part in parts:
                self._allowed.remove(part)

    def expect(self, page: Page, part: str) -> None:
        """Wait for a problem with ``part`` in its text, and look no further: more may follow of it.

        Raises AssertionError when none comes.
        """
        for _look in range(WAIT_MILLISECONDS // 50):
            if any(part in problem for problem in self.problems):
                self._allowed.append("")
                self.problems.clear()
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"no {part!r} among {self.problems}")

    def _note(self, problem: str) -> None:
        if not any(part in problem for part in self._allowed):
            self.problems.append(problem)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob", "about"} and parts.netloc != self._host:
            self._note(f"request to another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self._note(f"answer {response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"console: {message.text} ({message.location.get('url', '')})")


def too_wide_px(page: Page) -> int:
    """How much wider than the window the page is once it was redrawn; 0: it fits."""
    for _look in range(REDRAWN_WITHIN_MILLISECONDS // 100):
        if (overflow := int(page.evaluate(TOO_WIDE))) <= 0:
            return 0
        page.wait_for_timeout(100)
    return overflow


def barriers(page: Page) -> list[str]:
    """What keeps people with little sight, or without a mouse, from this page as it is now.

    In the other scheme, light or dark, only the contrasts can differ.
    """
    page.evaluate(f"() => {{ window.axe || (() => {{ {AXE_SCRIPT} }})() }}")
    found: list[str] = page.evaluate(BARRIERS, [])
    was_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for is_dark in (not was_dark, was_dark):
        page.emulate_media(color_scheme=SCHEMES[is_dark])
        # Unfold looks at the reader's scheme when a page loads, and not again.
        page.evaluate(DARK_OR_NOT, is_dark)
        if is_dark != was_dark:
            found += [f"{SCHEMES[is_dark]} {one}" for one in page.evaluate(BARRIERS, CONTRAST)]
    return found


class Desk:
    """A browser in front of the product. Each ``open`` is a person with cookies of their own."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.origin = origin
        self.watch = Watch(origin)
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def url(self, name: str, *arguments: Any, query: str = "") -> str:
        """The whole address of the page called ``name``, e.g. ``admin:index``."""
        return f"{self.origin}{reverse(name, args=arguments)}{query}"

    def open(
        self,
        *,
        as_: StaffUser | None = None,
        width: str = "desktop",
        scheme: str = "light",
        locale: str = "zh-CN",
        **more: Any,
    ) -> Page:
        """A new window; with ``as_`` that person is signed in and sees the admin's first page.

        ``more`` goes to the browser: another program's name, headers, no scripts.
        """
        across, down = WIDTHS[width]
        context = self._browser.new_context(
            viewport={"width": across, "height": down},
            color_scheme=scheme,
            locale=locale,
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(WAIT_MILLISECONDS)
        context.add_init_script(TELL_VIOLATIONS)
        self._contexts.append(context)
        page = context.new_page()
        self.watch.follow(page)
        if as_ is not None:
            self._sign_in(context, as_)
            page.goto(self.url("admin:index"))
        return page

    def _sign_in(self, context: BrowserContext, person: StaffUser) -> None:
        """As the sign-in page does it, without the page: that one has tests of its own."""
        client = Client()
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies(
            [{"name": name, "value": client.cookies[name].value, "url": self.origin}]
        )

    def look(self, page: Page, name: str) -> None:
        """The page as it is, at each width, light and dark: nothing may be cut.

        ``PAGES_OF=all`` keeps pictures of it, which takes longer than all the rest.
        """
        before = page.viewport_size
        for width, (across, down) in WIDTHS.items():
            page.set_viewport_size({"width": across, "height": down})
            page.wait_for_timeout(150)  # Alpine redraws what depends on the width
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                # Unfold looks at the reader's scheme when a page loads, and not again.
                page.evaluate(DARK_OR_NOT, scheme == "dark")
                if IS_LONG:
                    path = PICTURES / f"{name}-{width}-{scheme}.png"
                    page.screenshot(path=path, full_page=True)
            overflow = too_wide_px(page)
            assert not overflow, f"{name} is {overflow} px too wide at {across} px"
        page.emulate_media(color_scheme=SCHEMES[0])
        page.evaluate(DARK_OR_NOT, False)
        if before is not None:
            page.set_viewport_size(before)

    def close(self) -> list[str]:
        """Close every window; what was wrong on any page."""
        for context in self._contexts:
            context.close()
        return self.watch.problems
