"""Every page of staff as each role reads it, word for word, beside what was looked at before.

``expected/ROLE/PAGE.txt`` holds the pages, and under each what comes of pressing its buttons, once
with its fields as they stand and once with their empty texts filled. A change of a page is a change
of its file, to be read like code. After looking at it: ``PAGES=write pytest tests/pages``.
"""

import os
import re
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import Context
from datetime import UTC, datetime
from difflib import unified_diff
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import urldefrag, urljoin, urlsplit
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.transaction import atomic, set_rollback
from django.test import Client, override_settings
from django.urls import Resolver404, resolve

from backoffice.demo.data import seed
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.ids import first_id_at
from tests.audit.lively import lively_books
from tests.pages.reading import Page, steady
from webhooks.models import WebhookDelivery, WebhookEvent
from webhooks.services.delivery import try_of
from webhooks.services.dispatch import sequences_give
from webhooks.services.endpoints import endpoint_add, endpoint_give_up
from webhooks.services.sending import Answer
from webhooks.states import DeliveryStatus, DisabledBecause

EXPECTED = Path(__file__).parent / "expected"
IS_WRITTEN = os.environ.get("PAGES") == "write"
# By user names of the demo; admin is a superuser.
READERS = ("admin", "reviewer", "prices", "config")
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=clock.SHANGHAI).astimezone(UTC)
# A page shows its states by more than one row.
VISITS_MAX = 5
LINK = re.compile(r'href="(/admin/[^"]*)"')
NOT_PAGES = re.compile(r"logout|jsi18n|language|download|metrics")
# A whole audit in one page; it reads through an alias of its own.
NOT_ASKED = re.compile(r"verify/\?")
SAME_ROWS = re.compile(r"[?&](o|_changelist_filters)=")
FILLED = "核对 1"
PINGED = Answer(http_status=200, text="ok", took_ms=12)


@pytest.fixture(scope="module")
def steady_world() -> Iterator[None]:
    """The same moment, also by the database's clock, and the same ids, in the order in which they
    are made, so that what is listed is listed in the same order."""
    numbers, draw = count(), Random(7)

    def new_id() -> UUID:
        return UUID(int=first_id_at(clock.now()).int + next(numbers))

    with ExitStack() as stack:
        stack.enter_context(clock.frozen(NOW))
        stack.enter_context(patch("django.utils.timezone.now", clock.now))
        stack.enter_context(patch("tcmpay.common.ids.uuid6.uuid7", new_id))
        stack.enter_context(patch("uuid.uuid4", lambda: UUID(int=draw.getrandbits(128), version=4)))
        stack.enter_context(patch("tcmpay.common.ids.secrets", draw))
        said = patch("webhooks.services.pinging.message_send", lambda _message: PINGED)
        stack.enter_context(said)
        demo = {"MOCK_CALLBACKS": True, "ORDER_PRICE_POLICY": "open", "TOPUPS": True}
        stack.enter_context(override_settings(**demo))
        yield


def database_clock() -> None:
    """What the database itself takes for now: columns' defaults."""
    if connection.vendor != "sqlite":
        pytest.skip("the clock of a database server is its own")
    sound = sqlite3.connect(":memory:", check_same_thread=False)

    def answer(name: str, arguments: tuple[Any, ...]) -> Any:
        now = clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")
        told = [now if argument == "NOW" else argument for argument in arguments]
        places = ", ".join("?" * len(told))
        return sound.execute(f"SELECT {name}({places})", told).fetchone()[0]

    connection.ensure_connection()
    for name in ("strftime", "date"):
        connection.connection.create_function(
            name, -1, lambda *arguments, name=name: answer(name, arguments)
        )


@pytest.fixture(scope="module")
def _clinic(lasting, steady_world) -> None:
    database_clock()
    # In a context of its own: no request's id or language that a test before left behind.
    Context().run(_business)


def _business() -> None:
    lively_books()  # closes a day: what the demo has before it comes late
    list(seed())
    StaffUser.objects.update(date_joined=NOW)
    _endpoints()


def _endpoints() -> None:
    """One address with its newest events, some of them given up, and one that is gone."""
    sequences_give()
    with patch("webhooks.services.endpoints.ensure_endpoint_url"):
        made = [
            endpoint_add(actor=SYSTEM, url=f"https://platform.example.com/{name}").endpoint
            for name in ("hooks", "old")
        ]
    endpoint_give_up(made[1], DisabledBecause.GONE)
    events = WebhookEvent.objects.order_by("-sequence")[:4]
    statuses = (DeliveryStatus.PENDING, DeliveryStatus.FAILED, *[DeliveryStatus.DELIVERED] * 2)
    for event, status in zip(events, statuses, strict=True):
        is_pending = status == DeliveryStatus.PENDING
        delivery = WebhookDelivery.objects.create(
            endpoint=made[0],
            event=event,
            sequence=event.sequence,
            object_id=event.object_id,
            status=status,
            tries=10 if status == DeliveryStatus.FAILED else 1,
            due_at=NOW if is_pending else None,
            ended_at=None if is_pending else NOW,
            created_at=NOW,
        )
        is_taken = status == DeliveryStatus.DELIVERED
        said = PINGED if is_taken else Answer(http_status=503, text="busy", took_ms=40)
        try_of(made[0].id, said, NOW, delivery_id=delivery.id).save(force_insert=True)


@pytest.mark.usefixtures("_clinic", "db")
@pytest.mark.parametrize("reader", READERS)
def test_pages_read_as_they_were_looked_at(reader, settings):
    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    cache.clear()
    person = StaffUser.objects.get(username=reader)
    compare(EXPECTED / reader, Context().run(lambda: dict(pages_of(person))))


def pages_of(person: StaffUser) -> Iterator[tuple[str, list[str]]]:
    """File name and lines of each page, as the links of those before it show them."""
    browser = Client(raise_request_exception=False)
    browser.force_login(person)
    ahead, known, visits = deque(["/admin/"]), {"/admin/"}, Counter[str]()
    pressed: set[str] = set()
    while ahead:
        address = ahead.popleft()
        name = page_name(address)
        if name is None or visits[name] >= VISITS_MAX or NOT_ASKED.search(address):
            continue
        answer = browser.get(address)
        if answer.status_code != 200 or "text/html" not in answer.headers["Content-Type"]:
            continue
        visits[name] += 1
        html = answer.content.decode()
        for link in LINK.findall(html):
            link = urldefrag(link.replace("&amp;", "&")).url
            if link not in known and not SAME_ROWS.search(link):
                known.add(link)
                ahead.append(link)
        page = Page(html, is_whole=name == "index")
        yield f"{name}-{visits[name]}.txt", [*page.lines, *deeds(browser, address, page, pressed)]


def page_name(address: str) -> str | None:
    try:
        name = resolve(urlsplit(address).path).view_name
    except Resolver404:
        return None
    name = name.removeprefix("admin:")
    return None if NOT_PAGES.search(name) else name


def deeds(browser: Client, address: str, page: Page, pressed: set[str]) -> Iterator[str]:
    """What pressing each button leads to, and the lines that it adds; nothing of it stays."""
    for form in page.forms:
        target = urljoin(address, form.action)
        if page_name(target) is None:
            continue
        for button in form.buttons or [("", "")]:
            for fields in (form.fields, form.fields | dict.fromkeys(form.empty, FILLED)):
                sent = fields | ({button[0]: button[1]} if button[0] else {})
                if (key := f"{target} {sorted(sent.items())}") in pressed:
                    continue
                pressed.add(key)
                yield from press(browser, target, sent, page, " ".join(filter(None, button)))


def press(
    browser: Client, target: str, sent: dict[str, str], page: Page, button: str
) -> Iterator[str]:
    unit: Any = atomic()
    unit._from_testcase = True  # units of money may begin inside of it
    with unit:
        answer = browser.post(target, sent, follow=True)
        set_rollback(True)
    way = " → ".join(str(status) for _to, status in answer.redirect_chain)
    ended_at = answer.redirect_chain[-1][0] if answer.redirect_chain else target
    yield steady(f"== [{button}] {way} {answer.status_code} {ended_at}")
    if "text/html" in answer.headers.get("Content-Type", ""):
        before = set(page.lines)
        new = [
            line
            for line in Page(answer.content.decode(), is_whole=False).lines
            if line not in before
        ]
        # Where it ends on another page, that page is told elsewhere: only what is said first.
        yield from (f"   {line}" for line in (new[:12] if answer.redirect_chain else new))


def compare(folder: Path, found: dict[str, list[str]]) -> None:
    if IS_WRITTEN:
        folder.mkdir(parents=True, exist_ok=True)
        for gone in {path.name for path in folder.glob("*.txt")} - set(found):
            (folder / gone).unlink()
        for name, lines in found.items():
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = {path.name: path.read_text("utf-8").splitlines() for path in folder.glob("*.txt")}
    assert sorted(found) == sorted(kept)
    changed = [
        line
        for name in sorted(kept)
        for line in unified_diff(kept[name], found[name], name, name, lineterm="", n=1)
    ]
    assert not changed, "\n".join(changed[:200])
