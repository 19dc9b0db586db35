"""A call that will go says so in its answers and in the description, from one table."""

from datetime import UTC, datetime

import pytest

from tcmpay.common.api import deprecations
from tcmpay.common.api.deprecations import Deprecation
from tests.api.description import made_anew, operations

CALL = "GET /api/v1/payment/balance/{user_id}/transactions"
SAMPLE = Deprecation(
    since=datetime(2027, 1, 1, tzinfo=UTC),
    sunset=datetime(2027, 7, 1, tzinfo=UTC),
    explained="https://pay.tcm.test/api/docs/",
    successor="/api/v2/payment/entries",
)


@pytest.fixture
def _going(monkeypatch) -> None:
    monkeypatch.setattr(deprecations, "DEPRECATED", {CALL: SAMPLE})


@pytest.mark.usefixtures("_going")
def test_its_answers_say_since_when_until_when_and_what_instead(api, rich_patient):
    answer = api.get(f"balance/{rich_patient.name}/transactions", by=rich_patient)
    assert answer.accepted(), "it works as before"
    assert answer.headers["Deprecation"] == "@1798761600"
    assert answer.headers["Sunset"] == "Thu, 01 Jul 2027 00:00:00 GMT"
    links = answer.headers["Link"]
    assert links.startswith("</api/v1/payment/balance/"), "the list's own links stay"
    assert '<https://pay.tcm.test/api/docs/>; rel="deprecation"; type="text/html"' in links
    assert links.endswith('</api/v2/payment/entries>; rel="successor-version"')


@pytest.mark.usefixtures("_going")
def test_refusals_say_it_too_and_other_calls_do_not(api, patient, other_patient):
    refused = api.get(f"balance/{patient.name}/transactions", by=other_patient)
    assert refused.refused(403, "FORBIDDEN").headers["Deprecation"]
    for path in (f"balance/{patient.name}", "orders", "prices"):
        assert "Deprecation" not in api.get(path, by=patient).headers


@pytest.mark.usefixtures("_going")
def test_the_description_marks_it_and_no_other():
    found = {
        f"{method} {path}": operation
        for method, path, operation in operations(made_anew())
        if operation.get("deprecated")
    }
    assert list(found) == [CALL]


def test_clients_get_half_a_year():
    with pytest.raises(ValueError, match="180 days"):
        Deprecation(
            since=SAMPLE.since, sunset=datetime(2027, 6, 29, tzinfo=UTC), explained="/api/docs/"
        )


def test_each_entry_of_the_table_is_a_call_of_the_product():
    described = {f"{method} {path}" for method, path, _operation in operations(made_anew())}
    assert set(deprecations.DEPRECATED) <= described
