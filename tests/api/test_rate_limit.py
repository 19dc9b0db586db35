"""So many requests a minute per user (CONTRACT section 1)."""

import os
from types import SimpleNamespace

import pytest

import tcmpay.settings
from tcmpay.common.actor import Role
from tests.api.kit import nothing_moves, someone


@pytest.fixture
def limit(settings, still_window) -> int:
    settings.RATE_LIMIT_PER_MINUTE = 3
    return 3


@pytest.mark.skipif("RATE_LIMIT_PER_MINUTE" in os.environ, reason="the environment says another")
def test_the_default_is_1200_a_minute():
    # The module, not the settings object: that one has been changed for these tests.
    assert tcmpay.settings.RATE_LIMIT_PER_MINUTE == 1200


def test_one_request_past_the_limit_is_429_and_says_when_to_come_back(api, limit, patient):
    for _ in range(limit):
        api.get("orders", by=patient).accepted()
    answer = api.get("orders", by=patient).refused(429, "RATE_LIMITED")
    assert answer.headers["Retry-After"] == "45"


def test_what_is_refused_moves_nothing(api, story, limit, rich_patient):
    order = story.order(rich_patient)
    for _ in range(limit):
        api.get("orders", by=rich_patient)
    with nothing_moves():
        body = {"order_id": order["id"], "payment_method": "balance"}
        api.post("pay", body, by=rich_patient).refused(429, "RATE_LIMITED")


def test_each_user_has_a_limit_of_their_own(api, limit, patient, other_patient):
    for _ in range(limit + 1):
        api.get("orders", by=patient)
    api.get("orders", by=other_patient).accepted()


def test_a_user_has_one_limit_whatever_is_called_in_whatever_role(api, limit, patient):
    api.get("orders", by=patient).accepted()
    api.get("refunds", by=patient).accepted()
    api.get("nothing", by=patient)  # no endpoint, no count
    api.get("statistics", by=someone(Role.ADMIN, patient.id)).accepted()
    api.get(f"balance/{patient.name}", by=patient).refused(429, "RATE_LIMITED")


def test_the_next_minute_begins_anew(api, limit, patient, monkeypatch):
    for _ in range(limit + 1):
        api.get("orders", by=patient)
    later = SimpleNamespace(time=lambda: 1_800_000_000 + 60)
    monkeypatch.setattr("tcmpay.guard.services.time", later)
    api.get("orders", by=patient).accepted()


def test_those_without_a_token_share_the_limit_of_their_address(api, limit):
    for _ in range(limit):
        api.get("prices").accepted()
    api.get("prices").refused(429, "RATE_LIMITED")


def test_a_forged_forwarded_address_buys_no_further_limit(api, settings, limit):
    for number in range(limit):
        api.get("prices", headers={"X-Forwarded-For": f"203.0.113.{number}"}).accepted()
    answer = api.get("prices", headers={"X-Forwarded-For": "203.0.113.99"})
    answer.refused(429, "RATE_LIMITED")


def test_behind_our_proxy_the_address_that_it_saw_counts(api, settings, limit):
    settings.TRUSTED_PROXY_HOPS = 1
    for number in range(limit):
        forwarded = f"198.51.100.{number}, 203.0.113.7"
        api.get("prices", headers={"X-Forwarded-For": forwarded}).accepted()
    answer = api.get("prices", headers={"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
    answer.refused(429, "RATE_LIMITED")
    api.get("prices", headers={"X-Forwarded-For": "203.0.113.8"}).accepted()


def test_health_is_never_limited(api, limit):
    for _ in range(limit + 2):
        api.get("/health/live").accepted()
        api.get("/health/ready").accepted()


def test_gateways_are_never_limited(api, story, limit, patient):
    for _ in range(limit + 2):
        response = api.callback("/payment/callback/alipay", content=b"{}")
        assert response.status_code == 401
