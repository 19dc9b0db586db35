"""What the log says of a request: from whom, in few words, and once for whoever is refused."""

import ast
import json

import pytest
from django.conf import settings as product
from django.test import Client

from payments.models import PaymentCallback
from tcmpay.accounts.models import SignIn
from tcmpay.limits.request_log import ADDRESS_LINE_MAX, USER_AGENT_MAX
from tests.rooms import product_files

pytestmark = pytest.mark.django_db
PEER = "192.0.2.9"


def lines(written, event="request_finished") -> list[dict]:
    parsed = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in parsed if line["event"] == event]


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "203.0.113.1", PEER),
        (1, "6.6.6.6, 203.0.113.1", "203.0.113.1"),
        (2, "203.0.113.1", PEER),
        (1, "not an address", PEER),
    ],
)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_the_log_the_limits_and_the_rows_name_one_address(
    settings, log, hops, forwarded, address, header
):
    """Of all headers that could name it one counts, as far as our own proxies wrote it."""
    settings.TRUSTED_PROXY_HOPS = hops
    expected = address if header == "X-Forwarded-For" else PEER
    client = Client(REMOTE_ADDR=PEER, headers={header: forwarded})
    client.post("/payment/callback/alipay", b"{}", "application/json")
    client.post("/admin/login/", {"username": "nobody", "password": "wrong"})
    seen = {line["ip"] for line in lines(log)}
    seen |= set(PaymentCallback.objects.values_list("remote_address", flat=True))
    seen |= set(SignIn.objects.values_list("address", flat=True))
    assert seen == {expected}


def test_addresses_are_looked_up_in_one_place():
    """What reads a forwarding header, or the peer's address, decides who the client is."""
    found = {
        str(path.relative_to(product.BASE_DIR))
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.upper().replace("-", "_").removeprefix("HTTP_")
        in {"REMOTE_ADDR", "X_FORWARDED_FOR", "X_REAL_IP", "FORWARDED"}
    }
    assert found == {"tcmpay/common/client_address.py"}


def test_a_line_is_short_whatever_was_sent(log):
    agent = "eyJ-" * 2_000
    Client().get("/api/v1/payment/" + "a" * 4_000, HTTP_USER_AGENT=agent)
    (line,) = lines(log)
    assert len(line["request"]) <= ADDRESS_LINE_MAX + 1
    assert len(line["user_agent"]) <= USER_AGENT_MAX
    assert len(log.getvalue()) < 1_500


def test_a_host_that_is_not_ours_costs_no_line(settings, log):
    settings.ALLOWED_HOSTS = ["pay.tcm.test"]
    assert Client().get("/api/docs/", HTTP_HOST="eyJ-" * 2_000).status_code == 400
    assert "eyJ-" not in log.getvalue()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get("/api/v1/payment/prices"),
        lambda client: client.get("/api/v1/payment/orders"),
        lambda client: client.get("/api/v1/payment/nowhere"),
        lambda client: client.get("/admin/login/"),
        lambda client: client.get("/nowhere"),
        lambda client: client.get("/pay/guess"),
        lambda client: client.post("/payment/callback/alipay", b"{}", "application/json"),
        lambda client: client.post("/payment/callback/wechat", b"{}", "application/json"),
        lambda client: client.post("/payment/callback/nobody", b"{}", "application/json"),
        lambda client: client.get("/payment/callback/alipay"),
    ],
    ids=[
        "prices",
        "orders",
        "missing",
        "sign-in",
        "page",
        "guess",
        "alipay",
        "wechat",
        "nobody",
        "read",
    ],
)
def test_whoever_is_past_the_limit_is_refused_and_leaves_one_line(
    settings,
    still_window,
    log,
    ask,
):
    settings.RATE_LIMIT_PER_MINUTE = settings.RATE_LIMIT_FORGED_PER_MINUTE = 2
    client = Client()
    statuses = [ask(client).status_code for _ in range(3)]
    assert 429 not in statuses[:2]
    assert [line["code"] for line in lines(log)] == [*statuses[:2], 429]
    written = log.getvalue()
    assert {ask(client).status_code for _ in range(9)} == {429}
    assert log.getvalue() == written


def test_staff_at_work_are_not_counted_as_strangers(settings, still_window, admin_client):
    settings.RATE_LIMIT_PER_MINUTE = 2
    settings.STAFF_TOTP_REQUIRED = False
    assert {admin_client.get("/admin/").status_code for _ in range(4)} == {200}


def test_what_watches_us_is_never_counted(settings, still_window):
    settings.RATE_LIMIT_PER_MINUTE = 1
    client = Client()
    assert {client.get("/health/live").status_code for _ in range(4)} == {200}
    assert {client.get("/metrics").status_code for _ in range(4)} == {200}


def test_the_log_knows_a_request_by_the_id_that_its_client_was_told(api, patient, log):
    told = api.get("orders", by=patient).headers["X-Request-ID"]
    assert [line["request_id"] for line in lines(log)] == [told]
