"""Callbacks that come too often, too late, in the wrong order, or from somebody else."""

import time
from typing import Any

from tests.faults import books
from tests.faults.play import Act, Scenario, expect

CALLBACK_LOAD = {"weights": (0, 50, 50), "refund_chance": 0.2}
# What is twisted → whether the product believes it.
TWISTS = {
    "wechat": ("stale", "future", "tampered", "tampered_ciphertext", "wrong_key", "no_signature",
               "wrong_merchant", "wrong_app", "signtest", "old_key"),
    "alipay": ("tampered", "wrong_key", "no_signature", "wrong_merchant", "wrong_app", "old_key"),
}  # fmt: skip
MONEY_TABLES = (
    "payment_orders", "payment_transactions", "refund_records", "user_balances",
    "balance_transactions", "payment_exceptions",
)  # fmt: skip


def delivered_trades(act: Act, channel: str, number: int = 3) -> list[str]:
    rows = act.stage.ask_stand_in(
        "SELECT DISTINCT t.out_trade_no FROM notice n JOIN trade t ON t.id = n.trade_id"
        f" WHERE n.state = 'delivered' AND n.refund_id IS NULL AND t.channel = '{channel}'"
        f" ORDER BY t.id DESC LIMIT {number}"
    )
    return [row[0] for row in rows]


def _wait_for_trades(act: Act) -> dict[str, list[str]]:
    act.stage.wait_for(
        lambda: all(len(delivered_trades(act, channel)) == 3 for channel in TWISTS),
        "callbacks of both gateways were acknowledged",
        seconds=300,
    )
    return {channel: delivered_trades(act, channel) for channel in TWISTS}


def repeat(act: Act) -> None:
    """Fifty at once and replays: every one is answered as handled, and nothing is applied twice."""
    answered = 0
    for channel, numbers in _wait_for_trades(act).items():
        answered += sum(_fifty_at_once(act, channel, number) for number in numbers)
    act.note(f"6 payments, 50 callbacks each, {answered} acknowledged, none refused")


def _fifty_at_once(act: Act, channel: str, number: str) -> int:
    """How many were acknowledged; one that had to wait too long for its turn may be unanswered."""
    told = act.stage.control.ask(
        "notify", channel=channel, out_trade_no=number, copies=50, concurrent=True
    )
    refused = [a for a in told["answers"] if a["status"] and not a["received"]]
    expect(not refused, f"{channel} {number} was refused: {refused[:2]}")
    received = sum(answer["received"] for answer in told["answers"])
    expect(received, f"{channel} {number}: none of 50 was acknowledged")
    return received


def first_fifty(act: Act) -> None:
    """Fifty at once where the first one was never sent: exactly one applies."""
    act.stage.control.ask("settings", hold_notices=True)
    held = (
        "SELECT t.channel, t.out_trade_no FROM notice n JOIN trade t ON t.id = n.trade_id"
        " WHERE n.state = 'held' AND n.refund_id IS NULL"
    )
    act.stage.wait_for(lambda: len(act.stage.ask_stand_in(held)) >= 4, "4 are held", seconds=300)
    for channel, number in act.stage.ask_stand_in(held)[:4]:
        _fifty_at_once(act, channel, number)
    _release(act, "reverse")


def reverse(act: Act) -> None:
    act.stage.control.ask("settings", hold_notices=True)
    time.sleep(act.lasts(6, short=3))
    _release(act, "reverse")


def _release(act: Act, order: str) -> None:
    act.stage.control.ask("settings", hold_notices=False)
    released = act.stage.control.ask("release", order=order)["released"]
    act.note(f"{released} callbacks came in the wrong order")


def forge(act: Act) -> None:
    """Each wrong callback is refused, and no row of money changes by it."""
    trades = _wait_for_trades(act)
    act.load.stop()
    _rest(act)
    before = _money(act)
    refused = 0
    for channel, twists in TWISTS.items():
        for twist in twists:
            number = trades[channel][refused % 3]
            told = act.stage.control.ask(
                "notify", channel=channel, out_trade_no=number, twists=[twist], copies=2
            )
            for answer in told["answers"]:
                expect(
                    400 <= answer["status"] < 500 or not answer["received"],
                    f"{channel} {twist} was believed: {answer}",
                )
                expect(answer["status"] < 500, f"{channel} {twist}: {answer}")
            refused += 1
    expect(_money(act) == before, "a callback that was refused changed a row")
    act.note(f"{refused} kinds of wrong callbacks refused, no row changed")


def _money(act: Act) -> list[Any]:
    return [act.stage.query(f"SELECT * FROM {table} ORDER BY id") for table in MONEY_TABLES]


def _rest(act: Act) -> None:
    act.stage.wait_for(lambda: not books.unsettled(act.stage), "all is at rest", seconds=300)
    # Attempts that nobody paid are asked about now and then.
    act.stage.beat.stop()
    act.stage.worker.stop()


SCENARIOS = (
    Scenario("callback-replayed", "fifty replays at once", repeat, plan=CALLBACK_LOAD),
    Scenario("callback-fifty", "the first one comes fifty times at once", first_fifty,
             plan=CALLBACK_LOAD),
    Scenario("callback-reversed", "held back, then in reverse order", reverse, plan=CALLBACK_LOAD),
    Scenario("callback-forged", "stale, tampered, foreign, old key, SIGNTEST", forge,
             plan=CALLBACK_LOAD),
)  # fmt: skip
