"""A trial of the gateway side: real processes, stand-in gateways that fail at random, both books.

The supervisor makes a database, starts the stand-ins, a web server for their callbacks, and the
parts: buyers, staff and a sweeper. Only the sweeper ends the trial, once nothing is unfinished
any more, with the comparison of both books.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.programs import (
    POLL_SECONDS,
    START_SECONDS_MAX,
    Program,
    ProgramFailed,
    manage_now,
    running,
    scratch_database,
    stand_in_running,
    web_program,
)
from tests.servers import free_port
from tests.trial.stage import FINISH_FILE, RESULT_FILE, Plan, Stage, StandInControl

SLOW_SECONDS = 0.3
NOTICE_LATE_SECONDS_MAX = 3.0
REFUND_SETTLE_SECONDS = 30  # by the trial's clock


def trial_run(plan: Plan, say: Callable[[str], None], *, server: str = "") -> dict[str, Any]:
    """Carry out the trial; the sweeper's result, with the ``seconds`` that it took.

    The database is made for it: an SQLite file, or one of its own at ``server``.
    Raises ProgramFailed when the trial itself could not be carried out.
    """
    with tempfile.TemporaryDirectory(prefix="tcm-trial-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        url = stack.enter_context(scratch_database(folder, server))
        stage = Stage(
            plan=plan,
            folder=folder,
            database_url=url,
            stand_in_port=free_port(),
            web_port=free_port(),
            started_at=time.time(),
        )
        say(f"{url.partition(':')[0]}, seed {plan.seed}: {plan}")
        _open(stage, stack)
        return _play(stage, stack, say)


def _open(stage: Stage, stack: contextlib.ExitStack) -> None:
    """The stand-ins and the web server, with a configuration that leads from one to the other."""
    folder, environment = stage.folder, {"DATABASE_URL": stage.database_url}
    base = f"http://127.0.0.1:{stage.web_port}"
    manage_now(folder, environment, "migrate", "-v0")
    stack.enter_context(
        stand_in_running(
            folder / "gateways",
            logs=folder,
            port=stage.stand_in_port,
            options=_schedule(stage.plan),
        )
    )
    config = str(folder / "gateways" / "config.json")
    manage_now(folder, environment, "load_gateway_config", config, "--notify-base", base)
    web = web_program(folder, port=stage.web_port, environment=environment)
    stack.enter_context(running(web, stage.web_port))
    _begin_faults(stage, base)
    stage.write()


def _schedule(plan: Plan) -> list[str]:
    factor = str(1 / plan.speed)
    return [
        *("--notify-factor", factor, "--spacing-factor", factor),
        *("--refund-delay", str(REFUND_SETTLE_SECONDS / plan.speed), "--seed", str(plan.seed)),
    ]


def _begin_faults(stage: Stage, base: str) -> None:
    """Every kind that can happen by chance, to answers and to notifications alike."""
    control, percent = StandInControl(stage.stand_in_port), stage.plan.fault_percent
    kinds = set(control.read("faults")["percent"]) - {"not_found"}
    control.ask(
        "faults",
        seed=stage.plan.seed,
        percent=dict.fromkeys(kinds, percent),
        slow_seconds=SLOW_SECONDS,
        notice_late_seconds=min(NOTICE_LATE_SECONDS_MAX, 120 / stage.plan.speed),
    )
    control.ask("settings", console_refund_notify_url=f"{base}/payment/callback/wechat")


def _play(stage: Stage, stack: contextlib.ExitStack, say: Callable[[str], None]) -> dict[str, Any]:
    plan = stage.plan

    def part(name: str, number: int = 0) -> Program:
        command = [sys.executable, "-m", "tests.trial.parts", name, str(stage.folder), str(number)]
        program = Program(f"{name}-{number}", command, folder=stage.folder, environment={})
        stack.callback(program.stop)
        program.start()
        return program

    def tell(text: str) -> None:
        say(f"{time.time() - stage.started_at:.0f} s: {text}")

    sweeper, staff = part("sweeper"), part("staff")
    for program in [part("buyers", number) for number in range(plan.buyers)]:
        program.wait(plan.settle_seconds_max * 2)
    tell("all buyers are done")
    _wait_for(stage.folder / "refunds-asked", [sweeper, staff], plan.settle_seconds_max)
    tell("all refunds are asked for")
    (stage.folder / FINISH_FILE).touch()
    # The stand-ins hurry as the trial's clock does from now on.
    factor = 1 / plan.settle_speed
    StandInControl(stage.stand_in_port).ask("settings", notify_factor=factor, spacing_factor=factor)
    sweeper.wait(plan.settle_seconds_max + START_SECONDS_MAX)
    staff.wait(START_SECONDS_MAX)
    result: dict[str, Any] = json.loads((stage.folder / RESULT_FILE).read_text())
    result["seconds"] = round(time.time() - stage.started_at)
    return result


def _wait_for(file: Path, programs: Sequence[Program], seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while not file.exists():
        for program in programs:
            if program.code is not None:
                raise ProgramFailed(f"{program.name} ended early:\n{program.log_tail()}")
        if time.monotonic() > deadline:
            raise ProgramFailed(f"no {file.name} after {seconds_max:.0f} s")
        time.sleep(POLL_SECONDS)
