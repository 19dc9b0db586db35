"""Gateways' messages, as the guide's mock sends them (CONTRACT section 6)."""

import json

import pytest
from django.db import OperationalError, connection

from payments.models import PaymentCallback, PaymentTransaction
from payments.services.endings import orders_expire
from refunds.models import Refund
from tests.api.kit import ensure_envelope, nothing_moves
from tests.api.story import mock_callback
from tests.api.test_envelope import DatabaseThat

GATEWAYS = ["wechat", "alipay"]
ADDRESSES = ["/payment/callback?method={}", "/payment/callback/{}"]


def handled(method: str, response) -> None:
    """The gateway's own form of "handled"."""
    assert response.status_code == 200
    if method == "alipay":
        assert response.content == b"success"
        assert response["Content-Type"].startswith("text/plain")
    else:
        assert json.loads(response.content) == {"code": "SUCCESS", "message": "成功"}
        assert response["Content-Type"].startswith("application/json")


def refused(method: str, response) -> None:
    assert 400 <= response.status_code < 600
    if method == "alipay":
        assert response.content == b"failure"
    else:
        body = json.loads(response.content)
        assert body["code"] == "FAIL"
        assert body["message"]


def started(story, owner, method="alipay") -> dict:
    order = story.order(owner)
    story.pay(order, owner, method)
    return order


def verdicts() -> list[str]:
    return list(
        PaymentCallback.objects.order_by("received_at", "id").values_list("verdict", flat=True)
    )


# --- a payment arrives ------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", GATEWAYS)
def test_it_marks_the_order_paid_at_both_addresses(api, story, clock, patient, method, address):
    order = started(story, patient, method)
    clock.advance(minutes=3)
    handled(method, api.callback(address.format(method), mock_callback(order)))
    paid = story.reread(order, patient)
    assert (paid["status"], paid["payment_method"]) == ("paid", method)
    assert paid["payment_time"] == "2026-11-24T02:03:00.000000Z"
    attempt = PaymentTransaction.objects.get(order_id=order["id"])
    assert (attempt.status, attempt.disposition, attempt.is_mock) == ("success", "applied", True)
    assert attempt.trade_no == "2026112422001412345"
    assert verdicts() == ["applied"]


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED"])
def test_success_has_two_names(story, patient, status):
    order = started(story, patient)
    story.gateway_reports(order, status=status)
    assert story.status(order, patient) == "paid"


@pytest.mark.parametrize("method", GATEWAYS)
def test_told_twice_nothing_changes_the_second_time(story, patient, method):
    order = started(story, patient, method)
    story.gateway_reports(order, method=method)
    with nothing_moves():
        for _ in range(3):
            handled(method, story.gateway_reports(order, method=method))
    assert verdicts() == ["applied", "repeat", "repeat", "repeat"]


@pytest.mark.parametrize("amount", ["29.99", "30.01", "0.01", "3000.00", "0.00"])
@pytest.mark.parametrize("method", GATEWAYS)
def test_a_wrong_amount_is_held_and_the_right_one_still_applies(story, patient, method, amount):
    order = started(story, patient, method)
    with nothing_moves():
        handled(method, story.gateway_reports(order, method=method, amount=amount))
    assert verdicts() == ["wrong_amount"]
    story.gateway_reports(order, method=method)
    assert story.status(order, patient) == "paid"
    assert verdicts() == ["wrong_amount", "applied"]


def test_an_unknown_order_is_held_and_counts_as_handled(story, patient):
    order = started(story, patient)
    with nothing_moves():
        handled("alipay", story.gateway_reports(order, number="ORD20261124100000NOBODY"))
    assert verdicts() == ["unknown_order"]


def test_an_order_that_was_never_started_is_unknown_to_a_gateway(story, patient):
    order = story.order(patient)
    with nothing_moves():
        handled("alipay", story.gateway_reports(order))
    assert verdicts() == ["unknown_order"]


def test_the_other_gateways_message_is_about_another_number(story, patient):
    order = started(story, patient, "wechat")
    with nothing_moves():
        handled("alipay", story.gateway_reports(order, method="alipay"))
    assert verdicts() == ["unknown_order"]
    assert story.status(order, patient) == "pending"


def test_a_payer_who_has_not_paid_changes_nothing(story, patient):
    order = started(story, patient)
    with nothing_moves():
        handled("alipay", story.gateway_reports(order, status="WAIT_BUYER_PAY"))
    assert verdicts() == ["not_paid"]


def test_a_closed_trade_ends_the_attempt_and_leaves_the_order_payable(story, rich_patient):
    order = started(story, rich_patient)
    handled("alipay", story.gateway_reports(order, status="TRADE_CLOSED"))
    assert PaymentTransaction.objects.get(order_id=order["id"]).status == "failed"
    assert story.status(order, rich_patient) == "pending"
    story.pay(order, rich_patient)


# --- what is no message -----------------------------------------------------------------------

UNREADABLE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"a": NaN}',
    b"[" * 20_000,
    b"{}",
    b'{"out_trade_no": "x"}',
    b'{"out_trade_no": "x", "trade_no": "y", "trade_status": "PAID", "total_amount": "1.00"}',
    b'{"out_trade_no": "x", "trade_no": "y",'
    b' "trade_status": "TRADE_SUCCESS", "total_amount": "-1"}',
    b'{"out_trade_no": "x", "trade_no": "y",'
    b' "trade_status": "TRADE_SUCCESS", "total_amount": "1e3"}',
    b'{"out_trade_no": ["x"], "trade_no": "y",'
    b' "trade_status": "TRADE_SUCCESS", "total_amount": "1"}',
    b'{"out_trade_no": "x\\u0000", "trade_no": "y", "trade_status": "TRADE_SUCCESS",'
    b' "total_amount": "1.00"}',
    '{"out_trade_no": "x", "trade_no": "y", "trade_status": "TRADE_SUCCESS",'
    ' "total_amount": "\uff11.00"}'.encode(),
]


@pytest.mark.parametrize("content", UNREADABLE, ids=lambda content: repr(content[-40:]))
@pytest.mark.parametrize("method", GATEWAYS)
def test_what_can_not_be_read_changes_nothing(api, method, content):
    with nothing_moves():
        response = api.callback(f"/payment/callback/{method}", content=content)
    refused(method, response)
    assert verdicts() == ["untrusted"]


@pytest.mark.parametrize(
    "address",
    [
        "/payment/callback",
        "/payment/callback?method=",
        "/payment/callback?method=unionpay",
        "/payment/callback?method=balance",
        "/payment/callback?method=WECHAT",
        "/payment/callback?method=alipay%00",
        "/payment/callback?method=alipay&method=alipay",
        "/payment/callback?method=alipay&method=wechat",
        "/payment/callback?Method=alipay",
        "/payment/callback/unionpay",
        "/payment/callback/balance",
        "/payment/callback/alipay%00",
        "/payment/callback/",
        "/payment/callback/alipay/",
    ],
)
def test_a_method_that_is_no_gateway_is_404(api, story, patient, address):
    order = started(story, patient)
    with nothing_moves():
        response = api.callback(address, mock_callback(order))
    assert response.status_code == 404
    assert ensure_envelope(response)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("method", GATEWAYS)
def test_without_mock_callbacks_an_unsigned_message_changes_nothing(
    settings, story, patient, method
):
    order = started(story, patient, method)
    settings.MOCK_CALLBACKS = False
    with nothing_moves():
        refused(method, story.gateway_reports(order, method=method))
    assert verdicts() == ["untrusted"]
    assert story.status(order, patient) == "pending"


@pytest.mark.parametrize("method", GATEWAYS)
def test_a_form_or_a_signed_message_is_never_taken_for_a_mock(api, story, patient, method):
    order = started(story, patient, method)
    address, content = f"/payment/callback/{method}", json.dumps(mock_callback(order))
    with nothing_moves():
        for content_type in ("application/x-www-form-urlencoded", "text/plain", "text/json"):
            refused(method, api.callback(address, content=content, content_type=content_type))
        if method == "wechat":
            signed = {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/x", "Wechatpay-Serial": "1"}
            refused(method, api.callback(address, content=content, headers=signed))


def test_a_token_makes_no_difference(api, story, patient, admin):
    order = started(story, patient)
    handled("alipay", api.callback("/payment/callback/alipay", mock_callback(order), by=admin))
    assert story.status(order, patient) == "paid"


def test_forgeries_leave_a_bounded_number_of_rows(api, still_window):
    for _ in range(70):
        api.callback("/payment/callback/alipay", content=b"forged")
    assert len(verdicts()) == 60


@pytest.mark.usefixtures("still_window")
@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "WAIT_BUYER_PAY"])
def test_one_message_sent_for_ever_leaves_a_bounded_number_of_rows(story, patient, status):
    order = started(story, patient)
    for _ in range(70):
        handled("alipay", story.gateway_reports(order, status=status))
    assert PaymentCallback.objects.count() <= 61
    assert story.status(order, patient) == ("paid" if status == "TRADE_SUCCESS" else "pending")


@pytest.mark.usefixtures("still_window")
def test_a_new_message_is_recorded_beside_one_that_was_sent_too_often(story, patient):
    order = started(story, patient)
    for _ in range(70):
        story.gateway_reports(order, status="WAIT_BUYER_PAY")
    rows = PaymentCallback.objects.count()
    handled("alipay", story.gateway_reports(order))
    assert PaymentCallback.objects.count() == rows + 1
    assert story.status(order, patient) == "paid"


@pytest.mark.parametrize("method", GATEWAYS)
def test_trouble_of_ours_asks_the_gateway_to_send_it_again(story, patient, method):
    order = started(story, patient, method)
    with nothing_moves(), connection.execute_wrapper(DatabaseThat(OperationalError(2006, "gone"))):
        response = story.gateway_reports(order, method=method)
    assert response.status_code >= 500
    refused(method, response)
    handled(method, story.gateway_reports(order, method=method))
    assert story.status(order, patient) == "paid"


# --- money that came too late, or twice -------------------------------------------------------


def given_back(order) -> Refund:
    return Refund.objects.get(order_id=order["id"])


def surplus_attempt(order) -> PaymentTransaction:
    return PaymentTransaction.objects.get(
        order_id=order["id"], transaction_type="payment", payment_method="alipay"
    )


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_money_for_an_ended_order_is_not_applied_and_goes_back(
    api, story, clock, patient, admin, ending
):
    order = started(story, patient)
    if ending == "cancelled":
        story.cancel(order, patient)
    else:
        clock.advance(hours=2)
        orders_expire()
    assert story.status(order, patient) == ending
    handled("alipay", story.gateway_reports(order))
    assert story.status(order, patient) == ending
    payment = surplus_attempt(order)
    assert (payment.status, payment.disposition, payment.applied_order_id) == (
        "success",
        "late",
        None,
    )
    assert verdicts() == ["late"]

    story.worker_runs()
    refund = given_back(order)
    assert (refund.status, refund.cause) == ("success", "late_payment")
    assert (str(refund.refund_amount), refund.user_id) == ("30.00", patient.id)
    assert refund.completed_at == clock.now
    assert story.status(order, patient) == ending
    # The payer sees it; it counts in no statistics.
    [shown] = api.get("refunds", by=patient).accepted()["refunds"]
    assert (shown["status"], shown["requested_by"], shown["approvals_needed"]) == (
        "success",
        None,
        0,
    )
    figures = api.get("statistics", by=patient).accepted()
    for name in ("paid_orders", "refunded_orders"):
        assert figures[name] == 0
    for name in ("paid_amount", "refunded_amount"):
        assert figures[name] == "0.00"


def test_a_second_payment_goes_back_and_the_first_stays(api, story, rich_patient):
    order = started(story, rich_patient)
    story.pay(order, rich_patient)  # from the balance meanwhile
    handled("alipay", story.gateway_reports(order))
    assert surplus_attempt(order).disposition == "second"
    story.worker_runs()
    refund = given_back(order)
    assert (refund.status, refund.cause) == ("success", "second_payment")
    paid = story.reread(order, rich_patient)
    assert (paid["status"], paid["payment_method"]) == ("paid", "balance")
    assert story.balance(rich_patient)["balance"] == "70.00"
    figures = api.get("statistics", by=rich_patient).accepted()
    assert (figures["paid_orders"], figures["paid_amount"]) == (1, "30.00")
    assert (figures["refunded_orders"], figures["refunded_amount"]) == (0, "0.00")


def test_surplus_money_goes_back_once(story, patient):
    order = started(story, patient)
    story.cancel(order, patient)
    for _ in range(2):
        story.gateway_reports(order)
        story.worker_runs()
    with nothing_moves():
        story.worker_runs()
    assert given_back(order).status == "success"


def test_surplus_money_can_not_be_asked_for_as_well(api, story, patient, admin):
    order = started(story, patient)
    story.cancel(order, patient)
    story.gateway_reports(order)
    body = {"order_id": order["id"], "refund_amount": "30.00", "refund_reason": "x"}
    for by in (patient, admin):
        with nothing_moves():
            api.post("refunds", body, by=by).refused(400, "ORDER_NOT_REFUNDABLE")


def test_nobody_reviews_what_goes_back_by_itself(api, story, patient, admin):
    order = started(story, patient)
    story.cancel(order, patient)
    story.gateway_reports(order)
    story.worker_runs()
    path = f"admin/refunds/{given_back(order).id}/review"
    answer = api.put(path, {"approved": False}, by=admin)
    answer.refused(400, "REFUND_ALREADY_REVIEWED")


def test_with_the_policy_hold_it_waits_for_staff(settings, story, patient):
    settings.LATE_PAYMENT_POLICY = "hold"
    order = started(story, patient)
    story.cancel(order, patient)
    handled("alipay", story.gateway_reports(order))
    with nothing_moves():
        story.worker_runs()
    payment = surplus_attempt(order)
    assert (payment.status, payment.disposition) == ("success", "late")
    assert not Refund.objects.exists()
