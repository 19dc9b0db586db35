"""Whatever happens in whatever order, the product does what the model says."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Stories

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES") or 6)
STEPS = int(os.environ.get("STATEFUL_STEPS") or 40)


@pytest.mark.django_db
def test_stories_end_as_the_model_says() -> None:
    """The seed is the run's (TEST_SEED); a failure prints the shortest story that shows it."""
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(Stories, settings=bounds)
