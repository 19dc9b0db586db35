"""Gateways that fail, lie, hang up or answer late; the line to them."""

import time
from functools import partial

from tests.faults.play import Act, Scenario

GATEWAY_LOAD = {"weights": (20, 40, 40), "refund_chance": 0.5}


def misbehave(act: Act, kind: str, percent: float = 60, **settings: float) -> None:
    """``percent`` of all answers are wrong in one way, for a while."""
    act.stage.control.ask("faults", percent={kind: percent}, **settings)
    time.sleep(act.lasts(10, short=4))
    drawn = act.stage.control.read("faults")["drawn"]
    act.note(f"{drawn.get(kind, 0)} answers were {kind}")


def everything_at_once(act: Act) -> None:
    act.stage.control.ask("faults", percent=9, slow_seconds=1, seed=act.chance.randrange(2**31))
    time.sleep(act.lasts(20, short=6))
    act.note(str(act.stage.control.read("faults")["drawn"]))


def die(act: Act) -> None:
    """Dead for long: balances are paid, refunds wait, all is fetched up afterwards."""
    act.stage.stand_in.kill()
    time.sleep(act.lasts(30, short=6))
    act.stage.stand_in.start()


def cut_line(act: Act) -> None:
    line = act.stage.gateway_line
    ends = time.monotonic() + act.lasts(8, short=3)
    cut = 0
    while time.monotonic() < ends:
        cut += line.cut()
        time.sleep(act.chance.uniform(0.02, 0.2))
    line.is_refusing = True
    time.sleep(act.lasts(4, short=1))
    act.note(f"{cut} connections cut")


def cut_after_deed(act: Act) -> None:
    line = act.stage.gateway_line
    before = line.swallowed
    line.swallow_answers(lambda _chunk: act.chance.random() < 0.5, times=30)
    time.sleep(act.lasts(10, short=4))
    act.note(f"{line.swallowed - before} requests were done and never answered")


def silence(act: Act) -> None:
    act.stage.gateway_line.is_hole = True
    time.sleep(act.lasts(35, short=12))


KINDS = (
    ("error_before", "answers 500, nothing is done"),
    ("error_after", "answers 500, the deed is done"),
    ("rate_limited", "answers 429"),
    ("garbage", "answers with a proxy's page"),
    ("bad_signature", "answers with a wrong signature"),
    ("lost_after", "hangs up after the deed"),
)
SCENARIOS = (
    *(
        Scenario(
            f"gateway-{kind.replace('_', '-')}",
            what,
            partial(misbehave, kind=kind),
            plan=GATEWAY_LOAD,
        )
        for kind, what in KINDS
    ),
    Scenario(
        "gateway-slow",
        "answers after 30 s",
        partial(misbehave, kind="slow", percent=30, slow_seconds=30),
        plan=GATEWAY_LOAD,
    ),
    Scenario("gateway-anything", "all of these at random", everything_at_once, plan=GATEWAY_LOAD),
    Scenario("gateway-dead", "nobody listens there for long", die, plan=GATEWAY_LOAD),
    Scenario("gateway-cut", "the line is reset, then refused", cut_line, plan=GATEWAY_LOAD),
    Scenario(
        "gateway-unanswered",
        "the line is cut after the request went through",
        cut_after_deed,
        plan=GATEWAY_LOAD,
    ),
    Scenario("gateway-silent", "the line goes silent", silence, plan=GATEWAY_LOAD),
)
