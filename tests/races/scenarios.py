"""What races against what: the table. Names of worlds and actions are those of their functions.

The moments are seconds after the world was built. Whoever pays at LAST has a clock that says
the order is still open; whoever sweeps at DUE has one that says its time is over.
"""

from dataclasses import dataclass
from typing import Any

LAST = 2 * 3600 - 1
DUE = 2 * 3600 + 1
# Past the grace that an unreachable gateway is given.
OVERDUE = DUE + 4 * 60

# Run again and again by the beat. What another process holds is left to the next turn, so that
# turn belongs to what a sweep does.
SWEEPS = frozenset({"expire", "beat"})


@dataclass(frozen=True)
class Move:
    """One action with its arguments, at its moment (None: now).

    ``dies`` names the point where its process is killed (see ``worker.Steps``), unless the move
    is over before it gets there.
    """

    action: str
    at_seconds: float | None = None
    arguments: tuple[tuple[str, Any], ...] = ()
    dies: str = ""

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.arguments)
        return f"{self.action}({given})" + (f" dying {self.dies}" if self.dies else "")

    def as_tuple(self) -> tuple[str, float | None, dict[str, Any]]:
        return self.action, self.at_seconds, dict(self.arguments)


def do(action: str, at: float | None = None, *, dies: str = "", **arguments: Any) -> Move:
    return Move(action, at, tuple(sorted(arguments.items())), dies)


@dataclass(frozen=True)
class Scenario:
    """Moves that happen at once in a world, after those of ``before`` have happened alone.

    Whoever is refused with one of ``ask_again`` was told to come again, and does so once the
    race is over. ``is_alike``: who of the movers is who makes no difference, so that one serial
    order stands for all and only the number of equal answers counts. ``is_naive``: its moves
    write no ledger, so that only the serial orders judge it.
    """

    name: str
    world: str
    moves: tuple[Move, ...]
    ask_again: frozenset[str] = frozenset()
    is_alike: bool = False
    is_naive: bool = False
    before: tuple[Move, ...] = ()


def race(
    name: str,
    world: str,
    *moves: Move,
    ask_again: tuple[str, ...] = (),
    is_alike: bool = False,
    is_naive: bool = False,
    before: tuple[Move, ...] = (),
) -> Scenario:
    return Scenario(name, world, moves, frozenset(ask_again), is_alike, is_naive, before)


IN_PROGRESS = ("IDEMPOTENCY_IN_PROGRESS",)
CHOSEN_OTHERWISE = ("GATEWAY_REFUSED", "GATEWAY_UNAVAILABLE")

# The three that the product was ordered with; run more often than the others.
HEADLINES = (
    race(
        "eight payments of one order: one debit",
        "order_and_money",
        *[do("pay_balance")] * 8,
    ),
    race(
        "twelve orders, money for five: five paid",
        "twelve_orders_and_money_for_five",
        *[do("pay_balance", order=f"order{number}") for number in range(12)],
        is_alike=True,
    ),
    race(
        "six approvals of one refund: one credit",
        "refund_waiting",
        *[do("approve", by=number % 3) for number in range(6)],
        is_alike=True,
    ),
)

PAIRS = (
    # --- a payment reported more than once, and by different people ---
    race("callback x callback", "order_paid_at_gateway", do("callback"), do("callback")),
    race("five callbacks", "order_paid_at_gateway", *[do("callback")] * 5),
    race("callback x query", "order_paid_at_gateway", do("callback"), do("query")),
    race("query x query", "order_paid_at_gateway", do("query"), do("query")),
    race(
        "callback x sweep",
        "order_paid_at_gateway",
        do("callback", LAST),
        do("sweep_attempts", LAST),
    ),
    race(
        "closed x success, reordered",
        "order_paid_at_gateway",
        do("callback", status="TRADE_CLOSED"),
        do("callback"),
    ),
    race(
        "two gateway payments of one order",
        "order_paid_at_two_gateways",
        do("callback"),
        do("callback", method="alipay", number="other_number"),
    ),
    race(
        "wrong amount x right amount",
        "order_paid_at_gateway",
        do("wrong_callback", amount="29.99"),
        do("callback"),
    ),
    race(
        "second payment x surplus sweep",
        "order_paid_at_two_gateways",
        do("callback", method="alipay", number="other_number"),
        do("sweep_surplus"),
        before=(do("callback"),),
    ),
    race(
        "late payment told twice x surplus sweep",
        "money_after_the_end",
        do("callback"),
        do("sweep_surplus"),
    ),
    # --- a payment against the order's end ---
    race("buyer pays x expiry", "order_at_gateway", do("buyer_pays", LAST), do("expire", DUE)),
    race("callback x expiry", "order_paid_at_gateway", do("callback", LAST), do("expire", DUE)),
    race("late callback x expiry", "order_paid_unclosed", do("callback", DUE), do("expire", DUE)),
    race("buyer pays x cancel", "order_at_gateway", do("buyer_pays"), do("cancel")),
    race("callback x cancel", "order_paid_at_gateway", do("callback"), do("cancel")),
    race("late callback x cancel", "order_paid_unclosed", do("callback"), do("cancel")),
    race(
        "callback x cancel x expiry",
        "order_paid_unclosed",
        do("callback", DUE),
        do("cancel", DUE),
        do("expire", DUE),
    ),
    race(
        "callback x expiry: silent gateway",
        "order_paid_at_silent_gateway",
        do("callback", OVERDUE),
        do("expire", OVERDUE),
    ),
    race(
        "callback x cancel: silent gateway",
        "order_paid_at_silent_gateway",
        do("callback"),
        do("cancel"),
    ),
    race(
        "callback x balance: silent gateway",
        "order_paid_at_silent_gateway",
        do("callback"),
        do("pay_balance"),
    ),
    race("cancel x cancel", "order_at_gateway", do("cancel"), do("cancel")),
    race("cancel x expiry", "order_at_gateway", do("cancel", DUE), do("expire", DUE)),
    race("two sweepers: expiry", "three_orders", do("expire", DUE), do("expire", DUE)),
    race("two sweepers: closing", "order_at_gateway", do("expire", DUE), do("expire", DUE)),
    race(
        "two sweepers: asking",
        "order_paid_at_gateway",
        do("sweep_attempts", LAST),
        do("sweep_attempts", LAST),
    ),
    # --- a day's closing ---
    race(
        "late report x closing of its day",
        "order_paid_on_a_day_to_be_closed",
        do("hear_late"),
        do("close_day"),
    ),
    race(
        "two closings of one day",
        "order_paid_on_a_day_to_be_closed",
        do("close_day"),
        do("close_day"),
        ask_again=("CLOSE_WAITS",),
    ),
    race(
        "late report x opening of its closed day",
        "order_paid_on_a_closed_day",
        do("hear_late"),
        do("open_day"),
    ),
    # --- a payment from the balance ---
    race("callback x balance", "order_paid_at_gateway", do("callback"), do("pay_balance")),
    race("late callback x balance", "order_paid_unclosed", do("callback"), do("pay_balance")),
    race("buyer pays x balance", "order_at_gateway", do("buyer_pays"), do("pay_balance")),
    race("balance x balance: one order", "order_and_money", do("pay_balance"), do("pay_balance")),
    race(
        "balance x balance: money for one",
        "two_orders_and_money_for_one",
        do("pay_balance"),
        do("pay_balance", order="other"),
    ),
    race("balance x top-up", "order_and_money", do("pay_balance"), do("top_up")),
    race(
        "balance x top-up: it brings the money",
        "order_without_account",
        do("pay_balance"),
        do("top_up", amount="30.00"),
    ),
    race(
        "freeze x freeze: money for one",
        "order_and_money",
        do("freeze", amount="80.00"),
        do("freeze", amount="60.00"),
    ),
    race(
        "unfreeze x unfreeze: frozen for one",
        "money_and_frozen_money",
        do("unfreeze", amount="40.00"),
        do("unfreeze", amount="30.00"),
    ),
    race(
        "freeze x unfreeze",
        "money_and_frozen_money",
        do("freeze", amount="70.00"),
        do("unfreeze", amount="40.00"),
    ),
    race(
        "adoption x adoption: opened by SQL",
        "order_and_money_by_sql",
        do("adopt_opening"),
        do("adopt_opening"),
    ),
    race("balance x freeze", "order_and_money", do("pay_balance"), do("freeze", amount="80.00")),
    race(
        "balance x top-up: opened by SQL", "order_and_money_by_sql", do("pay_balance"), do("top_up")
    ),
    race(
        "balance x adoption: opened by SQL",
        "order_and_money_by_sql",
        do("pay_balance"),
        do("adopt_opening"),
    ),
    race(
        "balance x refund credit",
        "refund_waiting",
        do("pay_balance", order="other"),
        do("approve"),
    ),
    race("balance x expiry", "order_and_money", do("pay_balance", LAST), do("expire", DUE)),
    race("balance x cancel", "order_and_money", do("pay_balance"), do("cancel")),
    race("top-up x top-up: first movement", "nobody", do("top_up"), do("top_up")),
    race("first access x first access", "nobody", *[do("look_at_balance")] * 4),
    race("first access x first movement", "nobody", do("look_at_balance"), do("top_up")),
    # --- starting at a gateway ---
    race("start x start", "order_and_money", do("gateway_start"), do("gateway_start")),
    # Whoever finds that the other one chose differently meanwhile is told to come again.
    race(
        "start x start: another gateway",
        "order_and_money",
        do("gateway_start"),
        do("gateway_start", method="alipay"),
        ask_again=CHOSEN_OTHERWISE,
    ),
    race(
        "start x start: another scene",
        "order_and_money",
        do("gateway_start"),
        do("gateway_start", scene="h5"),
        ask_again=CHOSEN_OTHERWISE,
    ),
    race("start x cancel", "order_and_money", do("gateway_start"), do("cancel")),
    race("start x expiry", "order_and_money", do("gateway_start", LAST), do("expire", DUE)),
    race(
        "start x cancel x buyer pays",
        "order_and_money",
        do("gateway_start"),
        do("cancel"),
        do("buyer_pays_whatever_is_open", is_shown=True),
    ),
    race(
        "start x expiry x buyer pays",
        "order_and_money",
        do("gateway_start", LAST),
        do("expire", DUE),
        do("buyer_pays_whatever_is_open", DUE, is_shown=True),
    ),
    race(
        "start elsewhere x start elsewhere",
        "order_at_gateway",
        do("gateway_start", method="alipay"),
        do("gateway_start", method="alipay"),
    ),
    race("start x balance", "order_and_money", do("gateway_start"), do("pay_balance")),
    race(
        "start elsewhere x buyer pays",
        "order_at_gateway",
        do("gateway_start", method="alipay"),
        do("buyer_pays"),
    ),
    # --- refunds ---
    race(
        "refund x refund",
        "order_paid_from_balance",
        do("ask_refund", amount="20.00"),
        do("ask_refund", amount="20.00"),
    ),
    race(
        "refund x refund: both fit",
        "order_paid_by_gateway",
        do("ask_refund", amount="10.00"),
        do("ask_refund", amount="20.00"),
    ),
    race("approve x approve", "refund_waiting", do("approve"), do("approve", by=1)),
    race("approve x approve: one person", "refund_waiting", do("approve"), do("approve")),
    race(
        "approve x approve: two are needed",
        "refund_waiting_for_two_people",
        *[do("approve", by=number) for number in range(3)],
        is_alike=True,
    ),
    race(
        "approve x approve: two are needed, one person",
        "refund_waiting_for_two_people",
        do("approve"),
        do("approve"),
    ),
    race(
        "approve x approve: two refunds",
        "two_refunds_waiting",
        do("approve"),
        do("approve", refund="other_refund"),
    ),
    race("bulk x approve: one order", "bulk_agreed_to", do("run_bulk"), do("approve", by=2)),
    race("bulk x refund", "bulk_agreed_to", do("run_bulk"), do("ask_refund", amount="20.00")),
    race("bulk x bulk: two workers", "bulk_agreed_to", do("run_bulk"), do("run_bulk")),
    race("approve x reject", "refund_waiting", do("approve"), do("reject")),
    race("approve x withdraw", "refund_waiting", do("approve"), do("withdraw")),
    race("reject x withdraw", "gateway_refund_waiting", do("reject"), do("withdraw")),
    race("approve x refund", "refund_waiting", do("approve"), do("ask_refund", amount="20.00")),
    race("withdraw x refund", "refund_waiting", do("withdraw"), do("ask_refund", amount="30.00")),
    race("submit x submit", "gateway_refund_approved", do("submit_refund"), do("submit_refund")),
    race("submit x sweep", "gateway_refund_approved", do("submit_refund"), do("sweep_refunds")),
    race(
        "refund result: failed x success",
        "gateway_refund_sent",
        do("hear_refund", state="closed"),
        do("hear_refund", state="success"),
    ),
    race(
        "refund result: success x success",
        "gateway_refund_sent",
        do("hear_refund", state="success"),
        do("hear_refund", state="success"),
    ),
    race("withdraw x withdraw", "refund_waiting", do("withdraw"), do("withdraw")),
    race("retry x retry", "gateway_refund_failed", do("retry_refund"), do("retry_refund", by=1)),
    race(
        "retry x late success",
        "gateway_refund_failed",
        do("retry_refund"),
        do("hear_refund", state="success"),
    ),
    race(
        "retry x another request",
        "gateway_refund_failed",
        do("retry_refund"),
        do("ask_refund", amount="10.00"),
    ),
    race(
        "late success x another request",
        "gateway_refund_failed",
        do("hear_refund", state="success"),
        do("ask_refund", amount="10.00"),
    ),
    race("two takers of a notice", "gateway_refund_announced", *[do("take_notices")] * 2),
    race(
        "notice x query of a refund",
        "gateway_refund_announced",
        do("take_notices"),
        do("sweep_refunds", 20),
    ),
    race("two takers: outside refund", "outside_refund_announced", *[do("take_notices")] * 2),
    race(
        "outside refund x request",
        "outside_refund_announced",
        do("take_notices"),
        do("ask_refund", amount="25.00"),
    ),
    race(
        "write-off confirmed x confirmed",
        "write_off_asked",
        do("confirm_write_off"),
        do("confirm_write_off", by=1),
    ),
    race(
        "write-off confirmed x settled by itself",
        "write_off_asked",
        do("confirm_write_off"),
        do("hear_refund", state="success"),
    ),
    race("two beats", "a_busy_hour", do("beat", DUE), do("beat", DUE)),
    race("two sweepers: surplus", "money_after_the_end", do("sweep_surplus"), do("sweep_surplus")),
    race(
        "two sweepers: refunds", "gateway_refund_approved", do("sweep_refunds"), do("sweep_refunds")
    ),
    # --- orders ---
    race(
        "two orders for one appointment",
        "nobody",
        do("create_for_appointment"),
        do("create_for_appointment"),
    ),
    race(
        "order creation x expiry: one appointment",
        "order_for_appointment",
        do("create_for_appointment", DUE),
        do("expire", DUE),
    ),
    race(
        "order creation x cancel: one appointment",
        "order_for_appointment",
        do("create_for_appointment"),
        do("cancel"),
    ),
    race(
        "price change x order creation",
        "priced_service",
        do("change_price", price="50.00"),
        do("create_priced"),
    ),
    race(
        "price change x price change",
        "priced_service",
        do("change_price", price="50.00"),
        do("change_price", price="60.00"),
        do("create_priced", DUE),
    ),
    # --- configuration ---
    race(
        "configuration change x start",
        "order_and_configuration",
        do("change_configuration"),
        do("gateway_start"),
    ),
    race(
        "configuration change x configuration change",
        "order_and_configuration_by_sql",
        do("change_configuration"),
        do("change_configuration"),
        do("gateway_start"),
    ),
    race(
        "configuration change x callback",
        "order_paid_at_gateway_and_configuration",
        do("change_configuration"),
        do("callback"),
    ),
    race(
        "configuration changed by SQL, seen twice at once",
        "order_and_configuration_by_sql",
        do("gateway_start"),
        do("gateway_start"),
    ),
    # --- one idempotency key, over the API ---
    race(
        "one key: orders",
        "nobody",
        *[do("post_order", key="k")] * 3,
        ask_again=IN_PROGRESS,
    ),
    race(
        "one key: balance payments",
        "order_and_money",
        *[do("post_payment", key="k")] * 3,
        ask_again=IN_PROGRESS,
    ),
    race(
        "one key: gateway payments",
        "order_and_money",
        *[do("post_payment", key="k", method="wechat")] * 2,
        ask_again=IN_PROGRESS,
    ),
    race(
        "one key: refunds",
        "order_paid_from_balance",
        *[do("post_refund", key="k")] * 3,
        ask_again=IN_PROGRESS,
    ),
    race(
        "one key, two bodies",
        "order_paid_from_balance",
        do("post_refund", key="k"),
        do("post_refund", key="k", amount="20.00"),
        ask_again=IN_PROGRESS,
    ),
    race(
        "two keys: balance payments",
        "order_and_money",
        do("post_payment", key="k"),
        do("post_payment", key="l"),
    ),
)

# Code that must never pass: the harness has to find these.
NAIVE = (
    race(
        "lost update",
        "order_and_money",
        do("naive_debit", amount="10.00"),
        do("naive_debit", amount="20.00"),
        is_naive=True,
    ),
    race(
        "money spent twice",
        "two_orders_and_money_for_one",
        do("naive_spend", amount="30.00"),
        do("naive_spend", amount="30.00"),
        is_naive=True,
    ),
)
