"""What a stranger sends costs in proportion to its length: calls are counted, not seconds.

The steps inside of patterns are counted in test_patterns.py; here are the loops around them.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tcmpay.common.redaction import RedactingFilter, redact_event, redacted_text

pytestmark = pytest.mark.django_db
LENGTHS = (2_000, 8_000)
GROWTH_MAX = 6
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def calls_of(deed: Callable[[], Any]) -> int:
    """How many functions are called meanwhile, Python's own included."""
    count = 0

    def seen(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        deed()
    finally:
        sys.setprofile(before)
    return count


def post(path: str, content_type: str) -> Callable[[str], Any]:
    return lambda text: Client().post(path, text.encode(), content_type)


def header(name: str) -> Callable[[str], Any]:
    return lambda text: Client().get("/api/v1/payment/orders", headers={name: text})


DOORS: dict[str, Callable[[str], Any]] = {
    "Alipay's callbacks": post("/payment/callback/alipay", FORM),
    "Alipay's callbacks as JSON": post("/payment/callback/alipay", JSON),
    "WeChat's callbacks": post("/payment/callback/wechat", JSON),
    "an order's body": post("/api/v1/payment/orders", JSON),
    "the sign-in form": post("/admin/login/", FORM),
    "an address": lambda text: Client().get("/api/v1/payment/" + text.replace("\n", "")),
    "an address of the admin": lambda text: Client().get("/admin/r/" + text.replace("\n", "")),
    "a query": lambda text: Client().get("/api/v1/payment/prices?" + text),
    "a browser's name": header("User-Agent"),
    "a token": header("Authorization"),
    "cookies": header("Cookie"),
    "languages": header("Accept-Language"),
    "proxies": header("X-Forwarded-For"),
    "a request's id": header("X-Request-ID"),
    "the log": redacted_text,
    "the log's facts": lambda text: redact_event(None, "", {text: text, "deep": [{text: [text]}]}),
    "other logs": lambda text: RedactingFilter().filter(_record(text)),
}
UNITS = [
    "eyJ-", "eyJa.", "/", "a=b&", "a=1;", "zh-hans,", "::,", "[", '{"a":', "sign=", "Basic ",
    "-----BEGIN A-----", "MII", "WECHATPAY2-", "%41", "o", "1",
]  # fmt: skip


def _record(text: str) -> Any:
    return logging.LogRecord("gunicorn.access", 20, "f", 1, "%s", (text,), None)


@pytest.mark.parametrize("door", DOORS)
def test_what_is_four_times_as_long_takes_about_four_times_as_much(door, settings):
    settings.TRUSTED_PROXY_HOPS = 1
    settings.RATE_LIMIT_PER_MINUTE = settings.RATE_LIMIT_FORGED_PER_MINUTE = 100_000
    DOORS[door]("what is made once")
    assert [unit for unit in UNITS if grows(DOORS[door], unit)] == []


def grows(enter: Callable[[str], Any], unit: str) -> bool:
    short, long = ((unit * length)[:length] for length in LENGTHS)
    usual = calls_of(lambda: enter(short))
    return calls_of(lambda: enter(long)) > GROWTH_MAX * usual


def test_counting_finds_a_loop_in_a_loop():
    def squared(text: str) -> None:
        for _ in text:
            for _ in text:
                len(text)

    short, long = calls_of(lambda: squared("a" * 40)), calls_of(lambda: squared("a" * 160))
    assert long > GROWTH_MAX * short
