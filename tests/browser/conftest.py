"""A browser, the product served to it, and people to sign in as."""

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.core.cache import cache

# Named on the command line, this file is read before anything else has set Django up.
django.setup()
pytest.register_assert_rewrite("tests.browser.kit")

from django.apps import apps  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core import serializers  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from tcmpay.accounts.models import StaffUser  # noqa: E402
from tests.browser.kit import Desk, launch  # noqa: E402

PASSWORD = "tests-only-Passw0rd"
Staff = Callable[..., StaffUser]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            # Reports are read through an alias of their own.
            item.add_marker(
                pytest.mark.django_db(transaction=True, databases=["default", "snapshot"])
            )


@pytest.fixture(scope="session")
def migrated_rows(django_db_setup: None, django_db_blocker: Any) -> str:
    """What the migrations put in: prices, configuration keys, phrases, rules.

    pytest-django can't bring it back here: it keeps it at the connection, and from the moment a
    browser is driven, Django hands out another one, as inside of an event loop.
    """
    with django_db_blocker.unblock():
        rows = [
            row
            for model in apps.get_models()
            # Django makes these itself, also after a flush, under other ids.
            if model._meta.app_label not in {"contenttypes", "auth"}
            for row in model._default_manager.all()
        ]
        return serializers.serialize("json", rows)


@pytest.fixture(scope="session")
def browser(migrated_rows: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def desk(
    live_server: Any,
    migrated_rows: str,  # there for each test
    browser: Browser,
    settings: Any,
) -> Iterator[Desk]:
    """The browser in front of the product, with the demo's switches as at ``make demo``."""
    settings.MOCK_CALLBACKS = True
    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    cache.clear()
    for row in serializers.deserialize("json", migrated_rows):
        row.save()
    ready = Desk(browser, live_server.url)
    yield ready
    problems = ready.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def staff(desk: Desk) -> Staff:
    """Makes a person with a role; the password is ``PASSWORD``."""

    def make(role: str, username: str = "", **more: Any) -> StaffUser:
        person = StaffUser.objects.create_user(
            username=username or role, password=PASSWORD, is_staff=True, **more
        )
        person.groups.set([Group.objects.get(name=role)])
        return person

    return make
