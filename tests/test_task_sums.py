"""A task says how much it did: all that its steps did, each step once."""

from contextlib import ExitStack
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest

from payments import tasks as payment_tasks
from refunds import tasks as refund_tasks

SUMS = {
    payment_tasks.sweep_attempts: (
        "payments.services.silence.gateways_silent_report",
        "payments.services.sweeping.attempts_sweep",
        "payments.services.stuck.attempts_stuck_report",
        "payments.services.endpoint_cases.endpoint_cases_keep",
    ),
    refund_tasks.sweep: (
        "refunds.services.batches.batches_sweep",
        "refunds.services.bulk_runs.bulks_sweep",
        "refunds.services.funds.accounts_filled_report",
        "refunds.services.lasting_refusals.gateways_refusing_report",
        "refunds.services.stuck.refunds_stuck_report",
        "refunds.services.notices.notices_take",
        "refunds.services.surplus.surplus_sweep",
        "refunds.services.submission.refunds_sweep",
    ),
    refund_tasks.take_notices: ("refunds.services.notices.notices_take",),
    payment_tasks.keep_day_figures: ("payments.services.day_figures.figures_keep",),
    refund_tasks.keep_day_figures: ("payments.services.day_figures.keep",),
}


@pytest.mark.parametrize("task", SUMS, ids=lambda task: task.name)
def test_a_task_tells_of_all_its_steps(task):
    with ExitStack() as patched, patch("payments.services.activations.activations_watch") as watch:
        steps = [
            patched.enter_context(patch(name, return_value=2**index))
            for index, name in enumerate(SUMS[task])
        ]
        assert task() == 2 ** len(steps) - 1
    assert [step.call_count for step in steps] == [1] * len(steps)
    assert watch.called == (task is payment_tasks.sweep_attempts)


def test_expiry_tells_how_many_orders_expired():
    ended = Mock(return_value=SimpleNamespace(expired=3, waiting=5))
    with patch("payments.services.endings.orders_expire", ended):
        assert payment_tasks.expire_orders() == 3


@pytest.mark.parametrize("sealed", [(None, "seal"), ("seal", "seal"), (None, None)])
def test_sealing_tells_how_many_logs_were_sealed(sealed):
    with patch("payments.tasks.chain_seal_and_tell", side_effect=sealed):
        assert payment_tasks.seal_logs() == sum(seal is not None for seal in sealed)
