"""Slots and the circuit breaker."""

import threading

import pytest

from gateways.breaker import Breaker, CallLimiter
from gateways.errors import GatewayRejected, GatewayUnavailable, GatewayUnknown


def unknown():
    raise GatewayUnknown("timeout")


def rejected():
    raise GatewayRejected("no")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return CallLimiter(breaker=Breaker(failures_max=3, open_seconds=10, clock=clock))


def fail(limiter, times: int) -> None:
    for _ in range(times):
        with pytest.raises(GatewayUnknown):
            limiter.run(unknown)


def is_open(limiter) -> bool:
    try:
        return limiter.run(lambda: False)
    except GatewayUnavailable:
        return True


def test_it_opens_after_unknown_outcomes_in_a_row(limiter):
    fail(limiter, 3)
    assert is_open(limiter)


def test_an_answer_between_them_keeps_it_closed(limiter):
    fail(limiter, 2)
    limiter.run(lambda: "answer")
    fail(limiter, 2)
    assert not is_open(limiter)


def test_a_definite_no_is_an_answer(limiter):
    fail(limiter, 2)
    with pytest.raises(GatewayRejected):
        limiter.run(rejected)
    fail(limiter, 2)
    assert not is_open(limiter)


def test_it_is_open_until_its_time_and_not_longer(limiter, clock):
    fail(limiter, 3)
    clock.now = 9.9
    assert is_open(limiter)
    clock.now = 10.0
    assert not is_open(limiter)


def test_a_failed_trial_opens_it_again(limiter, clock):
    fail(limiter, 3)
    clock.now = 10.0
    fail(limiter, 1)
    assert is_open(limiter)
    clock.now = 20.0
    assert not is_open(limiter)


def test_one_trial_at_a_time(limiter, clock):
    fail(limiter, 3)
    clock.now = 10.0
    assert limiter.run(lambda: is_open(limiter)) is True


def test_a_trial_that_ends_in_a_fault_of_ours_does_not_block_the_next(limiter, clock):
    fail(limiter, 3)
    clock.now = 10.0
    with pytest.raises(ZeroDivisionError):
        limiter.run(lambda: 1 / 0)
    assert not is_open(limiter)


def test_no_more_calls_than_slots(clock):
    limiter = CallLimiter(calls_max=1, wait_seconds=0.01, breaker=Breaker(clock=clock))
    entered, leave = threading.Event(), threading.Event()

    def occupy():
        entered.set()
        leave.wait(30)

    thread = threading.Thread(target=limiter.run, args=(occupy,))
    thread.start()
    entered.wait(30)
    with pytest.raises(GatewayUnavailable):
        limiter.run(lambda: None)
    leave.set()
    thread.join()
    assert limiter.run(lambda: "free") == "free"


@pytest.mark.parametrize(("age_seconds", "is_patient"), [(0.9, True), (1.0, False)])
def test_it_waits_for_a_slot_unless_the_calls_under_way_hang(clock, age_seconds, is_patient):
    """Waiting takes a thread away from others: a gateway that hangs is not worth it."""
    limiter = CallLimiter(calls_max=1, wait_seconds=30, breaker=Breaker(clock=clock), clock=clock)
    entered, leave = threading.Event(), threading.Event()

    def occupy():
        entered.set()
        leave.wait(0.5 if is_patient else 30)  # then the slot is free for whoever still waits

    thread = threading.Thread(target=limiter.run, args=(occupy,))
    thread.start()
    entered.wait(30)
    clock.now += age_seconds
    try:
        if is_patient:
            assert limiter.run(lambda: "served") == "served"
        else:
            with pytest.raises(GatewayUnavailable):
                limiter.run(lambda: "served")
    finally:
        leave.set()
        thread.join()
