"""/metrics: who may look, and what it tells."""

import os
import re

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from backoffice.ops import figures, metrics
from tcmpay.limits import tasks as limits_tasks
from tests.api.kit import Api

TOKEN = "only-for-the-scraper-1"


@pytest.fixture(autouse=True)
def _fresh_figures(monkeypatch) -> None:
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)


def scrape(api: Api, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.raw("GET", "/metrics", headers=named)


def figure(response, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", response.content.decode(), re.M)
    assert found, name
    return float(found[1])


def test_without_a_token_only_this_machine_may_look(api, settings):
    settings.METRICS_TOKEN = ""
    assert scrape(api).status_code == 200
    away = api._client.get("/metrics", REMOTE_ADDR="203.0.113.5")
    assert away.status_code == 404
    assert away.content == b""


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Real_IP", "Forwarded"])
def test_what_a_proxy_on_this_machine_passes_on_is_not_local(api, settings, header):
    settings.METRICS_TOKEN = ""
    assert scrape(api, **{header: "127.0.0.1"}).status_code == 404


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(f"Bearer {TOKEN}", 200), (f"Bearer {TOKEN}x", 401), (TOKEN, 401), ("", 401), ("é", 401)],
)
def test_with_a_token_only_its_holder_may_look(api, settings, authorization, status):
    settings.METRICS_TOKEN = TOKEN
    assert scrape(api, Authorization=authorization).status_code == status


def test_it_counts_requests_by_route_and_status(api, patient):
    label = 'http_requests_total{method="GET",route="api/v1/payment/orders",status="200"}'
    api.get("orders", by=patient).accepted()
    before = figure(scrape(api), label)
    api.get("orders", by=patient).accepted()
    assert figure(scrape(api), label) == before + 1


def test_no_address_and_no_method_makes_a_label_of_its_own(api):
    api.raw("BREW", "/no/such/address")
    text = scrape(api).content.decode()
    assert "/no/such/address" not in text
    assert "BREW" not in text


def test_it_tells_how_much_work_waits(api, story, patient):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    paid = story.paid_at_gateway(patient, "wechat")
    story.refund(paid, patient)
    answer = scrape(api)
    assert figure(answer, "tcmpay_database_up") == 1
    assert figure(answer, "tcmpay_attempts_open") == 1
    assert figure(answer, "tcmpay_refunds_to_review") == 1
    assert figure(answer, "tcmpay_exceptions_open") == 0
    story.gateway_reports(order, amount="1.00")
    assert figure(scrape(api), "tcmpay_exceptions_open") == 1


def counted(api, name: str) -> float:
    """0 before the first one."""
    return figure(scrape(api), name) if f"\n{name} " in scrape(api).content.decode() else 0


def test_it_tells_how_long_payments_and_the_gateways_calls_take(api, story, clock, patient):
    payment = 'payment_seconds_count{method="alipay"}'
    within = 'payment_seconds_bucket{le="60.0",method="alipay"}'
    booking = 'payment_booking_seconds_count{method="alipay"}'
    call = 'gateway_call_seconds_count{gateway="alipay",kind="create",outcome="answered"}'
    before = {name: counted(api, name) for name in (payment, within, booking, call)}
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    clock.advance(minutes=2)
    story.gateway_reports(order)
    assert {name: counted(api, name) - before[name] for name in before} == {
        payment: 1,
        within: 0,  # it took two minutes
        booking: 1,
        call: 1,
    }


def test_it_tells_what_happened_lately_by_method_state_and_verdict(api, story, patient):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    begun = 'tcmpay_payments_lately{method="alipay",reason="",state="pending"}'
    call = 'tcmpay_gateway_calls_lately{error="",gateway="alipay",kind="create",outcome="answered"}'
    assert (figure(scrape(api), begun), figure(scrape(api), call)) == (1, 1)
    story.gateway_reports(order)
    text = scrape(api)
    assert figure(text, begun.replace("pending", "success")) == 1
    assert figure(text, 'tcmpay_callbacks_lately{method="alipay",verdict="applied"}') == 1


def test_it_tells_how_long_work_of_the_queue_takes(api):
    name = 'task_seconds_count{state="SUCCESS",task="guard.purge"}'
    before = counted(api, name)
    limits_tasks.purge.apply()
    assert counted(api, name) == before + 1


def test_figures_are_counted_once_in_a_while(
    api, story, patient, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 60.0)
    scrape(api)
    with django_assert_num_queries(0):
        scrape(api)


def test_a_database_that_is_away_is_told_not_raised(api, monkeypatch):
    from django.db import OperationalError

    def gone():
        raise OperationalError(2002, "gone")

    monkeypatch.setattr(figures, "QUEUES", {"x": ("x", gone)})
    answer = scrape(api)
    assert answer.status_code == 200
    assert figure(answer, "tcmpay_database_up") == 0


@pytest.mark.parametrize("damage", ["zeroed", "cut", "text", "bytes"])
def test_one_damaged_file_of_a_process_hides_no_figure(
    api, settings, monkeypatch, tmp_path, caplog, damage
):
    settings.METRICS_TOKEN = ""
    monkeypatch.setenv(metrics.MULTIPROCESS_FOLDER, str(tmp_path))
    good, bad = tmp_path / "counter_1.db", tmp_path / "counter_2.db"
    key = mmap_key("http_requests_total", "http_requests_total", ["method"], ["GET"], "x")
    for file in (good, bad):
        figures = MmapedDict(str(file))
        figures.write_value(key, 7.0, 0.0)
        figures.close()
    content = bad.read_bytes()
    bad.write_bytes(
        {
            "zeroed": b"",
            "cut": content[:40],
            "text": b"not figures at all, but a text",
            "bytes": bytes([200, 0, 0, 0]) + bytes(range(255, -1, -1)),
        }[damage]
    )
    os.utime(bad, (0, 0))
    assert figure(scrape(api), 'http_requests_total{method="GET"}') == 7
    assert "metrics_thrown_away" in [record.message for record in caplog.records]
    assert not bad.exists()
