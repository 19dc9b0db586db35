"""The API's description is made once, however often strangers ask for it."""

import json

import pytest
from django.test import Client

from backoffice.site.api_docs import ApiSchema

pytestmark = pytest.mark.django_db
SCHEMA = "/api/schema/"


@pytest.fixture
def made(monkeypatch) -> list:
    """How often it is made, from nothing."""
    calls: list = []
    made_before = ApiSchema.generator_class.get_schema

    def counted(self, *args, **kwargs):
        calls.append(self)
        return made_before(self, *args, **kwargs)

    monkeypatch.setattr(ApiSchema, "_made", {})
    monkeypatch.setattr(ApiSchema.generator_class, "get_schema", counted)
    return calls


def test_it_is_made_once_per_language_and_form(made):
    client = Client()
    for number in range(3):
        for language in ("zh-hans", "en"):
            for form in ("json", "yaml"):
                path = f"{SCHEMA}?format={form}&lang={language}&version={number}"
                assert client.get(path).status_code == 200
    assert len(made) == 4


def test_a_language_that_is_none_of_ours_makes_nothing_more(made):
    client = Client()
    answers = {client.get(f"{SCHEMA}?format=json&lang=x{number}").content for number in range(4)}
    assert len(made) == len(answers) == 1


def test_each_language_says_its_own(made):
    client = Client()
    told = [
        json.loads(client.get(f"{SCHEMA}?format=json&lang={language}").content)["info"]
        for language in ("zh-hans", "en")
    ]
    assert told[0]["description"] != told[1]["description"]


@pytest.mark.parametrize("path", [SCHEMA, "/api/docs/"])
def test_readers_are_counted(made, settings, still_window, path):
    settings.RATE_LIMIT_PER_MINUTE = 2
    statuses = [Client().get(path).status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize("path", [SCHEMA, "/api/docs/"])
def test_it_can_only_be_read(path):
    for method in ("OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "X"):
        answer = Client().generic(method, path)
        assert answer.status_code == 405, method
        assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", [SCHEMA, "/api/docs/"])
def test_a_form_that_there_is_not_is_refused_as_json(path):
    for query, accept, status in [
        ("format=evil", "*/*", 404),
        ("format=json%00", "*/*", 404),
        ("", "image/png", 406),
    ]:
        answer = Client().get(f"{path}?{query}", headers={"Accept": accept})
        assert answer.status_code == status
        assert answer.json()["success"] is False
        assert answer.headers["Content-Type"].startswith("application/json")


def test_a_reader_too_many_is_told_in_json(settings, still_window):
    settings.RATE_LIMIT_PER_MINUTE = 1
    answers = [Client().get(f"{SCHEMA}?format=yaml") for _ in range(2)]
    assert answers[0].headers["Content-Type"].startswith("application/vnd.oai.openapi")
    assert answers[1].status_code == 429
    assert answers[1].json()["code"] == "RATE_LIMITED"
