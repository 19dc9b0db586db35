"""A second start that is refused: the code that the payer holds lives on."""

from collections.abc import Callable

import pytest

from payments.models import PaymentTransaction
from tests.refused.stage import CHANNELS

SCENES = {"wechat": "native", "alipay": "qr"}
CREATE = {"wechat": "wechat.prepay", "alipay": "alipay.precreate"}
REFUSALS = {"wechat": "NO_AUTH", "alipay": "40006"}
BURNT = {
    "wechat": {"code": "OUT_TRADE_NO_USED", "status": 403},
    "alipay": {"code": "40004", "sub_code": "ACQ.TRADE_HAS_CLOSE"},
}


@pytest.fixture(params=CHANNELS)
def channel(request):
    return request.param


def refuse(stage, channel, times=1, **more):
    fault = {"operation": CREATE[channel], "kind": "refused", "code": REFUSALS[channel]}
    stage.order_faults({**fault, "times": times, **more})


def attempts_of(order):
    return list(
        PaymentTransaction.objects.filter(order=order)
        .order_by("initiated_at")
        .values_list("status", "is_close_owed", "error_code")
    )


def test_a_first_start_that_is_refused_is_over(stage, channel):
    order = stage.order()
    refuse(stage, channel)
    assert stage.start(order, channel, SCENES[channel]) == "GATEWAY_ERROR"
    [(status, _is_owed, code)] = attempts_of(order)
    assert (status, bool(code)) == ("failed", True)
    assert stage.start(order, channel, SCENES[channel]) == ""


def test_a_shown_code_is_asked_about_until_it_is_dead(stage, channel):
    order = stage.order()
    stage.start(order, channel, SCENES[channel])
    refuse(stage, channel, times=3)
    for _again in range(3):
        assert stage.start(order, channel, SCENES[channel]) == "GATEWAY_ERROR"
    stage.payer_pays(order, channel)
    stage.pass_time(minutes=3)
    order.refresh_from_db()
    assert order.status == "paid"


def test_a_start_without_an_answer_may_have_arrived(stage, channel):
    order = stage.order()
    stage.order_faults({"operation": CREATE[channel], "kind": "lost_after"})
    assert stage.start(order, channel, SCENES[channel]) == "GATEWAY_UNAVAILABLE"
    refuse(stage, channel)
    assert stage.start(order, channel, SCENES[channel]) == "GATEWAY_ERROR"
    [(status, is_owed, _code)] = attempts_of(order)
    assert (status, is_owed) == ("pending", False)


def test_a_number_that_is_called_burnt_is_replaced_and_its_code_still_asked_about(stage, channel):
    order = stage.order()
    stage.start(order, channel, SCENES[channel])
    refuse(stage, channel, **BURNT[channel])
    operation = {"wechat": "wechat.query", "alipay": "alipay.query"}[channel]
    stage.order_faults({"operation": operation, "kind": "refused", "code": REFUSALS[channel]})
    assert stage.start(order, channel, SCENES[channel]) == ""
    assert attempts_of(order)[0][:2] == ("pending", True)
    stage.payer_pays(order, channel)
    stage.pass_time(minutes=3)
    order.refresh_from_db()
    assert order.status == "paid"


def test_a_number_that_is_called_burnt_at_its_first_start_is_closed_or_its_close_owed(
    stage, channel
):
    """Something was sent under it, whatever we know of that."""
    order = stage.order()
    refuse(stage, channel, **BURNT[channel])
    operation = {"wechat": "wechat.query", "alipay": "alipay.query"}[channel]
    stage.order_faults({"operation": operation, "kind": "refused", "code": REFUSALS[channel]})
    assert stage.start(order, channel, SCENES[channel]) == ""
    first, second = attempts_of(order)
    assert (first[:2], second[:2]) == (("pending", True), ("pending", False))


@pytest.fixture
def meanwhile(stage, monkeypatch):
    """Does something else once, while the gateway is thinking about the first call."""
    send = stage.wire.send
    waiting: list[Callable[[], None]] = []

    def slow(verb, url, **more):
        answer = send(verb, url, **more)
        if waiting:
            waiting.pop()()
        return answer

    monkeypatch.setattr("gateways.transport.Transport.send", staticmethod(slow))
    return waiting.append


def test_a_code_that_comes_after_its_attempt_was_closed_is_not_handed_out(
    stage, channel, meanwhile
):
    """The payer changed the gateway while the first one was still thinking."""
    order, other = stage.order(), {"wechat": "alipay", "alipay": "wechat"}[channel]
    changed = []
    meanwhile(lambda: changed.append(stage.start(order, other, SCENES[other])))
    assert stage.start(order, channel, SCENES[channel]) == "GATEWAY_UNAVAILABLE"
    assert changed == [""]
    first, second = attempts_of(order)
    assert first[0] == "failed" or first[1]
    assert second[:2] == ("pending", False)


def test_a_start_whose_attempt_was_closed_meanwhile_for_nothing_begins_anew(
    stage, channel, meanwhile
):
    """The payer tried the balance while the gateway was still thinking, and had too little."""
    order = stage.order()
    refused = []
    meanwhile(lambda: refused.append(stage.start(order, "balance", SCENES[channel])))
    assert stage.start(order, channel, SCENES[channel]) == ""
    assert refused == ["INSUFFICIENT_BALANCE"]
    first, second = attempts_of(order)
    assert first[0] == "failed" or first[1]
    assert second[:2] == ("pending", False)
