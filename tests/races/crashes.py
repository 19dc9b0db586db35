"""What a process that dies at a point leaves behind, and who finds it: the second table.

The dead one is a mover like the others (see ``Move.dies``). Where the text says "then", it died
before the race.
"""

from tests.races.scenarios import DUE, LAST, OVERDUE, Move, Scenario, do, race

# Past the first question of a sweep, and past the time after which a number that WeChat does not
# know never arrived there.
ASKED, NEVER_ARRIVED = 61, 6 * 60
# Past the lease of an idempotency key whose holder died.
LEASE_OVER = 61

BEFORE_START, AFTER_START = "before create_payment", "after create_payment"
BEFORE_REFUND, AFTER_REFUND = "before refund", "after refund"


def start(dies: str = "", method: str = "wechat", at: float | None = None) -> Move:
    return do("gateway_start", at, method=method, dies=dies)


def _starts(method: str) -> tuple[Scenario, ...]:
    """An attempt whose starter died, before and after the gateway took it."""
    pays = do("buyer_pays_whatever_is_open", method=method)
    return tuple(
        scenario
        for when, dies in (("before", BEFORE_START), ("after", AFTER_START))
        for scenario in (
            race(
                f"dead {when} the start x sweep: {method}",
                "order_and_money",
                start(dies, method),
                do("sweep_attempts", NEVER_ARRIVED),
            ),
            race(
                f"dead {when} the start x start: {method}",
                "order_and_money",
                start(dies, method),
                start(method=method),
            ),
            race(
                f"dead {when} the start x buyer pays: {method}",
                "order_and_money",
                start(dies, method),
                pays,
            ),
            race(
                f"dead {when} the start, then start x cancel: {method}",
                "order_and_money",
                start(method=method),
                do("cancel"),
                before=(start(dies, method),),
            ),
            race(
                f"dead {when} the start, then sweep x sweep: {method}",
                "order_and_money",
                do("sweep_attempts", NEVER_ARRIVED),
                do("sweep_attempts", NEVER_ARRIVED),
                before=(start(dies, method),),
            ),
            race(
                f"dead {when} the start, then buyer pays x expiry: {method}",
                "order_and_money",
                do("buyer_pays_whatever_is_open", LAST, method=method),
                do("expire", DUE),
                before=(start(dies, method),),
            ),
        )
    )


def _same_key(action: str, world: str, points: tuple[str, ...]) -> tuple[Scenario, ...]:
    """The holder of a key died; its client sends the request again, twice at once."""
    return tuple(
        race(
            f"dead {point}, then the same key twice: {action}",
            world,
            do(action, LEASE_OVER, key="k"),
            do(action, LEASE_OVER, key="k"),
            ask_again=("IDEMPOTENCY_IN_PROGRESS",),
            before=(do(action, key="k", dies=point),),
        )
        for point in points
    )


# The first commit of a request with a key is the key's own, the second the effect's, the third
# (outside of a transaction) the answer's.
KEY_POINTS = ("after commit 1", "before commit 2", "after commit 2")

CRASHES = (
    *_starts("wechat"),
    *_starts("alipay"),
    # --- a close, a callback ---
    *(
        race(
            f"dead {point} of an ending x buyer pays",
            "order_at_gateway",
            do("cancel", dies=point),
            do("buyer_pays"),
        )
        for point in ("before close_payment", "after close_payment", "before commit 1")
    ),
    race(
        "dead after the close, then cancel x expiry",
        "order_at_gateway",
        do("cancel", DUE),
        do("expire", DUE),
        before=(do("cancel", dies="after close_payment"),),
    ),
    race(
        "dead after an expiry's close, then two sweepers",
        "order_at_gateway",
        do("expire", OVERDUE),
        do("expire", OVERDUE),
        before=(do("expire", DUE, dies="after close_payment"),),
    ),
    *(
        race(
            f"dead {point} of a callback x callback",
            "order_paid_at_gateway",
            do("callback", dies=point),
            do("callback"),
        )
        for point in ("before commit 1", "after commit 1")
    ),
    race(
        "dead before a callback's commit x cancel",
        "order_paid_at_gateway",
        do("callback", dies="before commit 1"),
        do("cancel"),
    ),
    # --- the balance ---
    *(
        race(
            f"dead {point} of a debit x another order",
            "two_orders_and_money_for_one",
            do("pay_balance", dies=point),
            do("pay_balance", order="other"),
        )
        for point in ("before commit 1", "after commit 1")
    ),
    # --- refunds ---
    *(
        race(
            f"dead {point} x sweep",
            "gateway_refund_approved",
            do("submit_refund", dies=point),
            do("sweep_refunds", ASKED),
        )
        for point in ("after commit 1", BEFORE_REFUND, AFTER_REFUND)
    ),
    *(
        race(
            f"dead {point}, then two sweepers",
            "gateway_refund_approved",
            do("sweep_refunds", ASKED),
            do("sweep_refunds", ASKED),
            before=(do("submit_refund", dies=point),),
        )
        for point in (BEFORE_REFUND, AFTER_REFUND)
    ),
    race(
        "dead after the refund, then its notice x sweep",
        "gateway_refund_approved",
        do("hear_refund", state="success"),
        do("sweep_refunds", ASKED),
        before=(do("submit_refund", dies=AFTER_REFUND),),
    ),
    *(
        race(
            f"dead {point} of an approval x approval",
            "refund_waiting",
            do("approve", dies=point),
            do("approve", by=1),
        )
        for point in ("before commit 1", "after commit 1")
    ),
    race(
        "dead after a gateway refund's approval, then two sweepers",
        "gateway_refund_waiting",
        do("sweep_refunds"),
        do("sweep_refunds"),
        before=(do("approve", dies="after commit 1"),),
    ),
    race(
        "dead after a surplus refund began, then two beats",
        "money_after_the_end",
        do("beat", ASKED),
        do("beat", ASKED),
        before=(do("sweep_surplus", dies="after commit 1"),),
    ),
    # --- before the answer ---
    *_same_key("post_payment", "order_and_money", KEY_POINTS),
    *_same_key("post_order", "nobody", KEY_POINTS),
    *_same_key("post_refund", "order_paid_from_balance", KEY_POINTS),
)
