from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest

from refunds.tests import stage
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tests.events.receiver import Receiver, listening
from webhooks.services.endpoints import NewSecret, endpoint_add
from webhooks.services.turns import turn_take

# Until nothing is left that is due.
deliver = partial(turn_take, linger_seconds=0)


@pytest.fixture
def demo(settings) -> Iterator[None]:
    settings.DEBUG = True  # receivers listen on this machine
    settings.MOCK_CALLBACKS = True
    settings.ORDER_PRICE_POLICY = "open"
    settings.REFUND_SECOND_APPROVAL_OVER = None
    with clock.frozen(stage.BEGUN_AT):
        yield


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as one:
        yield one


@pytest.fixture
def subscribed(db, demo, receiver: Receiver) -> NewSecret:
    return endpoint_add(actor=SYSTEM, url=receiver.url)


@pytest.fixture
def later() -> Callable[..., object]:
    """``with later(hours=1):`` after the test began."""
    return lambda **wait: clock.frozen(stage.BEGUN_AT + timedelta(**wait))
