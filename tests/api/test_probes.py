"""Containers' hosts, load balancers and Prometheus ask by address: no name of ours is in `Host`."""

import pytest
from django.db import connection
from django.test import Client

PROBES = ["/health/live", "/health/ready", "/metrics"]


@pytest.fixture
def by_address(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["pay.tcm.test"]
    settings.SECURE_SSL_REDIRECT = True
    return Client(headers={"host": "10.42.0.17:8000"}, REMOTE_ADDR="127.0.0.1")


@pytest.mark.django_db
@pytest.mark.parametrize("path", PROBES)
def test_a_probe_by_address_is_answered_as_one_by_name(by_address, path):
    answer = by_address.get(path)
    assert answer.status_code == 200
    assert b"10.42.0.17" not in answer.content
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/health/lives", "/health/live/", "/api/v1/payment/prices", "/pay/x"]
)
def test_everything_else_is_not(by_address, path):
    assert by_address.get(path, secure=True).status_code == 400


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="SQLite has no servers")
@pytest.mark.django_db
def test_a_server_that_takes_no_writes_is_not_ready(by_address):
    assert by_address.get("/health/ready").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = ON")
        try:
            assert by_address.get("/health/ready").status_code == 503
            assert by_address.get("/health/live").status_code == 200
        finally:
            cursor.execute("SET GLOBAL read_only = OFF")
    assert by_address.get("/health/ready").status_code == 200
