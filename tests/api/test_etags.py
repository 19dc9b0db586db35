"""An order that is asked for again: 304 while its answer is what it was, by one row alone."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.kit import API, run_sql


def ask(api, order, by, etag=None, **headers):
    sent = headers | ({"If-None-Match": etag} if etag else {})
    return api.raw("GET", f"orders/{order['id']}", by=by, headers=sent)


def etag_of(api, order, by, **headers) -> str:
    answer = ask(api, order, by, **headers)
    assert answer.status_code == 200
    etag = answer["ETag"]
    assert etag[0] == etag[-1] == '"', "strong"
    return etag


def is_known(api, order, by, etag, **headers) -> bool:
    answer = ask(api, order, by, etag, **headers)
    assert answer.status_code in (200, 304)
    return answer.status_code == 304


@pytest.fixture
def order(story, rich_patient):
    return story.order(rich_patient)


def test_what_did_not_change_is_304_without_a_body(api, order, patient):
    etag = etag_of(api, order, patient)
    answer = ask(api, order, patient, etag)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer["ETag"] == etag
    assert answer["X-Request-ID"]
    assert answer["Cache-Control"] == "no-store"
    assert "Content-Type" not in answer.headers


def test_304_reads_the_orders_own_row_and_nothing_else(api, story, order, rich_patient, admin):
    story.pay(order, rich_patient)
    story.review(story.refund(order, rich_patient, "10.00"), admin)
    etag = etag_of(api, order, rich_patient)
    with CaptureQueriesContext(connection) as asked:
        assert is_known(api, order, rich_patient, etag)
    statements = [query["sql"] for query in asked if "rate_counters" not in query["sql"]]
    assert len(statements) == 1, statements
    (sql,) = statements
    assert sql.count("SELECT") == sql.count("FROM") == 1
    assert "payment_orders" in sql
    assert order["id"] in sql
    assert "JOIN" not in sql


def test_an_answer_without_a_condition_takes_no_more_statements(api, order, patient):
    with CaptureQueriesContext(connection) as asked:
        etag_of(api, order, patient)
    assert len([query for query in asked if "rate_counters" not in query["sql"]]) == 1


@pytest.mark.parametrize(
    "told", ['"x", {}', "W/{}", '{}, "y"', 'W/"z",  {}'], ids=["second", "weak", "first", "spaces"]
)
def test_tags_are_compared_as_http_has_it(api, order, patient, told):
    assert is_known(api, order, patient, told.format(etag_of(api, order, patient)))


@pytest.mark.parametrize("told", ["*", '"x"', "x", '""', "W/", ",", '"'])
def test_what_is_no_tag_of_this_answer_is_answered_in_full(api, order, patient, told):
    answer = ask(api, order, patient, told)
    assert answer.status_code == 200
    assert answer.json()["data"]["id"] == order["id"]


def test_every_step_of_an_order_and_its_refunds_is_another_answer(
    api, story, order, rich_patient, admin
):
    """Though the clock stands still."""
    first = story.refund
    seen: list[tuple[str, dict]] = []

    def look() -> None:
        answer = ask(api, order, rich_patient)
        told = (answer["ETag"], answer.json()["data"])
        for etag, data in seen:
            assert (etag == told[0]) == (data == told[1])
        assert told[0] not in dict(seen), "this step changed the answer"
        assert not seen or not is_known(api, order, rich_patient, seen[-1][0])
        seen.append(told)

    look()
    story.pay(order, rich_patient)
    look()
    refund = first(order, rich_patient, "10.00")  # less may be asked back
    look()
    story.review(refund, admin)
    look()
    second = story.refund(order, rich_patient, "10.00")
    look()
    story.review(second, admin)  # another part: the status stays
    look()
    third = story.refund(order, rich_patient, "10.00")
    look()
    story.review(third, admin)
    look()
    assert [data["status"] for _etag, data in seen][-1] == "refunded"


def test_a_refund_that_comes_to_nothing_is_another_answer_both_times(
    api, story, order, rich_patient, admin
):
    story.pay(order, rich_patient)
    before = etag_of(api, order, rich_patient)
    refund = story.refund(order, rich_patient, "10.00")
    held = etag_of(api, order, rich_patient)
    story.review(refund, admin, approved=False)
    assert held not in {before, etag_of(api, order, rich_patient)}


def test_a_row_changed_by_sql_is_another_answer(api, order, patient):
    etag = etag_of(api, order, patient)
    run_sql("UPDATE payment_orders SET description = 'x' WHERE id = %s", order["id"])
    assert not is_known(api, order, patient, etag)


def test_each_language_has_a_tag_of_its_own(api, order, patient):
    chinese = etag_of(api, order, patient)
    english = etag_of(api, order, patient, **{"Accept-Language": "en"})
    assert chinese != english
    assert not is_known(api, order, patient, chinese, **{"Accept-Language": "en"})


def test_a_tag_opens_nothing(api, order, patient, other_patient, admin, service):
    """Who may see the order is asked first, and those who may see the same."""
    etag = etag_of(api, order, patient)
    assert etag == etag_of(api, order, admin) == etag_of(api, order, service)
    assert is_known(api, order, service, etag)
    path = f"{API}/orders/{order['id']}"
    api.get(path, by=other_patient, headers={"If-None-Match": etag}).refused(403, "FORBIDDEN")
    api.get(path, headers={"If-None-Match": etag}).refused(401, "UNAUTHENTICATED")
    nobodys = f"{API}/orders/{uuid.uuid4()}"
    api.get(nobodys, by=patient, headers={"If-None-Match": etag}).refused(404, "NOT_FOUND")
