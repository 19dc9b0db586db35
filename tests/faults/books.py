"""What clients and gateways were told, against what the database and the gateways' books say."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.load import PAID
from tests.faults.stage import Stage

SHOWN_MAX = 8
REFUND_NUMBER_LENGTH = 27  # RFD, the time, a suffix; a later generation adds R2, R3 …


@dataclass
class Comparison:
    """Findings by kind: all of them have to be empty."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)  # told no, and it was done
    others: list[str] = field(default_factory=list)
    acknowledged: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.contradicted or self.others)

    def lines(self) -> Iterator[str]:
        for name in ("lost", "doubled", "contradicted", "others"):
            found = getattr(self, name)
            yield from (f"{name}: {text}" for text in found[:SHOWN_MAX])
            if len(found) > SHOWN_MAX:
                yield f"{name}: … {len(found) - SHOWN_MAX} more"


Lines = list[dict[str, Any]]


def read_journal(file: Path) -> Lines:
    """All whole lines so far."""
    if not file.exists():
        return []
    text = file.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def acknowledgements(lines: Lines) -> Lines:
    return [line for line in lines if line["what"] == "yes"]


def longest_gap(lines: Lines, *, since: float = 0.0, until: float = float("inf")) -> float:
    """The longest time (seconds) in which no client was told yes."""
    moments = [line["at"] for line in acknowledgements(lines) if since <= line["at"] <= until]
    return max((b - a for a, b in pairwise(moments)), default=0.0)


class Truth:
    """The rows of one run of the load."""

    def __init__(self, stage: Stage, run: str) -> None:
        mine = f"{run}-%"
        orders = stage.query(
            "SELECT id, description, status, amount, payment_method FROM payment_orders"
            " WHERE description LIKE %s",
            [mine],
        )
        self.orders = {row[0]: row for row in orders}
        self.order_names = Counter(row[1] for row in orders)
        payments = stage.query(
            "SELECT t.order_id, t.payment_method, t.out_trade_no FROM payment_transactions t"
            " JOIN payment_orders o ON o.id = t.order_id WHERE o.description LIKE %s"
            " AND t.transaction_type = 'payment' AND t.status = 'success'",
            [mine],
        )
        self.balance_payments = Counter(row[0] for row in payments if row[1] == "balance")
        self.expenses = Counter(
            row[0]
            for row in stage.query(
                "SELECT b.related_id FROM balance_transactions b JOIN payment_orders o"
                " ON o.id = b.related_id WHERE o.description LIKE %s"
                " AND b.transaction_type = 'expense'",
                [mine],
            )
        )
        refunds = stage.query(
            "SELECT id, refund_reason, status FROM refund_records WHERE refund_reason LIKE %s",
            [mine],
        )
        self.refunds = {row[0]: row for row in refunds}
        self.refund_names = Counter(row[1] for row in refunds)

    def is_paid(self, order_id: str) -> bool:
        order = self.orders.get(order_id)
        return order is not None and order[2] in PAID


def compare(stage: Stage, lines: Lines, run: str) -> Comparison:
    """Everything that clients of this run and the gateways were told so far."""
    told = stage.ask_stand_in(
        "SELECT t.channel, t.out_trade_no FROM notice n JOIN trade t ON t.id = n.trade_id"
        " WHERE n.state = 'delivered' AND n.refund_id IS NULL AND t.paid_at IS NOT NULL"
    )
    truth = Truth(stage, run)
    result = Comparison(acknowledged=len(acknowledgements(lines)))
    for line in lines:
        if checker := CHECKS.get((line["what"], line["op"])):
            checker(truth, line, result)
        elif line["what"] in {"undecided", "broken", "error500"}:
            result.others.append(f"{line['what']} {line['op']} {line.get('body', '')}")
    result.doubled += [f"order {name}" for name, n in truth.order_names.items() if n > 1]
    result.doubled += [f"refund {name}" for name, n in truth.refund_names.items() if n > 1]
    result.doubled += [f"debit of order {order}" for order, n in truth.expenses.items() if n > 1]
    _compare_callbacks(stage, set(told), result)
    return result


def _compare_callbacks(stage: Stage, told: set[tuple[str, str]], result: Comparison) -> None:
    """What a gateway was told "success" for."""
    booked = _booked_payments(stage)
    result.acknowledged += len(told)
    result.lost += [f"acknowledged callback of {trade}" for trade in sorted(told - booked)]


def _booked_payments(stage: Stage) -> set[tuple[str, str]]:
    rows = stage.query(
        "SELECT payment_method, out_trade_no FROM payment_transactions"
        " WHERE transaction_type = 'payment' AND status = 'success' AND out_trade_no IS NOT NULL"
    )
    return {(row[0], row[1]) for row in rows}


def _order_yes(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    order = truth.orders.get(line["id"])
    if order is None or f"{order[3]:.2f}" != line["amount"]:
        result.lost.append(f"order {line['name']} {line['id']}")


def _order_no(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    if truth.order_names[line["name"]]:
        result.contradicted.append(f"order {line['name']}: told {line['code']}")


def _balance_yes(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    order_id = line["id"]
    if not truth.is_paid(order_id) or not truth.expenses[order_id]:
        result.lost.append(f"balance payment of order {order_id}")
    if truth.balance_payments[order_id] > 1:
        result.doubled.append(f"balance payment of order {order_id}")


def _balance_no(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    if truth.balance_payments[line["id"]]:
        result.contradicted.append(f"balance payment of {line['id']}: told {line['code']}")


def _seen_yes(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    if not truth.is_paid(line["id"]):
        result.lost.append(f"order {line['id']} was seen paid")


def _refund_yes(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    if line["id"] not in truth.refunds:
        result.lost.append(f"refund {line['name']}")


def _refund_no(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    if truth.refund_names[line["name"]]:
        result.contradicted.append(f"refund {line['name']}: told {line['code']}")


def _review_yes(truth: Truth, line: dict[str, Any], result: Comparison) -> None:
    refund = truth.refunds.get(line["id"])
    if refund is None or refund[2] in {"pending", "cancelled"}:
        result.lost.append(f"review of refund {line['id']}")


CHECKS = {
    ("yes", "order"): _order_yes,
    ("no", "order"): _order_no,
    ("yes", "balance"): _balance_yes,
    ("no", "balance"): _balance_no,
    ("yes", "seen"): _seen_yes,
    ("yes", "refund"): _refund_yes,
    ("no", "refund"): _refund_no,
    ("yes", "review"): _review_yes,
}


# --- once everything has come to rest -----------------------------------------------------------


def unsettled(stage: Stage) -> list[str]:
    """What still moves: money that one side knows of and the other does not yet."""
    paid = set(
        stage.ask_stand_in("SELECT channel, out_trade_no FROM trade WHERE paid_at IS NOT NULL")
    )
    found = [
        f"paid at the gateway only: {trade}" for trade in sorted(paid - _booked_payments(stage))
    ]
    moving = stage.ask_stand_in("SELECT out_refund_no FROM refund WHERE status = 'PROCESSING'")
    found += [f"refund {row[0]} moves at the gateway" for row in moving]
    for row in stage.query("SELECT refund_no FROM refund_records WHERE status = 'processing'"):
        found.append(f"refund {row[0]} is processing")
    surplus = stage.query(
        "SELECT transaction_no FROM payment_transactions WHERE disposition IN ('late', 'second')"
        " AND status = 'success' AND refund_reserved < amount"
    )
    found += [f"surplus {row[0]} was not given back yet" for row in surplus]
    waiting = stage.query("SELECT COUNT(*) FROM payment_callbacks WHERE is_picked_up = 0")
    if waiting[0][0]:
        found.append(f"{waiting[0][0]} refund notices wait")
    return found


def compare_gateways(stage: Stage) -> Comparison:
    """Both books, to the fen and in both directions. Nothing moves any more."""
    result = Comparison()
    result.others += unsettled(stage)
    theirs = {
        (channel, number): fen
        for channel, number, fen in stage.ask_stand_in(
            "SELECT channel, out_refund_no, amount_fen FROM refund WHERE status = 'SUCCESS'"
        )
    }
    ours = {
        (method, no if generation == 1 else f"{no}R{generation}"): int(amount * 100)
        for method, no, generation, amount in stage.query(
            "SELECT t.payment_method, r.refund_no, r.number_generation, r.refund_amount"
            " FROM refund_records r JOIN payment_transactions t ON t.id = r.transaction_id"
            " WHERE r.status = 'success' AND t.payment_method <> 'balance'"
        )
    }
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            result.others.append(f"refund {key}: {theirs.get(key)} fen there, {ours.get(key)} here")
    once = Counter(number[:REFUND_NUMBER_LENGTH] for _channel, number in theirs)
    result.doubled += [f"refund {number} at the gateway" for number, n in once.items() if n > 1]
    here = _booked_payments(stage)
    there = set(
        stage.ask_stand_in("SELECT channel, out_trade_no FROM trade WHERE paid_at IS NOT NULL")
    )
    result.others += [f"booked, but never paid there: {trade}" for trade in sorted(here - there)]
    return result
