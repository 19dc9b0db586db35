"""Secrets and people do not reach a log, whoever writes it and however."""

import io
import json
import logging
from contextlib import contextmanager

import pytest
import structlog
from django.conf import settings
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from tcmpay.common.error_reports import RedactingReporterFilter
from tcmpay.common.redaction import RedactingFilter, redacted_text

KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj" * 6
SECRETS = {
    "a private key": f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----",
    "a private key cut short": f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}",
    "a private key without its frame": KEY,
    "a bearer token": "Bearer canary-token-9f8e7d6c5b4a",
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
    "a sealed value": "enc:2:0a1b2c3d:" + "A1b2" * 20,
    "a value sealed before seals were bound": "enc:1:gAAAAABn" + "A1b2" * 20,
    "a WeChat signature": 'WECHATPAY2-SHA256-RSA2048 mchid="1",signature="canarysig"',
    "a password in an address": "mysql://tcm:canary-pass@db/tcm",
    "a password in a form": "username=x&password=canary-pass&next=/",
    "a key in JSON": '{"apiv3_key": "canary-0123456789abcdef0123456789"}',
    "a key with a colon": "api_key: canary-0123456789abcdef",
    "a session": "Cookie: __Host-session=canarysession; a=b",
    "an authenticator": "otpauth://totp/tcmpay:x?secret=CANARYSECRET",
    "a phone": "call 13912345678 please",
    "a phone with its country": "+86 13912345678",
    "an id card": "11010519491231002X",
    "an openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    "a phone in Chinese": "请打13912345678联系",
    "an id card in Chinese": "身份证11010519491231002X的患者",
    "an openid in Chinese": "用户oUpF8uMuAJO_M2pxb1Q9zNjWeS6o已付",
    "a secret in Chinese": "密钥whsec_canary0123456789abcdef",
    "a prefixed name": "DB_PASSWORD=canary-pass",
    "a prefixed name in small letters": "client_secret=canary-secret",
    "a name in camel's case": '{"clientSecret": "canary-secret"}',
    "a cloud's key": "AWS_SECRET_ACCESS_KEY=canary/secret",
    "a value with spaces": '{"password": "a plain canary phrase"}',
    "a value with spaces in single quotes": "{'password': 'a plain canary phrase'}",
    "a value in quoted JSON": r'"{\"password\": \"a plain canary phrase\"}"',
    "a webhook's signature": "webhook-signature: v1," + "canary" * 7 + "c=",
    "two of them": "v1," + "Canary01" * 5 + "= v1," + "canary01" * 5 + "=",
    "a cashier's link": "GET /pay/canaryJvIjoiMDFhMjJlMTkwODI2.RHZlXqJF/back?lang=en",
    "a cashier's link in another": "return_url=https%3A%2F%2Fh%2Fpay%2FcanaryJvIjoiMDFhMjJlMTkwOD",
}
CANARY = ("canary", "Canary", "MIIE", "CANARY", "13912345678", "11010519491231002", "oUpF8",
          "A1b2A1b2", "eyJ")  # fmt: skip
HARMLESS = [
    "design: plain, redesign=1",
    "订单ORD20261125120000123456789012已支付",
    "public_key: MFkw, api v1, 2026",
    "ORD20261125120000123456789012",
    "0192f0c1-0000-7000-8000-139123456789",
    "1764043020123",
    "amount 1391234.56",
    "4200001234202611251234567890",
    "callback_untrusted: signature does not match",
    "token expired",
    "GET /api/v1/payment/orders/01a210f0-73c1-78bc-b844-18c383270d11",
    "POST /v3/pay/transactions/out-trade-no/ORD20261125120000123456789012/close",
]


@contextmanager
def written():
    """What the one handler of all loggers writes."""
    handler = next(h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler)
    stream = io.StringIO()
    before = handler.setStream(stream)
    try:
        yield stream
    finally:
        handler.setStream(before)


def assert_clean(text: str) -> None:
    assert [part for part in CANARY if part in text] == [], text


@pytest.mark.parametrize("name", SECRETS)
def test_text_loses_its_secret(name):
    assert_clean(redacted_text(f"before {SECRETS[name]} after"))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert redacted_text(text) == text


@pytest.mark.parametrize("name", SECRETS)
def test_no_logger_writes_it(name):
    secret = SECRETS[name]
    with written() as stream:
        logger = logging.getLogger("payments.test")
        logger.warning("said %s", secret)
        logger.warning("event", extra={"detail": {"deep": [secret]}, "authorization": "canary"})
        structlog.get_logger("config").warning("event", note=secret, password="canary")
        logging.getLogger("python-alipay-sdk").error(secret)
        try:
            raise RuntimeError(secret)
        except RuntimeError:
            logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    for line in lines:
        json.loads(line)
        assert_clean(line)


def test_what_is_named_like_a_secret_is_not_written_whatever_it_looks_like():
    names = (
        "authorization HTTP-Authorization Cookie password api_key apiv3_key private_key "
        "app_private_key access_token signature openid phone id_card idempotency_key "
        "config_value encrypted_values raw_body sub_openid buyer_logon_id payer prepay_id"
    )
    facts = dict.fromkeys(names.split(), "plain-canary")
    with written() as stream:
        logging.getLogger("payments").warning("event", extra={"facts": facts, "body": b"canary"})
    assert_clean(stream.getvalue())
    assert stream.getvalue().count("********") == len(facts)


@pytest.mark.parametrize("name", SECRETS)
def test_the_filter_for_other_handlers_does_the_same(name):
    record = logging.LogRecord("gunicorn.error", 40, "f", 1, "x %s", (SECRETS[name],), None)
    assert RedactingFilter().filter(record)
    assert_clean(record.getMessage())


def test_the_sdks_never_write_their_messages():
    import alipay  # noqa: F401  (it sets its logger up when it is imported)
    import wechatpayv3  # noqa: F401

    for name in ("python-alipay-sdk", "alipay", "wechatpayv3", "urllib3", "requests"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING, name


def test_the_page_of_an_exception_shows_no_secret():
    def fails(private_key, note):
        raise ValueError("it failed")

    request = RequestFactory().post(
        "/admin/", {"password": "canary", "note": SECRETS["a phone"]}, HTTP_COOKIE="a=canary"
    )
    try:
        fails("canary", SECRETS["a private key"])
    except ValueError as error:
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
    # Only the frame that failed: this test's own one names its canaries in the source.
    variables = str(reporter.get_traceback_frames()[-1]["vars"])
    assert_clean(variables)
    assert "canary" not in str(reporter.filter.get_post_parameters(request))
    shown = str(reporter.filter.get_safe_settings())
    for secret in (settings.SECRET_KEY, settings.JWT_SECRET, *settings.CONFIG_ENCRYPTION_KEYS):
        assert secret not in shown


def test_a_setting_is_looked_through_whatever_its_name_in_development_too(settings):
    settings.DEBUG = True
    page = RedactingReporterFilter()
    assert page.is_active(None)
    shown = page.cleanse_setting("BROKER", [SECRETS["a password in an address"], {"a": 1}])
    assert_clean(str(shown))
    assert "tcm" in str(shown)
    assert page.cleanse_setting("PORT", 3000) == 3000
