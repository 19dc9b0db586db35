"""``GET /events``: the truth that a receiver can rebuild from."""

import pytest

from tcmpay.common.actor import Role
from tests.api.kit import Api, someone
from tests.clinic import paid_order
from webhooks.selectors import events_after
from webhooks.services.dispatch import sequences_give

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo")]


@pytest.fixture
def api() -> Api:
    return Api()


def read(api: Api, query: str = "") -> dict:
    answer = api.raw("GET", f"events{query}", by=someone(Role.SERVICE))
    assert answer.status_code == 200, answer.content
    assert answer.json()["message"] == "获取事件列表成功"
    return answer.json()["data"]


def test_a_reader_that_goes_on_sees_each_event_once(api):
    for _number in range(3):
        paid_order()
    sequences_give()
    seen, after = [], 0
    while (page := read(api, f"?after={after}&limit=4"))["events"]:
        seen += [event["sequence"] for event in page["events"]]
        after = page["next_after"]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert page["next_after"] == 6


def test_what_is_not_numbered_yet_is_not_there(api):
    paid_order()
    assert read(api) == {"events": [], "next_after": 0}
    sequences_give()
    assert len(read(api)["events"]) == 2


def test_a_reader_of_one_type_goes_on_past_the_others(api):
    paid_order()
    sequences_give()
    page = read(api, "?types=order.created")
    assert [event["type"] for event in page["events"]] == ["order.created"]
    assert page["next_after"] == 2
    assert read(api, "?types=order.created,order.paid&after=1")["events"][0]["sequence"] == 2


def test_a_reader_who_is_ahead_of_us_learns_it(api):
    """It read what a restored database has lost: with silence it would miss what comes next."""
    paid_order()
    sequences_give()
    assert read(api, "?after=2") == {"events": [], "next_after": 2}
    answer = api.raw("GET", "events?after=3", by=someone(Role.SERVICE))
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    (told,) = answer.json()["errors"]["after"]
    assert "序号是 2，" in told


@pytest.mark.parametrize(
    "query",
    [
        "?after=-1",
        "?after=x",
        "?after=99999999999999999999",
        "?limit=0",
        "?limit=501",
        "?types=order.nothing",
        "?types=",
        "?sequence=1",
        "?after=1&after=2",
    ],
)
def test_bad_input_is_refused(api, query):
    answer = api.raw("GET", f"events{query}", by=someone(Role.SERVICE))
    assert answer.status_code == 400
    assert answer.json()["code"] == "VALIDATION_ERROR"


def test_a_page_costs_two_statements(django_assert_num_queries):
    for _number in range(5):
        paid_order()
    sequences_give()
    with django_assert_num_queries(2):
        assert len(events_after(0, limit=100).events) == 10
