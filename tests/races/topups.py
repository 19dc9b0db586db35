"""What races against what where balances are topped up and given back."""

from tests.races.scenarios import DUE, LAST, do, race

TOPUPS = (
    race("topped up: callback x callback", "topup_paid_at_gateway", do("callback"), do("callback")),
    race("topped up: callback x cancel", "topup_paid_at_gateway", do("callback"), do("cancel")),
    race(
        "topped up: callback x expiry",
        "topup_paid_at_gateway",
        do("callback", LAST),
        do("expire", DUE),
    ),
    race("topped up: late callback x cancel", "topup_paid_unclosed", do("callback"), do("cancel")),
    race(
        "topped up: two gateways",
        "topup_paid_at_two_gateways",
        do("callback"),
        do("callback", method="alipay", number="other_number"),
    ),
    race(
        "topped up x topped up: room for one",
        "two_topups_and_room_for_one",
        do("callback"),
        do("callback", method="alipay", number="other_number"),
    ),
    race(
        "asked to top up x asked: a day's bound",
        "nobody",
        *[do("ask_topup", amount="2000.00")] * 3,
        is_alike=True,
    ),
    race(
        "spent x asked back: money for one",
        "topped_up",
        do("pay_balance", order="other"),
        do("ask_refund", amount="30.00"),
    ),
    race(
        "balance given back x asked back",
        "topped_up",
        do("give_back", amount="30.00"),
        do("ask_refund", amount="20.00"),
    ),
    race(
        "balance given back x spent",
        "topped_up",
        do("give_back", amount="30.00"),
        do("pay_balance", order="other"),
    ),
    race("going back: approve x withdraw", "topup_going_back", do("approve"), do("withdraw")),
    race(
        "going back: failed x success",
        "topup_sent_back",
        do("hear_refund", state="closed"),
        do("hear_refund", state="success"),
    ),
    race(
        "going back: success x spent",
        "topup_sent_back",
        do("hear_refund", state="success"),
        do("pay_balance", order="other"),
    ),
    race(
        "going back: retry x spent",
        "topup_not_sent_back",
        do("retry_refund"),
        do("pay_balance", order="other"),
    ),
    race(
        "going back: late success x spent",
        "topup_not_sent_back",
        do("hear_refund", state="success"),
        do("pay_balance", order="other"),
    ),
)
