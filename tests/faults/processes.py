"""kill -9 of our own processes, at named points and at random; beats."""

import time
from functools import partial

from tests.faults import hooks
from tests.faults.play import Act, Scenario, expect

# Points that requests reach, and points that the worker's tasks reach.
WEB_POINTS = (
    "key-claim.after",
    "order-insert.before",
    "order-insert.after",
    "balance-debit.before",
    "balance-debit.after",
    "attempt-open.after",
    "attempt-keep.before",
    "attempt-keep.after",
    "callback-handle.before",
    "callback-handle.after",
    "refund-request.after",
    "refund-decide.after",
    "key-complete.before",
    "key-complete.after",
    "commit.before",
    "commit.after",
)
WORKER_POINTS = ("refund-begin.after", "refund-apply.before", "refund-apply.after")
REACH_SECONDS_MAX = 300.0


def kill_at_points(act: Act, points: tuple[str, ...] = WEB_POINTS) -> None:
    """Each point kills the process that reaches it first; its master starts another one."""
    for point in points:
        hooks.arm(act.stage.armed, point)
        reached = act.stage.armed / point
        act.stage.wait_for(
            lambda reached=reached: not reached.exists(),
            f"somebody reaches {point}",
            seconds=REACH_SECONDS_MAX,
        )
        act.load.wait_for_more(2)
    act.note(f"{len(points)} points")


def kill_web(act: Act) -> None:
    act.stage.web.kill()
    act.stage.web.start()


def kill_worker(act: Act) -> None:
    for _time in range(2):
        act.stage.worker.kill_one_child()
        time.sleep(act.chance.uniform(0.5, 1.5))
    act.stage.worker.kill()
    time.sleep(act.lasts(5, short=1))
    act.stage.worker.start()


def kill_beat(act: Act) -> None:
    act.stage.beat.kill()
    time.sleep(act.lasts(5, short=1))
    act.stage.beat.start()


def two_beats(act: Act) -> None:
    act.stage.second_beat.start()
    time.sleep(act.lasts(15, short=6))


def dead_beat(act: Act) -> None:
    """No sweeps, no notifications: payments are found once the beat is back."""
    act.stage.beat.kill()
    act.stage.control.ask("faults", percent={"notice_lost": 100})
    time.sleep(act.lasts(20, short=6))
    waiting = act.stage.query(
        "SELECT COUNT(*) FROM payment_transactions WHERE status = 'pending'"
        " AND transaction_type = 'payment'"
    )[0][0]
    expect(waiting, "no payment waited for the sweeps: the fault did not happen")
    act.note(f"{waiting} attempts waited for the beat")
    act.stage.beat.start()


def paused_web(act: Act) -> None:
    """A frozen process is no dead one: it goes on later, with keys that others took over."""
    act.stage.web.pause()
    time.sleep(act.lasts(20, short=9))
    act.stage.web.resume()


SCENARIOS = (
    Scenario(
        "process-web-points",
        "kill -9 of a web process before and after each commit and call",
        kill_at_points,
    ),
    Scenario(
        "process-web-commit",
        "kill -9 of a web process right after a COMMIT",
        partial(kill_at_points, points=("commit.after", "balance-debit.after")),
        is_quick=True,
    ),
    Scenario(
        "process-worker-points",
        "kill -9 of the worker around a refund's call",
        partial(kill_at_points, points=WORKER_POINTS),
        plan={"weights": (10, 45, 45), "refund_chance": 0.8},
    ),
    Scenario("process-web", "kill -9 of all web processes", kill_web),
    Scenario("process-worker", "kill -9 of the worker, mid-task and whole", kill_worker),
    Scenario("process-beat", "kill -9 of beat", kill_beat),
    Scenario("process-two-beats", "two beats at once", two_beats),
    Scenario("process-dead-beat", "beat dead, no notifications; sweeps catch up", dead_beat),
    Scenario("process-paused-web", "SIGSTOP of the web for 20 s", paused_web),
)
