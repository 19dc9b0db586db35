"""Asking for money back, reviewing it, and what becomes of the order (CONTRACT 3, 5, 7)."""

import re
import uuid
from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PaymentTransaction
from refunds.models import Refund
from tcmpay.common.actor import Role
from tests.api.kit import nothing_moves, someone
from tests.api.test_orders import order_in

REFUND_FIELDS = {
    *("id", "refund_no", "order_id", "transaction_id", "user_id", "refund_amount", "status"),
    *("refund_reason", "requested_by", "reviewed_by", "reviewed_at", "review_notes"),
    *("approvals_needed", "completed_at", "created_at", "updated_at"),
}


def refund_body(order, amount="30.00", reason="服务未提供") -> dict:
    return {"order_id": order["id"], "refund_amount": amount, "refund_reason": reason}


def review(api, refund, by, *, approved=True, **fields):
    body = {"approved": approved} | fields
    return api.put(f"admin/refunds/{refund['id']}/review", body, by=by)


@pytest.fixture
def paid(story, rich_patient) -> dict:
    """An order of 30.00 paid from a balance that was 100.00."""
    return story.paid_from_balance(rich_patient)


# --- asking -----------------------------------------------------------------------------------


def test_it_records_who_asks_for_what_and_why(api, paid, rich_patient):
    answer = api.post("refunds", refund_body(paid), by=rich_patient)
    refund = answer.created()
    assert answer.message == "退款申请创建成功"
    assert set(refund) >= REFUND_FIELDS
    expected = {
        "order_id": paid["id"],
        "user_id": rich_patient.name,
        "refund_amount": "30.00",
        "refund_reason": "服务未提供",
        "status": "pending",
        "requested_by": rich_patient.name,
        "reviewed_by": None,
        "reviewed_at": None,
        "review_notes": None,
        "approvals_needed": 1,
        "completed_at": None,
    }
    assert {name: refund[name] for name in expected} == expected
    assert re.fullmatch(r"RFD20261124100000[0-9A-Z]{1,11}", refund["refund_no"])
    payment = PaymentTransaction.objects.get(order_id=paid["id"])
    assert refund["transaction_id"] == str(payment.id)
    assert api.get(f"refunds/{refund['id']}", by=rich_patient).accepted() == refund


def test_asking_moves_no_money_and_no_state(story, paid, rich_patient):
    story.refund(paid, rich_patient)
    assert story.balance(rich_patient)["balance"] == "70.00"
    assert story.status(paid, rich_patient) == "paid"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", ...),
        ("order_id", "1"),
        ("refund_amount", ...),
        ("refund_amount", None),
        ("refund_reason", ...),
        ("refund_reason", ""),
        ("refund_reason", "   "),
        ("refund_reason", None),
        ("refund_reason", 7),
        ("refund_reason", "字" * 501),
        ("user_id", str(uuid.UUID(int=7))),
        ("status", "success"),
        ("requested_by", str(uuid.UUID(int=7))),
        ("transaction_id", str(uuid.UUID(int=7))),
        ("approvals_needed", 0),
    ],
)
def test_a_wrong_field_is_refused(api, paid, rich_patient, field, value):
    body = {name: x for name, x in (refund_body(paid) | {field: value}).items() if x is not ...}
    with nothing_moves():
        api.post("refunds", body, by=rich_patient).invalid(field)


@pytest.mark.parametrize("reason", ["x", "字" * 500])
def test_a_reason_has_1_to_500_characters(story, paid, rich_patient, reason):
    assert story.refund(paid, rich_patient, reason=reason)["refund_reason"] == reason


@pytest.mark.parametrize("state", ["pending", "cancelled", "expired", "refunded"])
def test_only_a_paid_order_can_be_refunded(api, story, clock, rich_patient, admin, state):
    order = order_in(state, story, clock, rich_patient, admin)
    for by in (rich_patient, admin):
        with nothing_moves():
            answer = api.post("refunds", refund_body(order, "0.01"), by=by)
        assert answer.refused(400, "ORDER_NOT_REFUNDABLE").message == "只能退款已支付的订单"


def test_more_than_was_paid_can_not_be_asked_for(api, paid, rich_patient):
    with nothing_moves():
        answer = api.post("refunds", refund_body(paid, "30.01"), by=rich_patient)
    assert answer.refused(400, "REFUND_EXCEEDS_PAID").message == "退款金额不能大于可退金额"


def test_what_is_pending_counts(api, story, paid, rich_patient, admin):
    story.refund(paid, rich_patient, "20.00")
    for by in (rich_patient, admin):
        with nothing_moves():
            answer = api.post("refunds", refund_body(paid, "10.01"), by=by)
        answer.refused(400, "REFUND_EXCEEDS_PAID")
    story.refund(paid, rich_patient, "10.00")
    api.post("refunds", refund_body(paid, "0.01"), by=rich_patient).refused(
        400, "REFUND_EXCEEDS_PAID"
    )


def test_what_is_done_counts(api, story, paid, rich_patient, admin):
    story.review(story.refund(paid, rich_patient, "29.99"), admin)
    api.post("refunds", refund_body(paid, "0.02"), by=rich_patient).refused(
        400, "REFUND_EXCEEDS_PAID"
    )
    story.review(story.refund(paid, rich_patient, "0.01"), admin)
    assert story.status(paid, rich_patient) == "refunded"


def test_what_an_administrator_asks_for_goes_to_the_payer(
    story, paid, rich_patient, admin, other_admin
):
    refund = story.refund(paid, admin)
    assert (refund["user_id"], refund["requested_by"]) == (rich_patient.name, admin.name)
    story.review(refund, other_admin)
    assert story.balance(rich_patient)["balance"] == "100.00"
    assert story.balance(admin)["balance"] == "0.00"


# --- withdrawing ------------------------------------------------------------------------------


def test_whoever_asked_may_withdraw_and_the_amount_is_free_again(api, story, paid, rich_patient):
    refund = story.refund(paid, rich_patient)
    answer = api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient)
    assert answer.accepted()["status"] == "cancelled"
    assert answer.message == "退款申请已撤回"
    assert story.refund_now(refund, rich_patient)["status"] == "cancelled"
    story.refund(paid, rich_patient)


def test_nobody_else_may_withdraw_not_even_the_payer(
    api, story, paid, rich_patient, admin, other_admin
):
    asked_by_admin = story.refund(paid, admin, "1.00")
    asked_by_patient = story.refund(paid, rich_patient, "1.00")
    for refund, by in [
        (asked_by_admin, rich_patient),
        (asked_by_admin, other_admin),
        (asked_by_patient, admin),
        (asked_by_patient, someone(Role.PATIENT)),
    ]:
        with nothing_moves():
            api.put(f"refunds/{refund['id']}/withdraw", by=by).refused(403, "FORBIDDEN")
    api.put(f"refunds/{asked_by_admin['id']}/withdraw", by=admin).accepted()


@pytest.mark.parametrize("how", ["approved", "rejected", "withdrawn"])
def test_only_a_pending_request_can_be_withdrawn(api, story, paid, rich_patient, admin, how):
    refund = story.refund(paid, rich_patient)
    if how == "withdrawn":
        api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient).accepted()
    else:
        story.review(refund, admin, approved=how == "approved")
    with nothing_moves():
        answer = api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient)
    answer.refused(400, "REFUND_NOT_WITHDRAWABLE")


# --- reviewing --------------------------------------------------------------------------------


def test_approving_a_balance_refund_gives_the_money_back_at_once(
    api, story, clock, paid, rich_patient, admin
):
    refund = story.refund(paid, rich_patient)
    clock.advance(hours=1)
    answer = review(api, refund, admin, review_notes="同意退款")
    assert (answer.accepted(), answer.message) == (None, "退款审核完成")
    done = story.refund_now(refund, rich_patient)
    expected = {
        "status": "success",
        "reviewed_by": admin.name,
        "reviewed_at": "2026-11-24T03:00:00.000000Z",
        "review_notes": "同意退款",
        "completed_at": "2026-11-24T03:00:00.000000Z",
        "approvals_needed": 0,
    }
    assert {name: done[name] for name in expected} == expected
    account = story.balance(rich_patient)
    figures = ("balance", "total_income", "total_expense")
    assert [account[name] for name in figures] == ["100.00", "130.00", "30.00"]
    newest = story.entries(rich_patient)[0]
    expected = {
        "transaction_type": "income",
        "amount": "30.00",
        "balance_before": "70.00",
        "balance_after": "100.00",
        "related_type": "refund",
        "related_id": refund["id"],
    }
    assert {name: newest[name] for name in expected} == expected
    money_back = PaymentTransaction.objects.get(order_id=paid["id"], transaction_type="refund")
    assert (money_back.status, str(money_back.amount)) == ("success", "30.00")


def test_rejecting_moves_nothing_and_frees_the_amount(api, story, paid, rich_patient, admin):
    refund = story.refund(paid, rich_patient)
    review(api, refund, admin, approved=False, review_notes="已提供服务").accepted()
    rejected = story.refund_now(refund, rich_patient)
    assert (rejected["status"], rejected["review_notes"]) == ("cancelled", "已提供服务")
    assert (rejected["reviewed_by"], rejected["completed_at"]) == (admin.name, None)
    assert story.balance(rich_patient)["balance"] == "70.00"
    assert story.status(paid, rich_patient) == "paid"
    story.refund(paid, rich_patient)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_a_second_review_is_refused(
    api, story, paid, rich_patient, admin, other_admin, first, second
):
    refund = story.refund(paid, rich_patient)
    review(api, refund, admin, approved=first).accepted()
    for by in (admin, other_admin):
        with nothing_moves():
            answer = review(api, refund, by, approved=second)
        assert answer.refused(400, "REFUND_ALREADY_REVIEWED").message == "退款申请已处理"


def test_what_was_withdrawn_can_not_be_reviewed(api, story, paid, rich_patient, admin):
    refund = story.refund(paid, rich_patient)
    api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient).accepted()
    with nothing_moves():
        review(api, refund, admin).refused(400, "REFUND_ALREADY_REVIEWED")


@pytest.mark.parametrize("approved", [True, False])
def test_nobody_reviews_what_they_asked_for(api, story, paid, admin, approved):
    refund = story.refund(paid, admin)
    with nothing_moves():
        review(api, refund, admin, approved=approved).refused(403, "SELF_REVIEW")


@pytest.mark.parametrize("approved", [True, False])
def test_nobody_reviews_money_to_themselves(api, story, admin, other_admin, approved):
    story.fund(admin, "30.00")
    refund = story.refund(story.paid_from_balance(admin), other_admin)
    with nothing_moves():
        review(api, refund, admin, approved=approved).refused(403, "SELF_REVIEW")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("approved", ...),
        ("approved", None),
        ("approved", "true"),
        ("approved", "yes"),
        ("approved", 1),
        ("approved", 0),
        ("approved", [True]),
        ("review_notes", "字" * 501),
        ("review_notes", 7),
        ("amount", "1.00"),
        ("refund_amount", "1.00"),
        ("status", "success"),
        ("reviewed_by", str(uuid.UUID(int=7))),
    ],
)
def test_a_decision_is_not_guessed(api, story, paid, rich_patient, admin, field, value):
    refund = story.refund(paid, rich_patient)
    body = {"approved": True, field: value}
    body = {name: x for name, x in body.items() if x is not ...}
    with nothing_moves():
        api.put(f"admin/refunds/{refund['id']}/review", body, by=admin).invalid(field)


@pytest.mark.parametrize("notes", [None, "", "字" * 500])
def test_notes_may_be_left_empty(api, story, paid, rich_patient, admin, notes):
    review(api, story.refund(paid, rich_patient), admin, review_notes=notes).accepted()


def test_a_review_of_nothing_is_404(api, admin):
    answer = review(api, {"id": str(uuid.uuid4())}, admin)
    assert answer.refused(404, "NOT_FOUND").message == "退款记录不存在"


def test_an_account_at_its_limit_takes_no_more_and_the_request_waits(api, story, patient, admin):
    story.fund(patient, "100.00")
    order = story.paid_from_balance(patient, "0.01")
    story.fund(patient, "99999900.00")
    refund = story.refund(order, patient, "0.01")
    with nothing_moves():
        review(api, refund, admin).refused(400, "BALANCE_LIMIT")
    assert story.refund_now(refund, patient)["status"] == "pending"
    story.paid_from_balance(patient, "10.00")
    review(api, refund, admin).accepted()


def test_a_review_takes_twenty_statements_at_the_most(story, paid, rich_patient, admin):
    refund = story.refund(paid, rich_patient)
    with CaptureQueriesContext(connection) as asked:
        story.review(refund, admin)
    statements = [query["sql"][:90] for query in asked if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 20, statements
    assert story.refund_now(refund, admin)["status"] == "success"


# --- how many ---------------------------------------------------------------------------------


def ask_for_a_fen(api, order, by):
    body = {"order_id": order["id"], "refund_amount": "0.01", "refund_reason": "测试"}
    return api.post("refunds", body, by=by)


@pytest.mark.parametrize("by", ["rich_patient", "admin"])
def test_ten_requests_of_a_payment_may_wait(request, api, story, paid, rich_patient, admin, by):
    waiting = [story.refund(paid, rich_patient, "0.01") for _ in range(10)]
    with nothing_moves():
        answer = ask_for_a_fen(api, paid, request.getfixturevalue(by))
    assert "等待审核" in answer.refused(400, "REFUND_LIMIT").message
    api.put(f"refunds/{waiting[0]['id']}/withdraw", by=rich_patient).accepted()
    ask_for_a_fen(api, paid, rich_patient).created()


def test_fifty_refunds_of_a_payment_are_enough(api, story, paid, rich_patient, admin):
    for _ in range(50):
        story.review(story.refund(paid, rich_patient, "0.01"), admin)
    with nothing_moves():
        answer = ask_for_a_fen(api, paid, rich_patient)
    assert "次数已达上限" in answer.refused(400, "REFUND_LIMIT").message


# --- a second approver ------------------------------------------------------------------------


@pytest.fixture
def _second_approval_over_20(settings) -> None:
    from decimal import Decimal

    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("20.00")


@pytest.mark.usefixtures("_second_approval_over_20")
class TestSecondApproval:
    @pytest.mark.parametrize("amount", ["20.00", "0.01"])
    def test_up_to_the_threshold_one_approval_is_enough(
        self, story, paid, rich_patient, admin, amount
    ):
        refund = story.refund(paid, rich_patient, amount)
        assert refund["approvals_needed"] == 1
        story.review(refund, admin)
        assert story.refund_now(refund, rich_patient)["status"] == "success"

    @pytest.mark.parametrize("amount", ["20.01", "30.00"])
    def test_above_it_the_first_approval_leaves_it_pending(
        self, api, story, paid, rich_patient, admin, amount
    ):
        refund = story.refund(paid, rich_patient, amount)
        assert refund["approvals_needed"] == 2
        answer = review(api, refund, admin)
        assert (answer.accepted(), answer.message) == (None, "退款审核完成")
        now = story.refund_now(refund, rich_patient)
        assert (now["status"], now["approvals_needed"]) == ("pending", 1)
        assert story.balance(rich_patient)["balance"] == "70.00"

    @pytest.mark.parametrize("is_first_done", [True, False])
    def test_requests_split_below_it_count_together(
        self, story, paid, rich_patient, admin, is_first_done
    ):
        first = story.refund(paid, rich_patient, "20.00")
        if is_first_done:
            story.review(first, admin)
        second = story.refund(paid, rich_patient, "0.01")
        assert (first["approvals_needed"], second["approvals_needed"]) == (1, 2)
        story.review(second, admin)
        assert story.refund_now(second, rich_patient)["status"] == "pending"

    def test_what_was_rejected_or_withdrawn_does_not_count(
        self, api, story, paid, rich_patient, admin
    ):
        story.review(story.refund(paid, rich_patient, "20.00"), admin, approved=False)
        withdrawn = story.refund(paid, rich_patient, "20.00")
        api.put(f"refunds/{withdrawn['id']}/withdraw", by=rich_patient).accepted()
        assert story.refund(paid, rich_patient, "20.00")["approvals_needed"] == 1

    def test_the_same_person_again_is_400(self, api, story, paid, rich_patient, admin):
        refund = story.refund(paid, rich_patient)
        review(api, refund, admin).accepted()
        with nothing_moves():
            review(api, refund, admin).refused(400, "REFUND_ALREADY_REVIEWED")

    def test_another_person_completes_it(self, story, paid, rich_patient, admin, other_admin):
        refund = story.refund(paid, rich_patient)
        story.review(refund, admin)
        story.review(refund, other_admin)
        done = story.refund_now(refund, rich_patient)
        assert (done["status"], done["approvals_needed"]) == ("success", 0)
        assert done["reviewed_by"] == other_admin.name
        assert story.balance(rich_patient)["balance"] == "100.00"

    def test_another_person_may_reject_it_still(
        self, story, paid, rich_patient, admin, other_admin
    ):
        refund = story.refund(paid, rich_patient)
        story.review(refund, admin)
        story.review(refund, other_admin, approved=False)
        assert story.refund_now(refund, rich_patient)["status"] == "cancelled"
        assert story.balance(rich_patient)["balance"] == "70.00"

    def test_whoever_asked_is_never_the_second_person(self, api, story, paid, admin, other_admin):
        refund = story.refund(paid, admin)
        review(api, refund, other_admin).accepted()
        with nothing_moves():
            review(api, refund, admin).refused(403, "SELF_REVIEW")

    def test_it_may_be_withdrawn_between_the_two(
        self, api, story, paid, rich_patient, admin, other_admin
    ):
        refund = story.refund(paid, rich_patient)
        story.review(refund, admin)
        api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient).accepted()
        review(api, refund, other_admin).refused(400, "REFUND_ALREADY_REVIEWED")


def test_without_a_threshold_any_amount_needs_one_approval(story, patient):
    story.fund(patient, "99999999.99")
    order = story.paid_from_balance(patient, "99999999.99")
    assert story.refund(order, patient, "99999999.99")["approvals_needed"] == 1


# --- the order's state ------------------------------------------------------------------------


def test_the_order_follows_its_refunds(story, paid, rich_patient, admin):
    expected = [("10.00", "partial_refunded"), ("15.00", "partial_refunded"), ("5.00", "refunded")]
    for amount, status in expected:
        refund = story.refund(paid, rich_patient, amount)
        before = story.status(paid, rich_patient)
        story.review(refund, admin, approved=False)
        assert story.status(paid, rich_patient) == before
        story.review(story.refund(paid, rich_patient, amount), admin)
        assert story.status(paid, rich_patient) == status
    assert story.balance(rich_patient)["balance"] == "100.00"


def test_one_refund_of_all_skips_the_partial_state(story, paid, rich_patient, admin):
    story.review(story.refund(paid, rich_patient), admin)
    assert story.status(paid, rich_patient) == "refunded"


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_a_gateways_money_goes_back_through_the_gateway(story, clock, rich_patient, admin, method):
    order = story.paid_at_gateway(rich_patient, method)
    refund = story.refund(order, rich_patient)
    story.review(refund, admin)
    assert story.refund_now(refund, rich_patient)["status"] == "processing"
    assert story.status(order, rich_patient) == "paid"
    story.worker_runs()
    done = story.refund_now(refund, rich_patient)
    assert (done["status"], done["completed_at"]) == ("success", "2026-11-24T02:00:00.000000Z")
    assert story.status(order, rich_patient) == "refunded"
    # To the gateway, not to the balance.
    assert story.balance(rich_patient)["balance"] == "100.00"
    money_back = PaymentTransaction.objects.get(order_id=order["id"], transaction_type="refund")
    assert (money_back.status, money_back.payment_method, money_back.is_mock) == (
        "success",
        method,
        True,
    )


def test_what_is_processing_counts_and_can_not_be_reviewed_or_withdrawn(
    api, story, rich_patient, admin, other_admin
):
    order = story.paid_at_gateway(rich_patient)
    refund = story.refund(order, rich_patient, "20.00")
    story.review(refund, admin)
    with nothing_moves():
        review(api, refund, other_admin).refused(400, "REFUND_ALREADY_REVIEWED")
        api.put(f"refunds/{refund['id']}/withdraw", by=rich_patient).refused(
            400, "REFUND_NOT_WITHDRAWABLE"
        )
        api.post("refunds", refund_body(order, "10.01"), by=rich_patient).refused(
            400, "REFUND_EXCEEDS_PAID"
        )


def test_several_refunds_through_a_gateway_add_up(story, rich_patient, admin):
    order = story.paid_at_gateway(rich_patient, "wechat")
    for amount in ("10.00", "20.00"):
        story.review(story.refund(order, rich_patient, amount), admin)
    story.worker_runs()
    assert set(Refund.objects.values_list("status", flat=True)) == {"success"}
    assert story.status(order, rich_patient) == "refunded"


# --- reading ----------------------------------------------------------------------------------


def ids(answer) -> list[str]:
    return [refund["id"] for refund in answer.accepted()["refunds"]]


def test_the_list_is_newest_first_and_filters(
    api, story, clock, rich_patient, other_patient, admin
):
    story.fund(other_patient, "30.00")
    mine, theirs = story.paid_from_balance(rich_patient), story.paid_from_balance(other_patient)
    clock.set(datetime.fromisoformat("2026-11-24T15:59:59Z"))
    first = story.refund(mine, rich_patient, "10.00")
    clock.advance(seconds=1)  # the 25th in Shanghai
    second = story.refund(mine, rich_patient, "5.00")
    foreign = story.refund(theirs, other_patient, "5.00")
    story.review(first, admin)
    expected = {
        "": [foreign["id"], second["id"], first["id"]],
        f"user_id={rich_patient.name}": [second["id"], first["id"]],
        f"order_id={mine['id']}": [second["id"], first["id"]],
        f"order_id={theirs['id']}": [foreign["id"]],
        "status=pending": [foreign["id"], second["id"]],
        "status=success": [first["id"]],
        "status=failed": [],
        "status=success,failed": [first["id"]],
        "updated_since=2026-11-25": [foreign["id"], second["id"], first["id"]],
        "updated_since=2026-11-26": [],
        "cursor=&page_size=2": [foreign["id"], second["id"]],
        "end_date=2026-11-24": [first["id"]],
        "start_date=2026-11-25": [foreign["id"], second["id"]],
        "start_date=2026-11-24&end_date=2026-11-25": [foreign["id"], second["id"], first["id"]],
        "page=2&page_size=2": [first["id"]],
    }
    assert {query: ids(api.get(f"refunds?{query}", by=admin)) for query in expected} == expected
    answer = api.get("refunds?page_size=1", by=rich_patient)
    assert answer.message == "获取退款列表成功"
    assert {name: answer.data[name] for name in ("total", "page", "page_size")} == {
        "total": 2,
        "page": 1,
        "page_size": 1,
    }
    assert ids(api.get(f"refunds?order_id={theirs['id']}", by=rich_patient)) == []


@pytest.mark.parametrize(
    "query", ["status=unknown", "order_id=1", "user_id=1", "refund_no=RFD1", "start_date=x"]
)
def test_the_list_refuses_what_it_does_not_understand(api, admin, query):
    api.get(f"refunds?{query}", by=admin).invalid(query.partition("=")[0])
