"""So many requests a minute per user (CONTRACT section 1)."""

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import tcmpay.settings
from payments.models import PaymentCallback
from tcmpay.common.actor import Role
from tcmpay.common.client_address import client_address
from tcmpay.limits import redis_counter
from tcmpay.limits.models import RateCounter
from tests import servers
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


def test_the_platforms_back_end_has_a_limit_of_its_own(api, settings, limit, service):
    settings.RATE_LIMIT_SERVICE_PER_MINUTE = limit + 2
    for _ in range(limit + 2):
        api.get("orders", by=service).accepted()
    api.get("orders", by=service).refused(429, "RATE_LIMITED")


def test_the_next_minute_begins_anew(api, limit, patient, monkeypatch):
    for _ in range(limit + 1):
        api.get("orders", by=patient)
    later = SimpleNamespace(time=lambda: 1_800_000_000 + 60)
    monkeypatch.setattr("tcmpay.limits.services.time", later)
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


# --- what callers are told ----------------------------------------------------------------------


def test_answers_say_how_much_is_left(api, limit, patient):
    headers = api.get("orders", by=patient).headers
    told = [headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")]
    assert told == ["3", "2", "45"]


def test_the_last_answer_before_the_limit_and_the_first_past_it_agree(api, limit, patient):
    left = [api.get("orders", by=patient).headers["RateLimit-Remaining"] for _ in range(limit + 1)]
    assert left == ["2", "1", "0", "0"]


def test_the_nearest_limit_is_told(api, settings, limit, patient):
    settings.RATE_LIMIT_READS_PER_MINUTE = 2
    assert api.get("orders", by=patient).headers["RateLimit-Limit"] == "2"


# --- classes of endpoints -----------------------------------------------------------------------


@pytest.fixture
def roomy(settings, still_window) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 1000


def test_reads_may_have_a_lower_limit_that_payments_do_not_share(
    api, settings, roomy, story, rich_patient
):
    order = story.order(rich_patient)
    settings.RATE_LIMIT_READS_PER_MINUTE = 1
    api.get("orders", by=rich_patient).accepted()
    api.get("orders", by=rich_patient).refused(429, "RATE_LIMITED")
    story.pay(order, rich_patient)


def test_calls_that_move_money_may_have_a_lower_limit(api, settings, roomy, story, patient):
    settings.RATE_LIMIT_MONEY_PER_MINUTE = 1
    order = story.order(patient)
    with nothing_moves():
        api.put(f"orders/{order['id']}/cancel", by=patient).refused(429, "RATE_LIMITED")
    api.get("orders", by=patient).accepted()


def test_sync_may_have_a_lower_limit_over_all_orders(api, settings, roomy, story, patient):
    orders = [story.order(patient) for _ in range(2)]
    settings.RATE_LIMIT_SYNC_PER_MINUTE = 1
    api.post(f"orders/{orders[0]['id']}/sync", by=patient).accepted()
    api.post(f"orders/{orders[1]['id']}/sync", by=patient).refused(429, "RATE_LIMITED")
    story.order(patient)


def test_public_prices_may_have_a_lower_limit(api, settings, roomy, patient):
    settings.RATE_LIMIT_PUBLIC_PER_MINUTE = 1
    api.get("prices").accepted()
    api.get("prices").refused(429, "RATE_LIMITED")
    api.get("orders", by=patient).accepted()


# --- those without a valid token ----------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer x.y.z", "Basic eDp5"])
def test_guessing_tokens_is_limited_by_address(api, limit, header, patient):
    headers = {"Authorization": header} if header else {}
    for _ in range(limit):
        api.get("orders", headers=headers).refused(401, "UNAUTHENTICATED")
    answer = api.get("orders", headers=headers).refused(429, "RATE_LIMITED")
    assert answer.headers["Retry-After"] == "45"
    # Whoever has a token is not held up by strangers at the same address.
    api.get("orders", by=patient).accepted()


# --- which address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "203.0.113.1", "192.0.2.9"),
        (1, "203.0.113.1", "203.0.113.1"),
        (1, "198.51.100.1, 203.0.113.1", "203.0.113.1"),
        (2, "198.51.100.1, 203.0.113.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 203.0.113.1", "198.51.100.1"),
        # Fewer entries than proxies: it did not come through all of them.
        (2, "203.0.113.1", "192.0.2.9"),
        (1, "", "192.0.2.9"),
        (1, "unknown", "192.0.2.9"),
        (1, "6.6.6.6, <script>", "192.0.2.9"),
        (1, "203.0.113.1:54321", "203.0.113.1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "::ffff:203.0.113.1", "203.0.113.1"),
        (1, " 203.0.113.1 ", "203.0.113.1"),
    ],
)
def test_the_client_is_who_our_outermost_proxy_saw(settings, hops, forwarded, address):
    settings.TRUSTED_PROXY_HOPS = hops
    meta = {"REMOTE_ADDR": "192.0.2.9", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(meta) == address


def test_one_ipv6_network_is_one_client(settings, api, limit):
    settings.TRUSTED_PROXY_HOPS = 1
    for number in range(limit):
        api.get("prices", headers={"X-Forwarded-For": f"2001:db8:1:2::{number}"}).accepted()
    api.get("prices", headers={"X-Forwarded-For": "2001:db8:1:2:ffff::9"}).refused(
        429, "RATE_LIMITED"
    )
    api.get("prices", headers={"X-Forwarded-For": "2001:db8:1:3::1"}).accepted()


# --- callbacks ----------------------------------------------------------------------------------


def test_callbacks_that_verify_are_never_limited(api, settings, story, limit, patient):
    settings.RATE_LIMIT_FORGED_PER_MINUTE = 1
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    for _ in range(limit + 2):
        assert story.gateway_reports(order).content == b"success"


@pytest.mark.parametrize(
    ("method", "body"), [("alipay", b"failure"), ("wechat", b'{"code": "FAIL"')]
)
def test_forged_callbacks_are_limited_by_address_in_the_gateways_form(
    api, settings, still_window, method, body
):
    settings.RATE_LIMIT_FORGED_PER_MINUTE = 2
    settings.TRUSTED_PROXY_HOPS = 1

    def forge(address: str):
        return api.callback(
            f"/payment/callback/{method}", content=b"{}", headers={"X-Forwarded-For": address}
        )

    assert [forge("203.0.113.1").status_code for _ in range(4)] == [401, 401, 429, 429]
    refused = forge("203.0.113.1")
    assert refused.content.startswith(body)
    assert refused["Retry-After"] == "45"
    assert forge("203.0.113.2").status_code == 401
    # Past the limit they leave no rows either.
    assert PaymentCallback.objects.filter(verdict="untrusted").count() == 3


def test_a_flood_of_forgeries_holds_no_genuine_callback_up(
    api, settings, story, still_window, patient
):
    settings.RATE_LIMIT_FORGED_PER_MINUTE = 1
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    for _ in range(3):
        api.callback("/payment/callback/alipay", content=b"{}")
    assert story.gateway_reports(order).content == b"success"
    assert story.status(order, patient) == "paid"


# --- when Redis is away -------------------------------------------------------------------------


@pytest.fixture
def redis_away(settings) -> Iterator[None]:
    """A cache whose Redis nobody answers for."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{servers.free_port()}/1",
        }
    }
    redis_counter.forget_absence()
    yield
    redis_counter.forget_absence()


def test_without_its_redis_the_database_counts_exactly(api, limit, redis_away, patient):
    for _ in range(limit):
        api.get("orders", by=patient).accepted()
    api.get("orders", by=patient).refused(429, "RATE_LIMITED")
    assert RateCounter.objects.get().hits == limit + 1


def test_a_redis_that_is_away_is_asked_once_in_a_while_only(
    api, limit, redis_away, patient, monkeypatch
):
    asked: list[str] = []
    client = redis_counter._client

    def counted(location: str):
        asked.append(location)
        return client(location)

    monkeypatch.setattr(redis_counter, "_client", counted)
    for _ in range(limit):
        api.get("orders", by=patient)
    assert len(asked) == 1


@pytest.mark.skipif("redis" not in os.environ.get("CACHE_URL", ""), reason="needs a Redis")
def test_a_redis_that_hangs_costs_a_moment(api, settings, limit, patient):
    with servers.redis_server() as server:
        settings.CACHES = {
            "default": {**settings.CACHES["default"], "LOCATION": server.url_of(1)},
        }
        redis_counter.forget_absence()
        api.get("orders", by=patient).accepted()
        assert not RateCounter.objects.exists()
        server.pause()
        try:
            api.get("orders", by=patient).accepted()
        finally:
            server.resume()
            redis_counter.forget_absence()
    assert RateCounter.objects.get().hits == 1
