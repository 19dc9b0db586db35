"""Pages of other origins: those named in CORS_ALLOWED_ORIGINS may call the API, and only that."""

import pytest
from django.test import Client

from tcmpay.cors import EXPOSED_HEADERS, MIDDLEWARE, origins_problem, with_cors

APP = "https://app.tcm.test"
ORDERS = "/api/v1/payment/orders"
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def browser(settings) -> Client:
    """A client of a deployment that names one origin."""
    settings.CORS_ALLOWED_ORIGINS = [APP]
    settings.MIDDLEWARE = with_cors(settings.MIDDLEWARE)
    return Client(raise_request_exception=False)


def preflight(browser, path=ORDERS, *, origin=APP, method="POST", asked="authorization"):
    return browser.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": asked,
        },
    )


def test_a_page_of_a_named_origin_is_told_what_it_may_send(browser):
    answer = preflight(browser, asked="authorization,content-type,idempotency-key,if-none-match")
    assert answer.status_code == 200
    assert answer[ALLOWED] == APP
    assert answer["Access-Control-Allow-Methods"] == "GET, POST, PUT"
    allowed = answer["Access-Control-Allow-Headers"].split(", ")
    assert {"authorization", "content-type", "idempotency-key", "if-none-match"} <= set(allowed)
    assert answer["Access-Control-Max-Age"] == "7200"
    assert "Access-Control-Allow-Credentials" not in answer
    assert answer["X-Request-ID"]


def test_a_page_may_read_the_headers_that_clients_work_with(browser, patient):
    headers = {"Origin": APP, "Authorization": f"Bearer {patient.token}"}
    answer = browser.get(ORDERS, headers=headers)
    assert (answer.status_code, answer[ALLOWED]) == (200, APP)
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert exposed == list(EXPOSED_HEADERS)
    wanted = {"X-Request-ID", "Retry-After", "Link", "X-Total-Count", "Idempotency-Replayed"}
    assert wanted | {"ETag"} <= set(exposed)
    assert "origin" in answer["Vary"].lower()


@pytest.mark.parametrize(
    ("path", "status"), [(ORDERS, 401), ("/api/v1/payment/nowhere", 404)], ids=["401", "404"]
)
def test_refusals_can_be_read_too(browser, path, status):
    answer = browser.get(path, headers={"Origin": APP})
    assert (answer.status_code, answer[ALLOWED]) == (status, APP)


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "https://app.tcm.test.evil.test", "http://app.tcm.test", "null"]
)
def test_another_origin_is_told_nothing(browser, origin):
    assert ALLOWED not in preflight(browser, origin=origin)
    assert ALLOWED not in browser.get(ORDERS, headers={"Origin": origin})


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/login/",
        "/payment/callback/wechat",
        "/health/live",
        "/metrics",
        "/api/docs/",
    ],
)
def test_nothing_but_the_api_is_open_to_pages(browser, path):
    assert ALLOWED not in preflight(browser, path)
    assert ALLOWED not in browser.get(path, headers={"Origin": APP})


def test_without_a_named_origin_nothing_looks_for_one(settings, api):
    assert MIDDLEWARE not in settings.MIDDLEWARE
    assert ALLOWED not in api.raw("GET", "prices", headers={"Origin": APP})


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "app.tcm.test", "https://", "https://App.tcm.test", f"{APP}/", f"{APP}/x"),
        *(
            f"{APP}:443",
            "http://app.tcm.test:80",
            f"{APP}:0",
            f"{APP}:99999",
            f"{APP}?x",
            "file://x",
        ),
        *("https://u:p@app.tcm.test", "https://*.tcm.test", "https://app.tcm.test#x", "ftp://a.b"),
    ],
)
def test_what_no_browser_sends_is_refused_at_the_start(origin):
    assert origins_problem([APP, origin], debug=True)


def test_pages_without_https_are_for_development():
    local = [APP, "http://localhost:5173", "http://[::1]:5173"]
    assert not origins_problem(local, debug=True)
    assert "https" in origins_problem(local, debug=False)
    assert not origins_problem([APP, f"{APP}:8443"], debug=False)
