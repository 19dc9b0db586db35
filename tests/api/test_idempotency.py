"""``Idempotency-Key`` on the three POSTs that move money (CONTRACT section 3)."""

import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection

from payments.models import PaymentOrder, PaymentTransaction
from refunds.models import Refund
from tcmpay.common.actor import Role
from tcmpay.common.errors import DomainError
from tcmpay.limits.models import IdempotencyKey
from tcmpay.limits.services import guard_purge
from tests.api.kit import nothing_moves, someone
from tests.api.test_envelope import DatabaseThat

REPLAYED = "Idempotency-Replayed"
COUNTED: dict[str, Any] = {"orders": PaymentOrder, "pay": PaymentTransaction, "refunds": Refund}
PATHS = list(COUNTED)


def order_body(owner, amount="30.00") -> dict:
    return {"user_id": owner.name, "order_type": "other", "amount": amount}


@pytest.fixture
def body_for(story, rich_patient):
    """A body that succeeds, for each path; and another one for the same caller."""

    def body(path: str, *, other: bool = False) -> dict:
        amount = "2.00" if other else "1.00"
        if path == "orders":
            return order_body(rich_patient, amount)
        if path == "pay":
            order = story.order(rich_patient, amount)
            return {"order_id": order["id"], "payment_method": "balance"}
        order = story.paid_from_balance(rich_patient, "3.00")
        return {"order_id": order["id"], "refund_amount": amount, "refund_reason": "x"}

    return body


def died_holding_the_key() -> None:
    """As if the first holder had done its work and then died before answering."""
    IdempotencyKey.objects.update(completed_at=None, response_status=None, response_body=None)


# --- the same again ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_the_same_key_and_body_give_the_first_answer_again(api, rich_patient, body_for, path):
    body = body_for(path)
    first = api.post(path, body, by=rich_patient, key="k-1")
    assert first.status in (200, 201)
    assert REPLAYED not in first.headers
    with nothing_moves():
        for _ in range(3):
            again = api.post(path, body, by=rich_patient, key="k-1")
            assert (again.status, again.body) == (first.status, first.body)
            assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_it_is_another_request(api, rich_patient, body_for, path):
    body = body_for(path)
    first = api.post(path, body, by=rich_patient)
    again = api.post(path, body, by=rich_patient)
    assert REPLAYED not in again.headers
    assert first.body != again.body


def test_the_order_of_the_fields_is_no_difference(api, patient):
    body = order_body(patient)
    first = api.post("orders", body, by=patient, key="k")
    again = api.post("orders", dict(reversed(body.items())), by=patient, key="k")
    assert (again.body, again.headers[REPLAYED]) == (first.body, "true")


@pytest.mark.parametrize("path", PATHS)
def test_another_body_under_the_same_key_is_422(api, rich_patient, body_for, path):
    body, other = body_for(path), body_for(path, other=True)
    api.post(path, body, by=rich_patient, key="k")
    with nothing_moves():
        answer = api.post(path, other, by=rich_patient, key="k")
    answer.refused(422, "IDEMPOTENCY_KEY_REUSED")


def test_another_address_under_the_same_key_is_422(api, story, rich_patient):
    order = api.post("orders", order_body(rich_patient), by=rich_patient, key="k").created()
    body = {"order_id": order["id"], "payment_method": "balance"}
    with nothing_moves():
        answer = api.post("pay", body, by=rich_patient, key="k")
    answer.refused(422, "IDEMPOTENCY_KEY_REUSED")


def test_keys_belong_to_their_caller(api, patient, other_patient, admin):
    body = order_body(patient)
    mine = api.post("orders", body, by=patient, key="k").created()
    theirs = api.post("orders", order_body(other_patient), by=other_patient, key="k").created()
    admins = api.post("orders", body, by=admin, key="k").created()
    assert len({mine["id"], theirs["id"], admins["id"]}) == 3


def test_another_key_is_another_request_and_case_counts(api, patient):
    body = order_body(patient)
    made = {
        api.post("orders", body, by=patient, key=key).created()["id"]
        for key in ("key", "Key", "KEY", "key ", "key1")
    }
    # The server strips what surrounds a header's value.
    assert len(made) in (4, 5)


# --- refusals ---------------------------------------------------------------------------------


def short_of_money(story, person):
    order = story.order(person)
    body = {"order_id": order["id"], "payment_method": "balance"}
    return "pay", body, lambda: story.fund(person, "30.00")


def refund_of_what_is_not_paid_yet(story, person):
    order = story.order(person)
    body = {"order_id": order["id"], "refund_amount": "1.00", "refund_reason": "x"}

    def mended():
        story.fund(person, "30.00")
        story.pay(order, person)

    return "refunds", body, mended


def refund_of_what_another_request_holds(story, person):
    story.fund(person, "30.00")
    order = story.paid_from_balance(person)
    other = story.refund(order, person, "30.00")
    body = {"order_id": order["id"], "refund_amount": "1.00", "refund_reason": "x"}
    mended = partial(story.api.put, f"refunds/{other['id']}/withdraw", by=person)
    return "refunds", body, mended


def appointment_with_an_order(story, person):
    appointment = {"appointment_id": str(uuid.uuid4())}
    live = story.order(person, **appointment)
    body = order_body(person) | {"order_type": "consultation"} | appointment
    return "orders", body, lambda: story.cancel(live, person)


def price_that_is_not_the_servers(story, person):
    body = {
        "user_id": person.name, "order_type": "consultation", "service_type": "consultation",
        "amount": "21.00",
    }  # fmt: skip

    def mended():
        price = {"price": "21.00"}
        story.api.put("admin/prices/consultation", price, by=someone(Role.ADMIN)).accepted()

    return "orders", body, mended


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (short_of_money, 400, "INSUFFICIENT_BALANCE"),
        (refund_of_what_is_not_paid_yet, 400, "ORDER_NOT_REFUNDABLE"),
        (refund_of_what_another_request_holds, 400, "REFUND_EXCEEDS_PAID"),
        (appointment_with_an_order, 409, "APPOINTMENT_HAS_ORDER"),
        (price_that_is_not_the_servers, 400, "PRICE_MISMATCH"),
    ],
)
def test_what_may_turn_out_otherwise_is_looked_at_again(api, story, patient, refusal, status, code):
    path, body, mended = refusal(story, patient)
    for _ in range(2):
        answer = api.post(path, body, by=patient, key="k").refused(status, code)
        assert REPLAYED not in answer.headers
    mended()
    answer = api.post(path, body, by=patient, key="k")
    assert answer.status in (200, 201), answer.body
    with nothing_moves():
        again = api.post(path, body, by=patient, key="k")
    assert (again.body, again.headers[REPLAYED]) == (answer.body, "true")


def payment_of_a_paid_order(story, person, clock):
    story.fund(person, "60.00")
    return story.paid_from_balance(person), "balance", "ORDER_NOT_PAYABLE"


def payment_of_a_cancelled_order(story, person, clock):
    order = story.order(person)
    story.cancel(order, person)
    return order, "balance", "ORDER_NOT_PAYABLE"


def payment_past_its_time(story, person, clock):
    order = story.order(person)
    clock.advance(hours=3)
    return order, "balance", "ORDER_EXPIRED"


def payment_without_a_method(story, person, clock):
    return story.order(person), 7, "VALIDATION_ERROR"


@pytest.mark.parametrize(
    "refusal",
    [
        payment_of_a_paid_order,
        payment_of_a_cancelled_order,
        payment_past_its_time,
        payment_without_a_method,
    ],
)
def test_what_is_refused_for_ever_is_kept(api, story, patient, clock, refusal):
    order, method, code = refusal(story, patient, clock)
    body = {"order_id": order["id"], "payment_method": method}
    first = api.post("pay", body, by=patient, key="k").refused(400, code)
    again = api.post("pay", body, by=patient, key="k")
    assert (again.body, again.headers[REPLAYED]) == (first.body, "true")


def test_no_other_refusal_is_kept():
    def kinds(base):
        return {base, *(kind for child in base.__subclasses__() for kind in kinds(child))}

    assert {kind.code for kind in kinds(DomainError) if kind.is_lasting} == {
        "VALIDATION_ERROR",
        "ORDER_EXPIRED",
        "ORDER_NOT_PAYABLE",
    }


def test_a_refused_second_holder_leaves_the_effect_of_a_slow_first_to_be_found(
    api, story, clock, rich_patient
):
    """The first is slow, not dead: it commits after the second was refused and freed the key."""
    order = story.paid_from_balance(rich_patient, "30.00")
    body = {"order_id": order["id"], "refund_amount": "1.00", "refund_reason": "x"}
    first = api.post("refunds", body, by=rich_patient, key="k")
    effect = Refund.objects.get()
    Refund.objects.update(idempotency_key_id=None)  # not committed yet
    died_holding_the_key()
    clock.advance(seconds=60)
    held = story.refund(order, rich_patient, "29.00")
    api.post("refunds", body, by=rich_patient, key="k").refused(400, "REFUND_EXCEEDS_PAID")
    Refund.objects.filter(id=effect.id).update(idempotency_key_id=effect.idempotency_key_id)
    api.put(f"refunds/{held['id']}/withdraw", by=rich_patient).accepted()
    with nothing_moves():
        third = api.post("refunds", body, by=rich_patient, key="k")
    assert third.data["id"] == first.data["id"]


# --- which keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["x", "x" * 255, "!~ a\"'\\;,{}", str(uuid.UUID(int=1))])
def test_a_key_has_up_to_255_printable_ascii_characters(api, patient, key):
    first = api.post("orders", order_body(patient), by=patient, key=key).created()
    assert api.post("orders", order_body(patient), by=patient, key=key).data == first


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 60_000, "a\tb", "a\x7fb", "\xe9", "\u7f16"])
@pytest.mark.parametrize("path", PATHS)
def test_any_other_key_is_400(api, rich_patient, body_for, path, key):
    body = body_for(path)
    with nothing_moves():
        api.post(path, body, by=rich_patient, key=key).invalid("Idempotency-Key")


# --- while it runs, and after its holder died -------------------------------------------------


@pytest.fixture
def claimed(api, monkeypatch, rich_patient, body_for):
    """Claim key "k" for a request on ``path`` whose holder then died; gives the body."""

    def claim(path: str) -> dict:
        body = body_for(path)
        dies = FailsOnce(COUNTED[path]._meta.db_table, RuntimeError("the process died here"))
        with monkeypatch.context() as dead, connection.execute_wrapper(dies):
            # A dead process neither keeps an answer nor frees its key.
            dead.setattr("tcmpay.limits.idempotency._keep", lambda claim, response: None)
            api.post(path, body, by=rich_patient, key="k").refused(500, "INTERNAL_ERROR")
        return body

    return claim


class FailsOnce:
    """The first statement about ``table`` fails with ``error``; then all is well again."""

    def __init__(self, table: str, error: Exception) -> None:
        self.table, self.error = table, error
        self.has_failed = False

    def __call__(self, execute, sql, params, many, context):
        if not self.has_failed and self.table in sql:
            self.has_failed = True
            raise self.error
        return execute(sql, params, many, context)


@pytest.mark.parametrize("path", PATHS)
def test_while_the_first_is_running_the_second_is_409(api, clock, rich_patient, claimed, path):
    body = claimed(path)
    for seconds in (0, 30, 29):
        clock.advance(seconds=seconds)
        with nothing_moves():
            answer = api.post(path, body, by=rich_patient, key="k")
        answer.refused(409, "IDEMPOTENCY_IN_PROGRESS")


@pytest.mark.parametrize("path", PATHS)
def test_a_key_whose_holder_died_before_its_effect_is_free_after_60_seconds(
    api, clock, rich_patient, claimed, path
):
    body = claimed(path)
    count = COUNTED[path].objects.count()
    clock.advance(seconds=60)
    answer = api.post(path, body, by=rich_patient, key="k")
    assert answer.status in (200, 201)
    assert REPLAYED not in answer.headers
    assert COUNTED[path].objects.count() == count + 1
    assert api.post(path, body, by=rich_patient, key="k").body == answer.body


@pytest.mark.parametrize("path", PATHS)
def test_a_key_whose_holder_died_after_its_effect_finds_it_by_its_row(
    api, clock, rich_patient, body_for, path
):
    body = body_for(path)
    first = api.post(path, body, by=rich_patient, key="k")
    died_holding_the_key()
    clock.advance(seconds=60)
    with nothing_moves():
        found = api.post(path, body, by=rich_patient, key="k")
    assert (found.status, found.body) == (first.status, first.body)
    assert found.headers[REPLAYED] == "true"
    # And the answer is kept from now on.
    with nothing_moves():
        assert api.post(path, body, by=rich_patient, key="k").body == first.body


def test_a_dead_holders_key_is_still_another_requests_422(api, clock, rich_patient, claimed):
    claimed("orders")
    clock.advance(seconds=60)
    other = order_body(rich_patient, "9.00")
    api.post("orders", other, by=rich_patient, key="k").refused(422, "IDEMPOTENCY_KEY_REUSED")


# --- how long ---------------------------------------------------------------------------------


def test_an_answer_is_kept_for_24_hours(api, clock, patient):
    body = order_body(patient)
    first = api.post("orders", body, by=patient, key="k").created()
    clock.advance(hours=24, seconds=-1)
    guard_purge()
    assert api.post("orders", body, by=patient, key="k").data == first
    clock.advance(seconds=2)
    assert api.post("orders", body, by=patient, key="k").created()["id"] != first["id"]


def test_after_24_hours_another_body_may_use_the_key(api, clock, patient):
    api.post("orders", order_body(patient, "1.00"), by=patient, key="k").created()
    clock.advance(hours=24, seconds=1)
    api.post("orders", order_body(patient, "2.00"), by=patient, key="k").created()


def test_keys_past_their_time_are_purged_and_others_are_not(api, clock, patient):
    api.post("orders", order_body(patient), by=patient, key="old").created()
    clock.advance(hours=23)
    api.post("orders", order_body(patient), by=patient, key="new").created()
    clock.advance(hours=1, seconds=1)
    assert guard_purge() == 1
    assert IdempotencyKey.objects.get().claimed_at == clock.now - timedelta(hours=1, seconds=1)


# --- what frees it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("x"), 500, "INTERNAL_ERROR"),
        # Not one that a unit is repeated for.
        (OperationalError(1040, "too many connections"), 503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_a_5xx_frees_the_key(api, patient, error, status, code):
    body = order_body(patient)
    with connection.execute_wrapper(FailsOnce("payment_orders", error)):
        api.post("orders", body, by=patient, key="k").refused(status, code)
    answer = api.post("orders", body, by=patient, key="k")
    answer.created()
    assert REPLAYED not in answer.headers


def test_a_429_does_not_use_the_key_up(api, settings, patient, still_window):
    body = order_body(patient)
    settings.RATE_LIMIT_PER_MINUTE = 0
    api.post("orders", body, by=patient, key="k").refused(429, "RATE_LIMITED")
    settings.RATE_LIMIT_PER_MINUTE = 10
    assert REPLAYED not in api.post("orders", body, by=patient, key="k").headers


@pytest.mark.parametrize("content", [b"{", b"[]x", b'{"a": 1, "a": 1}'])
def test_an_unreadable_body_does_not_use_the_key_up(api, patient, content):
    api.post("orders", content=content, by=patient, key="k").invalid("body")
    api.post("orders", order_body(patient), by=patient, key="k").created()


def test_who_may_not_call_does_not_use_the_key_up(api, patient):
    body = order_body(patient)
    api.post("orders", body, by=None, key="k").refused(401, "UNAUTHENTICATED")
    api.post("orders", body, by=patient, key="k").created()


def test_a_key_is_looked_at_before_the_database_is_asked_for_the_money(api, patient):
    """A key store that is away refuses: better no answer than the same payment twice."""
    error = OperationalError(2006, "gone")
    with nothing_moves(), connection.execute_wrapper(DatabaseThat(error)):
        answer = api.post("orders", order_body(patient), by=patient, key="k")
    answer.refused(503, "SERVICE_UNAVAILABLE")


def test_a_key_on_a_gateway_start_continues_the_attempt_after_a_death(api, story, clock, patient):
    order = story.order(patient)
    body = {"order_id": order["id"], "payment_method": "wechat"}
    first = api.post("pay", body, by=patient, key="k")
    died_holding_the_key()
    clock.advance(seconds=60)
    assert api.post("pay", body, by=patient, key="k").body == first.body
    assert PaymentTransaction.objects.filter(order_id=order["id"]).count() == 1


def test_one_person_in_two_roles_shares_the_keys_of_the_id(api, patient):
    body = order_body(patient)
    first = api.post("orders", body, by=patient, key="k").created()
    as_admin = someone(Role.ADMIN, patient.id)
    assert api.post("orders", body, by=as_admin, key="k").data == first
