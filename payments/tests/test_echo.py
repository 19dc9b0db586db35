"""A test's echo comes back as a real notice: heard, where the address and the key are right."""

import pytest
from django.core.cache import cache
from django.test import Client

from config.gateways.drafts import draft_save
from config.gateways.echo import echo_expect, echo_is_heard
from config.gateways.services import gateway_configs_replace
from gateways.tests.kit import wechat_headers, wechat_notification, wechat_trade, wechat_values
from payments.models import PaymentCallback
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db
NEW_KEY = "n" * 32


@pytest.fixture(autouse=True)
def _configured():
    cache.clear()
    values = {key: value for key, value in wechat_values().items() if value}
    gateway_configs_replace(actor=SYSTEM, configs={"wechat": values})
    draft_save(actor=SYSTEM, method="wechat", values={"api_v3_key": NEW_KEY}, revision=0)


def send(resource: dict, event: str = "SECURITY_ECHO.SUCCESS", key: str = NEW_KEY) -> int:
    body = wechat_notification(resource, event=event, api_v3_key=key)
    headers = wechat_headers(body, timestamp=str(int(clock.now().timestamp())))
    answer = Client().post(
        "/payment/callback/wechat", body, content_type="application/json", headers=headers
    )
    return answer.status_code


def heard(message: str = "m1") -> bool:
    return echo_is_heard(message, within_seconds=0)


@pytest.mark.parametrize("key", [NEW_KEY, "k" * 32], ids=["the draft's key", "the key in force"])
def test_the_echo_that_is_waited_for_is_heard(key):
    echo_expect("m1")
    assert send({"echo_message": "m1"}, key=key) == 200
    assert heard()


def test_nothing_is_heard_under_another_key_or_with_other_words():
    echo_expect("m1")
    assert send({"echo_message": "m1"}, key="x" * 32) == 401
    assert send({"echo_message": "m2"}) == 200
    assert (heard(), heard("m2")) == (False, False)


def test_a_drafts_key_opens_nothing_while_no_test_waits():
    assert send({"echo_message": "m1"}) == 401


def test_a_drafts_key_moves_no_money():
    echo_expect("m1")
    before = PaymentCallback.objects.exclude(verdict="untrusted").count()
    assert send(wechat_trade(), event="TRANSACTION.SUCCESS") == 401
    assert PaymentCallback.objects.exclude(verdict="untrusted").count() == before
