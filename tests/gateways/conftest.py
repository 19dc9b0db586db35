import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.gateways.stage")

from tests.gateways.stage import Stage, stage_open  # noqa: E402

CALM = {
    "refund_outcome": "SUCCESS",
    "alipay_refund_async": False,
    "refund_delay_seconds": 0.05,
    "merchant_short": False,
    "hold_notices": False,
}


@pytest.fixture(scope="session")
def _stage(tmp_path_factory) -> Iterator[Stage]:
    address = os.environ.get("DATABASE_URL", "")
    server = address if address.startswith("mysql") else ""
    with stage_open(tmp_path_factory.mktemp("stage"), server) as stage:
        yield stage


@pytest.fixture
def stage(_stage) -> Iterator[Stage]:
    yield _stage
    _stage.stand_in.ask("settings", **CALM)
    _stage.stand_in.ask("faults", clear=True)
