"""Messages that never come, money that comes too late or twice, closes at the gateway."""

import pytest

METHODS = ["wechat", "alipay"]
TWO_HOURS = 7_200
GRACE = 181


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def lose_the_notice(stage, method):
    stage.stand_in.ask("faults", once={"operation": f"{method}.notice", "kind": "notice_lost"})


# --- the callback is lost -----------------------------------------------------------------------


def test_the_sweeper_asks_for_what_no_callback_told(stage, method):
    purchase = stage.buy(method)
    lose_the_notice(stage, method)
    purchase.paid_by(method)
    stage.hand.do("sweep", after=30)
    assert purchase.status == "pending"  # not asked yet: the first question comes after a minute
    stage.hand.do("sweep", after=61)
    assert purchase.status == "paid"
    assert purchase.verdicts(purchase.number(method)) == []


def test_the_client_may_ask_at_once(stage, method):
    purchase = stage.buy(method)
    lose_the_notice(stage, method)
    purchase.paid_by(method)
    synced = stage.ask("POST", f"orders/{purchase.id}/sync", purchase.owner)
    assert synced["status"] == "paid"


def test_asking_is_bounded(stage, method):
    purchase = stage.buy(method)
    answers = [
        stage.call("POST", f"orders/{purchase.id}/sync", purchase.owner)[0] for _ in range(14)
    ]
    assert answers[0] == 200
    assert answers[-1] == 429


def test_the_callback_that_comes_after_the_sweep_is_a_repeat(stage, method):
    purchase = stage.buy(method)
    stage.stand_in.ask("settings", hold_notices=True)
    purchase.paid_by(method)
    stage.hand.do("sweep", after=61)
    assert purchase.status == "paid"
    before = stage.hand.do("money")
    [answer] = stage.stand_in.ask("notify", **purchase.trade(method) | {"url": ""})["answers"]
    assert answer["received"]
    assert purchase.verdicts(purchase.number(method)) == ["repeat"]
    assert stage.hand.do("money") == before


# --- closing ------------------------------------------------------------------------------------


def opened(stage, method):
    """An attempt that the gateway knows: Alipay knows it from when the buyer opens it."""
    purchase = stage.buy(method)
    if method == "alipay":
        stage.stand_in.ask("open", url=purchase.trade(method)["url"])
    return purchase


def test_a_cancelled_order_can_not_be_paid_any_more(stage, method):
    purchase = opened(stage, method)
    stage.ask("PUT", f"orders/{purchase.id}/cancel", purchase.owner)
    assert purchase.status == "cancelled"
    book = purchase.theirs(method)
    assert (book["state"], book["closed_by"]) == ("CLOSED", "merchant")


def test_an_expired_order_can_not_be_paid_any_more(stage, method):
    purchase = opened(stage, method)
    stage.hand.do("expire", after=TWO_HOURS - 60)
    assert purchase.status == "pending"
    stage.hand.do("expire", after=TWO_HOURS + 60)
    assert purchase.status == "expired"
    assert purchase.theirs(method)["state"] == "CLOSED"


@pytest.mark.parametrize("ending", ["cancel", "expire"])
def test_paid_wins_over_an_ending(stage, method, ending):
    purchase = opened(stage, method)
    lose_the_notice(stage, method)
    purchase.paid_by(method)
    if ending == "cancel":
        status, answer = stage.call("PUT", f"orders/{purchase.id}/cancel", purchase.owner)
        assert (status, answer["code"]) == (400, "ORDER_NOT_CANCELLABLE")
    else:
        stage.hand.do("expire", after=TWO_HOURS + 60)
    assert purchase.status == "paid"


def test_changing_the_gateway_closes_the_first_attempt(stage):
    purchase = stage.buy("wechat")
    purchase.start("alipay")
    assert purchase.theirs("wechat")["state"] == "CLOSED"
    purchase.pay("alipay")


# --- too late, and twice ------------------------------------------------------------------------


def test_money_for_a_cancelled_order_goes_back_by_itself(stage):
    """An Alipay page that nobody had opened when the order was cancelled can still be paid."""
    purchase = stage.buy("alipay")
    stage.ask("PUT", f"orders/{purchase.id}/cancel", purchase.owner)
    purchase.paid_by("alipay")
    refund = purchase.wait_for_refund()
    assert purchase.status == "cancelled"
    assert refund["refund_amount"] == "30.00"
    assert purchase.verdicts(purchase.number("alipay"))[0] == "late"
    assert purchase.exceptions() == [("late_payment", True)]
    assert purchase.theirs("alipay")["refunded_fen"] == 3000


def test_money_after_an_expiry_that_could_not_close_goes_back_by_itself(stage):
    """The gateway is away for longer than the grace: the close stays owed, and money comes."""
    purchase = stage.buy("wechat")
    cut = [
        {"operation": name, "kind": "error_before", "times": 1000}
        for name in ("wechat.query", "wechat.close")
    ]
    stage.stand_in.ask("faults", once=cut)
    stage.hand.do("expire", after=TWO_HOURS + 1)
    assert purchase.status == "pending"
    stage.hand.do("expire", after=TWO_HOURS + GRACE)
    assert purchase.status == "expired"
    stage.stand_in.ask("faults", clear=True)
    purchase.paid_by("wechat")
    purchase.wait_for_refund()
    assert purchase.status == "expired"
    assert purchase.theirs("wechat")["refunded_fen"] == 3000


def test_a_second_payment_goes_back_and_the_first_stays(stage):
    purchase = stage.buy("alipay")  # a page that is opened only later
    purchase.start("wechat")
    purchase.pay("wechat")
    purchase.paid_by("alipay")
    refund = purchase.wait_for_refund()
    assert purchase.status == "paid"
    assert refund["refund_amount"] == "30.00"
    assert (
        purchase.theirs("alipay")["refunded_fen"],
        purchase.theirs("wechat")["refunded_fen"],
    ) == (
        3000,
        0,
    )
    assert purchase.exceptions() == [("second_payment", True)]


def test_the_other_way_round_as_well(stage):
    purchase = stage.buy("alipay")
    purchase.start("wechat")
    purchase.pay("alipay")
    stage.stand_in.ask("pay", **purchase.trade("wechat"))
    purchase.wait_for_refund()
    assert purchase.status == "paid"
    assert (
        purchase.theirs("alipay")["refunded_fen"],
        purchase.theirs("wechat")["refunded_fen"],
    ) == (
        0,
        3000,
    )
