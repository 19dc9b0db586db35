"""A COMMIT whose answer was lost: 503, looked for by its row, never done twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError

from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.services import orders
from payments.services.balance_payment import debit_and_apply
from payments.services.callbacks import callback_handle
from refunds.models import Refund
from refunds.services.requests import _request as request_refund
from tcmpay.common.db import CommitUnknown
from tests.api.kit import nothing_moves
from tests.api.story import mock_callback

REPLAYED = "Idempotency-Replayed"
# The unit of each, where its caller looks it up, and what it inserts.
UNITS = {
    "orders": ("payments.services.orders._insert", orders._insert, PaymentOrder),
    "pay": ("payments.services.attempts.debit_and_apply", debit_and_apply, PaymentTransaction),
    "refunds": ("refunds.services.requests._request", request_refund, Refund),
}
GONE = OperationalError(2013, "Lost connection to server during query")


@pytest.fixture
def body_for(story, rich_patient):
    def body(path: str) -> dict:
        if path == "orders":
            return {"user_id": rich_patient.name, "order_type": "other", "amount": "1.00"}
        if path == "pay":
            return {"order_id": story.order(rich_patient)["id"], "payment_method": "balance"}
        order = story.paid_from_balance(rich_patient, "3.00")
        return {"order_id": order["id"], "refund_amount": "1.00", "refund_reason": "x"}

    return body


@pytest.fixture
def unanswered(monkeypatch):
    """The unit's COMMIT is not answered; ``is_done``: the server carried it out all the same."""

    @contextmanager
    def lose(name: str, unit, *, is_done: bool) -> Iterator[None]:
        def in_doubt(*args, **kwargs):
            if is_done:
                unit(*args, **kwargs)
            raise CommitUnknown(*GONE.args) from GONE

        with monkeypatch.context() as patched:
            patched.setattr(name, in_doubt)
            yield

    return lose


@pytest.mark.parametrize("path", UNITS)
def test_with_a_key_what_is_found_by_its_row_is_answered(
    api, rich_patient, body_for, unanswered, path
):
    name, unit, model = UNITS[path]
    body = body_for(path)
    count = model.objects.count()
    with unanswered(name, unit, is_done=True):
        first = api.post(path, body, by=rich_patient, key="k")
    assert first.status in (200, 201)
    with nothing_moves():
        again = api.post(path, body, by=rich_patient, key="k")
    assert (again.status, again.body, again.headers[REPLAYED]) == (first.status, first.body, "true")
    assert model.objects.count() == count + 1


@pytest.mark.parametrize("path", UNITS)
def test_what_is_not_found_is_503_and_may_be_tried_again_at_once(
    api, rich_patient, body_for, unanswered, path
):
    name, unit, model = UNITS[path]
    body = body_for(path)
    count = model.objects.count()
    with nothing_moves(), unanswered(name, unit, is_done=False):
        answer = api.post(path, body, by=rich_patient, key="k")
    answer.refused(503, "SERVICE_UNAVAILABLE")
    assert answer.headers["Retry-After"]
    assert api.post(path, body, by=rich_patient, key="k").status in (200, 201)
    assert model.objects.count() == count + 1


@pytest.mark.parametrize("path", UNITS)
def test_a_commit_that_shows_only_after_the_503_is_found_by_the_next_try(
    api, rich_patient, body_for, unanswered, monkeypatch, path
):
    """The server may finish a COMMIT after we asked: "not found" proves nothing."""
    name, unit, model = UNITS[path]
    body = body_for(path)
    count = model.objects.count()
    with unanswered(name, unit, is_done=True), monkeypatch.context() as blind:
        blind.setattr("tcmpay.limits.idempotency._may_have_happened", lambda claim, response: False)
        api.post(path, body, by=rich_patient, key="k").refused(503, "SERVICE_UNAVAILABLE")
    with nothing_moves():
        found = api.post(path, body, by=rich_patient, key="k")
    assert found.status in (200, 201)
    assert found.headers[REPLAYED] == "true"
    assert model.objects.count() == count + 1


@pytest.mark.parametrize("path", UNITS)
def test_without_a_key_it_is_503_and_nothing_is_done_again(
    api, rich_patient, body_for, unanswered, path
):
    name, unit, model = UNITS[path]
    body = body_for(path)
    count = model.objects.count()
    with unanswered(name, unit, is_done=True):
        api.post(path, body, by=rich_patient).refused(503, "SERVICE_UNAVAILABLE")
    assert model.objects.count() == count + 1


@pytest.mark.parametrize("is_done", [True, False])
def test_a_callback_is_not_acknowledged_and_applied_once_when_it_comes_again(
    api, story, patient, unanswered, is_done
):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    body = mock_callback(order)
    name = "payments.callbacks.callback_handle"
    with unanswered(name, callback_handle, is_done=is_done):
        refused = api.callback("/payment/callback/alipay", body)
    assert (refused.status_code, refused.content) == (500, b"failure")
    assert api.callback("/payment/callback/alipay", body).content == b"success"
    assert story.status(order, patient) == "paid"
    verdicts = list(PaymentCallback.objects.order_by("received_at", "id").values_list("verdict"))
    assert verdicts == [("applied",), ("repeat",)] if is_done else [("applied",)]


def test_an_answer_that_could_not_be_kept_is_still_given(api, rich_patient, body_for, monkeypatch):
    """The effect is committed: a database that goes away now must not turn it into a 503."""

    def is_gone(*args, **kwargs):
        raise OperationalError(2006, "gone")

    body = body_for("orders")
    with monkeypatch.context() as patched:
        patched.setattr("tcmpay.limits.idempotency.key_complete", is_gone)
        made = api.post("orders", body, by=rich_patient, key="k").created()
    assert str(PaymentOrder.objects.get().id) == made["id"]
    api.post("orders", body, by=rich_patient, key="k").refused(409, "IDEMPOTENCY_IN_PROGRESS")
