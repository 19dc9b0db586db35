"""What staff read of a gateway's messages: all but what identifies a payer or could be used."""

import json

import pytest

from backoffice.payments.messages import body_fields, masked, message_text
from tcmpay.common.redaction import STARS

HIDDEN_KEYS = (
    "openid", "sp_openid", "sub_openid", "payer", "buyer_id", "buyer_logon_id", "buyer_open_id",
    "buyer_user_id", "sign", "signature", "paysign", "prepay_id", "package", "code_url", "qr_code",
    "h5_url", "payment_url", "order_string", "body", "nonce_str", "noncestr", "ciphertext",
    "client_ip", "payer_client_ip", "user_received_account", "bank_account",
)  # fmt: skip
SECRET = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


@pytest.mark.parametrize("key", HIDDEN_KEYS)
def test_a_hidden_key_is_hidden_however_it_is_written_and_wherever_it_lies(key):
    for written in (key, key.upper(), key.capitalize()):
        message = {"amount": 1, "inner": [{"deep": {written: SECRET}}], written: SECRET}
        shown = masked(message)
        assert SECRET not in json.dumps(shown)
        assert shown["amount"] == 1
        assert shown["inner"][0]["deep"][written] == shown[written] == STARS


def test_a_hidden_key_hides_whatever_it_holds_and_an_empty_one_stays_empty():
    assert masked({"payer": {"openid": SECRET, "name": "林"}}) == {"payer": STARS}
    assert masked({"payer": ["林"], "sign": ""}) == {"payer": STARS, "sign": ""}


def test_what_looks_like_a_secret_is_hidden_whatever_its_key():
    token = "eJyrVkpKLElUslIqKMpMTlWqBQAtEAVt.c2lnbmF0dXJl"
    message = {
        "return_url": f"https://clinic.example.com/pay/{token}/back",
        "inner": [{"quit_url": f"https://clinic.example.com/pay/{token}/back?lang=en"}],
        "note": f"openid {SECRET}",
    }
    shown = json.dumps(masked(message))
    assert token not in shown
    assert SECRET not in shown
    assert f"/pay/{STARS}/back" in shown
    assert masked(SECRET) == STARS


def test_nothing_else_is_hidden_or_changed():
    message = {"out_trade_no": "ORD1", "amount": {"total": 3000}, "list": [1, None, "签"]}
    assert masked(message) == message
    assert masked("text") == "text"


def test_the_page_shows_the_masked_message_escaped():
    text = message_text({"openid": SECRET, "attach": "<script>"})
    assert SECRET not in text
    assert STARS in text
    assert "<script>" not in text
    assert message_text({}) == message_text(None) == "—"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('{"id": "1"}', {"id": "1"}),
        ("trade_no=1&sign=ab%2Bc", {"trade_no": "1", "sign": "ab+c"}),
        ("[1]", {}),
        ("", {}),
    ],
)
def test_a_body_is_read_in_either_gateways_form(body, fields):
    assert body_fields(body) == fields
