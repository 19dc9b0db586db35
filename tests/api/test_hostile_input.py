"""Whatever is sent: text stays text, headers make no difference, a mock message is read strictly.

What holds for every endpoint alike is tried in tests/hostile.
"""

import json

import pytest

from tests.api.kit import nothing_moves
from tests.api.story import mock_callback
from tests.hostile.corpus import values

HOSTILE_VALUES = values()


def test_text_is_kept_and_given_back_exactly(api, story, patient):
    for text in HOSTILE_VALUES:
        if isinstance(text, str) and text == text.strip() and 0 < len(text) <= 500:
            assert story.order(patient, description=text)["description"] == text, repr(text)


def test_metadata_is_kept_and_given_back_exactly(api, story, patient):
    for value in HOSTILE_VALUES:
        if len(json.dumps(value)) < 3000:
            order = story.order(patient, metadata={"value": value})
            assert story.reread(order, patient)["metadata"] == {"value": value}, repr(value)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Accept-Language", "\u4e2d\u6587, ../../etc/passwd;q=x" * 50),
        ("Accept", "*/*;q=nonsense"),
        ("Accept", "application/json;" * 200),
        ("X-Forwarded-For", "', ; DROP TABLE x" * 50),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("User-Agent", "() { :; }; reboot"),
        ("Referer", "javascript:alert(1)"),
        ("Cookie", "sessionid=' OR 1; csrftoken=" + "x" * 4000),
        ("Idempotency-Key", "' OR '1'='1"),
        ("X-Request-ID", "a\r\nSet-Cookie: b=c"),
        ("Content-Encoding", "gzip"),
        ("Range", "bytes=0-0"),
        ("Expect", "100-continue"),
    ],
    ids=lambda value: value[:24],
)
def test_a_hostile_header_makes_no_difference(api, patient, header, value):
    answer = api.get("orders", by=patient, headers={header: value})
    assert answer.status in (200, 406)
    assert "Set-Cookie" not in answer.headers


# --- gateways' door ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out_trade_no", "trade_no", "trade_status", "total_amount"])
def test_a_hostile_field_in_a_callback_moves_nothing(api, story, patient, name):
    order = story.order(patient)
    story.pay(order, patient, "alipay")
    with nothing_moves():
        for value in HOSTILE_VALUES:
            if name == "trade_no" and value in (
                "null",
                "undefined",
                "true",
                "NaN",
                "-1",
                "1e5",
                "0x10",
            ):
                continue  # as good a number of a gateway as any
            body = mock_callback(order) | {name: value}
            response = api.callback("/payment/callback/alipay", body)
            # A number that nobody has is held for staff, which counts as handled.
            assert response.status_code in (200, 401), (value, response.content)
    assert story.status(order, patient) == "pending"
