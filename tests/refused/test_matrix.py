"""Every call × every answer × every state × both channels, once and for half an hour.

A quarter of it in a usual run, another one with each seed: each state once or lasting in turns and
with every second answer, so that all are met in half of the states. All of it with REFUSALS=all.

In the end both books say the same, whoever wanted a part of the money back has it once, nothing is
stuck and the audit finds nothing; whatever the gateway said and whatever people tried meanwhile.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from django.db import connection

from conftest import SEED
from payments.models import PaymentOrder
from refunds.models import Refund
from refunds.services.retries import refund_retry
from tests.refused.stage import ADMIN, CHANNELS, PART, Stage

Fault = Mapping[str, object]
IS_WHOLE = os.environ.get("REFUSALS") == "all"


def refused(code: str, **more: object) -> Fault:
    return {"kind": "refused", "code": code} | more


UNCLEAR: Mapping[str, Fault] = {
    "no answer, not done": {"kind": "error_before"},
    "no answer, done": {"kind": "lost_after"},
    "error, done": {"kind": "error_after"},
    "garbage, done": {"kind": "garbage"},
    "bad signature, done": {"kind": "bad_signature"},
    "too often": {"kind": "rate_limited"},
}
ANSWERS: Mapping[str, Mapping[str, Fault]] = {
    "wechat": {
        "no permission": refused("NO_AUTH", status=403),
        "wrong signature": refused("SIGN_ERROR", status=401),
        "wrong parameter": refused("PARAM_ERROR", status=400),
        "invalid request": refused("INVALID_REQUEST", status=400),
        "suspended": refused("ACCOUNT_ERROR", status=403),
        "rule": refused("RULE_LIMIT", status=403),
        "no such merchant": refused("MCH_NOT_EXISTS", status=400),
        "unknown refusal": refused("NEVER_HEARD_OF", status=403),
        "no, but done": {"kind": "forbidden"},
        **UNCLEAR,
    },
    "alipay": {
        "no permission": refused("40006"),
        "wrong signature": refused("40002"),
        "wrong clock": refused("40002", sub_code="isv.invalid-timestamp"),
        "wrong application": refused("40002", sub_code="isv.invalid-app-id"),
        "no token": refused("20001"),
        "missing parameter": refused("40001"),
        "conditions": refused("40003"),
        "wrong parameter": refused("40004"),
        "suspended": refused("40004", sub_code="ACQ.ACCESS_FORBIDDEN"),
        "no, but done": {"kind": "forbidden"},
        **UNCLEAR,
    },
}
OPERATIONS = {
    "wechat": {
        "create": "wechat.prepay",
        "query": "wechat.query",
        "close": "wechat.close",
        "refund": "wechat.refund",
        "query_refund": "wechat.query_refund",
    },
    "alipay": {
        "create": "alipay.precreate",
        "query": "alipay.query",
        "close": "alipay.close",
        "refund": "alipay.refund",
        "query_refund": "alipay.query_refund",
    },
}


@dataclass
class Cell:
    """One order with the answer that its call gets."""

    stage: Stage
    channel: str
    fault: Fault
    is_lasting: bool
    order: PaymentOrder

    def hit(self, call: str, number: str = "") -> None:
        """From now on ``call`` about this order is answered so."""
        number = number or self.order.order_no
        if self.fault["kind"] == "forbidden":
            self.stage.wire.forbidding[self.channel].add(number)
            return
        operation = OPERATIONS[self.channel][call]
        order = {"operation": operation, "number": number, "lasting": self.is_lasting}
        self.stage.order_faults({**self.fault, **order})

    def lose(self, call: str, number: str, kind: str) -> None:
        """The next ``call`` gets no answer."""
        operation = OPERATIONS[self.channel][call]
        self.stage.order_faults({"operation": operation, "number": number, "kind": kind})

    def refund_no(self) -> str:
        refund = Refund.objects.filter(order=self.order).order_by("created_at").first()
        assert refund is not None
        return refund.refund_no


# How a state is reached (all cells together), and what hits the call in it (each cell). -----------


def pay_all(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.stage.start(cell.order, cell.channel) == ""
        cell.stage.payer_pays(cell.order, cell.channel)


def pay_and_refund(cells: list[Cell]) -> None:
    pay_all(cells)
    cells[0].stage.pass_time(minutes=2)
    for cell in cells:
        cell.stage.refund(cell.order)


def second_start_of_a_shown_code(cells: list[Cell]) -> None:
    scene = {"wechat": "native", "alipay": "qr"}
    for cell in cells:
        assert cell.stage.start(cell.order, cell.channel, scene[cell.channel]) == ""
        cell.hit("create")
        cell.stage.start(cell.order, cell.channel, scene[cell.channel])
        cell.stage.payer_pays(cell.order, cell.channel)


def second_start_after_a_lost_answer(cells: list[Cell]) -> None:
    scene = {"wechat": "native", "alipay": "qr"}
    for cell in cells:
        cell.lose("create", cell.order.order_no, "lost_after")
        assert cell.stage.start(cell.order, cell.channel, scene[cell.channel]) != ""
        cell.hit("create")
        cell.stage.start(cell.order, cell.channel, scene[cell.channel])
        cell.stage.payer_pays(cell.order, cell.channel)


def asked_about_while_paid(cells: list[Cell]) -> None:
    pay_all(cells)
    for cell in cells:
        cell.hit("query")


def asked_about_while_unpaid(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.stage.start(cell.order, cell.channel) == ""
        cell.hit("query")
    cells[0].stage.pass_time(minutes=5)
    for cell in cells:
        cell.stage.payer_pays(cell.order, cell.channel)


def expiring_while_paid(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.stage.start(cell.order, cell.channel) == ""
    cells[0].stage.pass_time(minutes=110, every_seconds=1100)
    for cell in cells:
        cell.stage.payer_pays(cell.order, cell.channel)
        cell.hit("query")


def closed_at_its_expiry(cells: list[Cell]) -> None:
    for cell in cells:
        assert cell.stage.start(cell.order, cell.channel) == ""
        cell.hit("close")
    cells[0].stage.pass_time(minutes=110, every_seconds=1100)
    cells[0].stage.pass_time(minutes=16, every_seconds=240)
    for cell in cells:
        theirs = cell.stage.their_trade(cell.channel, cell.order.order_no)
        if theirs.closed_at is None:
            cell.stage.payer_pays(cell.order, cell.channel)


def first_sending(cells: list[Cell]) -> None:
    pay_and_refund(cells)
    for cell in cells:
        cell.hit("refund", cell.refund_no())


def second_sending_of_what_was_done(cells: list[Cell]) -> None:
    """The first is done and unanswered, and so is the question after it; the next is refused."""
    pay_and_refund(cells)
    for cell in cells:
        cell.lose("refund", cell.refund_no(), "lost_after")
    cells[0].stage.sweep()
    for cell in cells:
        cell.hit("refund", cell.refund_no())
        cell.hit("query_refund", cell.refund_no())


def second_sending_of_what_was_not_done(cells: list[Cell]) -> None:
    pay_and_refund(cells)
    for cell in cells:
        cell.lose("refund", cell.refund_no(), "error_before")
    cells[0].stage.sweep()
    for cell in cells:
        cell.hit("refund", cell.refund_no())


def asked_about_a_refund_done_unanswered(cells: list[Cell]) -> None:
    pay_and_refund(cells)
    for cell in cells:
        cell.lose("refund", cell.refund_no(), "lost_after")
        cell.hit("query_refund", cell.refund_no())


def asked_about_a_refund_in_process(cells: list[Cell]) -> None:
    pay_and_refund(cells)
    cells[0].stage.sweep()
    for cell in cells:
        cell.hit("query_refund", cell.refund_no())


def asked_about_a_refund_that_never_arrived(cells: list[Cell]) -> None:
    pay_and_refund(cells)
    for cell in cells:
        cell.lose("refund", cell.refund_no(), "error_before")
        cell.hit("query_refund", cell.refund_no())


STATES: tuple[Callable[[list[Cell]], None], ...] = (
    second_start_of_a_shown_code,
    second_start_after_a_lost_answer,
    asked_about_while_paid,
    asked_about_while_unpaid,
    expiring_while_paid,
    closed_at_its_expiry,
    first_sending,
    second_sending_of_what_was_done,
    second_sending_of_what_was_not_done,
    asked_about_a_refund_done_unanswered,
    asked_about_a_refund_in_process,
    asked_about_a_refund_that_never_arrived,
)


def somebody_tries_again(cell: Cell, *, by_retry: bool) -> None:
    """Whoever wanted the money back and sees that it failed asks anew, or has it retried."""
    refunds = list(Refund.objects.filter(order=cell.order, cause="requested"))
    if not refunds or any(refund.status != "failed" for refund in refunds):
        return
    if not by_retry:
        cell.stage.refund(cell.order, PART)
        return
    with cell.stage.at():
        refund_retry(actor=ADMIN, refund_id=refunds[0].id, reason="重试")


def test_there_are_enough_of_them() -> None:
    assert sum(map(len, ANSWERS.values())) * len(STATES) * 2 >= 600


def played() -> Iterator[object]:
    """Each state, at one gateway with answers that last and at the other with those given once."""
    for column, state in enumerate(STATES):
        for row, channel in enumerate(CHANNELS):
            if IS_WHOLE or (row + column + SEED) % 2 == 0:
                yield pytest.param(state, channel, id=f"{state.__name__}-lasting at {channel}")


def answers_played(
    channel: str, state: Callable[[list[Cell]], None]
) -> Iterator[tuple[str, Fault]]:
    column = STATES.index(state)
    for place, answer in enumerate(ANSWERS[channel].items()):
        if IS_WHOLE or (place + column // 2 + SEED // 2) % 2 == 0:
            yield answer


@pytest.mark.skipif(
    connection.vendor != "sqlite" and not IS_WHOLE, reason="the rules are the same on all databases"
)
@pytest.mark.parametrize(("state", "lasting_at"), list(played()))
def test_a_no_changes_nothing(stage, state, lasting_at) -> None:
    cells = {
        f"{name} at {channel}": Cell(stage, channel, fault, channel == lasting_at, stage.order())
        for channel in CHANNELS
        for name, fault in answers_played(channel, state)
    }
    state(list(cells.values()))
    stage.pass_time(minutes=6)
    stage.pass_time(minutes=24, every_seconds=360)
    for cell in cells.values():
        somebody_tries_again(cell, by_retry=False)
    stage.pass_time(minutes=3)
    stage.recover()
    stage.pass_time(minutes=10, every_seconds=150)
    for cell in cells.values():
        somebody_tries_again(cell, by_retry=True)
    stage.pass_time(minutes=10, every_seconds=300)
    for _hours in range(3):
        stage.recover()
        stage.pass_time(minutes=100, every_seconds=2000)
    wrong = {
        name: problem
        for name, cell in cells.items()
        for problem in stage.problems([cell.order], cell.channel).values()
    }
    assert wrong == {}
    assert stage.audit() == []
