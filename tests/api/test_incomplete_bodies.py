"""A body that did not arrive completely is refused in the contract's shape; no error of ours."""

import logging

import pytest
from django.test import Client

from tests.api.kit import nothing_moves


class Broken:
    def read(self, size=None):
        raise OSError("the body ended early")

    readline = read


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/payment/orders",
        "/api/v1/payment/pay",
        "/payment/callback/wechat",
        "/payment/callback?method=alipay",
    ],
)
def test_it_is_a_400(patient, path, caplog):
    client = Client(raise_request_exception=False)
    headers = {"Authorization": f"Bearer {patient.token}", "Idempotency-Key": "k"}
    with nothing_moves(), caplog.at_level(logging.ERROR):
        answer = client.generic(
            "POST",
            path,
            b"x" * 10,
            content_type="application/json",
            headers=headers,
            **{"wsgi.input": Broken()},
        )
    assert answer.status_code == 400
    assert answer.json()["code"] == "VALIDATION_ERROR"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
