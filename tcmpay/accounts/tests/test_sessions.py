"""What the table of sessions holds lets nobody in, and sessions work as before."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client

from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.sessions import SessionStore, kept_key
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
PASSWORD = "tests-only-Passw0rd"
HOME = "/admin/"


def signed_in(username: str) -> Client:
    StaffUser.objects.create_user(username, password=PASSWORD, is_staff=True)
    client = Client()
    client.post("/admin/login/", {"username": username, "password": PASSWORD, "code": ""})
    assert client.get(HOME).status_code == 200
    return client


def with_cookie(value: str) -> Client:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = value
    return client


def cookie_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture(autouse=True)
def _no_second_factor(settings) -> None:
    settings.STAFF_TOTP_REQUIRED = False


def test_a_dump_of_the_table_lets_nobody_in():
    client = signed_in("reviewer")
    (row,) = Session.objects.all()
    assert cookie_of(client) not in (row.session_key, row.session_data)
    for value in (row.session_key, row.session_data):
        assert with_cookie(value).get(HOME).status_code == 302
    assert with_cookie(cookie_of(client)).get(HOME).status_code == 200, "its cookie does"


def test_the_content_of_another_row_opens_nothing():
    """Whoever can also write to the table copies an administrator's session over their own."""
    clerk, chief = signed_in("clerk"), signed_in("chief")
    rows = {row.session_key: row for row in Session.objects.all()}
    clerks = rows[kept_key(cookie_of(clerk))]
    chiefs = rows[kept_key(cookie_of(chief))]
    Session.objects.filter(pk=clerks.pk).update(session_data=chiefs.session_data)
    assert clerk.get(HOME).status_code == 302
    assert chief.get(HOME).status_code == 200


def test_a_session_of_before_the_update_is_over():
    former = Session(
        session_key="a" * 32, session_data="x", expire_date=clock.now() + timedelta(hours=1)
    )
    former.save()
    assert with_cookie(former.session_key).get(HOME).status_code == 302
    signed_in("reviewer")
    migration = import_module("tcmpay.accounts.migrations.0009_sessions_by_hash")
    # A real editor of the schema can't be had inside a test's transaction.
    migration.end_former_sessions(apps, SimpleNamespace(connection=connection))
    assert [len(key) for key in Session.objects.values_list("session_key", flat=True)] == [40]


def test_signing_out_deletes_the_row():
    client = signed_in("reviewer")
    cookie = cookie_of(client)
    client.post("/admin/logout/")
    assert not Session.objects.filter(pk=kept_key(cookie)).exists()
    assert with_cookie(cookie).get(HOME).status_code == 302


def test_a_new_key_ends_the_former_one_and_keeps_the_content():
    store = SessionStore()
    store["who"] = "somebody"
    store.save()
    former = store.session_key
    store.cycle_key()
    assert store.session_key != former
    assert not SessionStore().exists(former)
    assert SessionStore(former).load() == {}
    assert SessionStore(store.session_key)["who"] == "somebody"
    assert Session.objects.count() == 1


def test_clearsessions_deletes_those_that_are_over():
    signed_in("reviewer")
    signed_in("finance")
    first = Session.objects.first()
    Session.objects.filter(pk=first.pk).update(expire_date=clock.now() - timedelta(seconds=1))
    call_command("clearsessions")
    assert Session.objects.count() == 1
    assert not Session.objects.filter(pk=first.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_asked_asynchronously_it_keeps_the_same():
    store = SessionStore()

    async def fill() -> None:
        await store.aset("who", "somebody")
        await store.asave()

    async_to_sync(fill)()
    (row,) = Session.objects.all()
    assert row.session_key != store.session_key
    assert SessionStore(store.session_key)["who"] == "somebody"


def test_sessions_lie_in_the_database_alone():
    """In a cache they would lie under the cookie's value again."""
    assert settings.SESSION_ENGINE == "tcmpay.accounts.sessions"
