"""What the product leans on in wechatpayv3: an update that changes it fails here, not in a
payment."""

import inspect
import json
from unittest import mock

import pytest
from wechatpayv3.utils import aes_decrypt, build_authorization, rsa_sign

from gateways import keys
from gateways.tests.vectors import VECTORS, each, resource_of

PARAMETERS = {
    build_authorization: "(path, method, mchid, serial_no, private_key, data=None, nonce_str=None)",
    rsa_sign: "(private_key, sign_str)",
    aes_decrypt: "(nonce, ciphertext, associated_data, apiv3_key)",
}
# wechatpay-apiv3/wechatpay-go 6dbd7ce2, core/auth/signers/sha256withrsa_signer_test.go: the key
# that made the signature of the vector wx-go-rsa-verify-cert.
OFFICIAL_KEY = """
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDZUJN33V+dSfvd
fL0Mu+39XrZNXFFMQSy1V15FpncHeV47SmV0TzTqZc7hHB0ddqAdDi8Z5k3TKqb7
6sOwYr5TcAfuR6PIPaleyE0/0KrljBum2Isa2Nyq7Dgc3ElBQ6YN4l/a+DpvKaz1
FSKmKrhLNskqokWVSlu4g8OlKlbPXQ9ibII14MZRQrrkTmHYHzfi7GXXM0thAKuR
0HNvyhTHBh4/lrYM3GaMvmWwkwvsMavnOex6+eioZHBOb1/EIZ/LzC6zuHArPpyW
3daGaZ1rtQB1vVzTyERAVVFsXXgBHvfFud3w3ShsJYk8JvMwK2RpJ5/gV0QSARcm
LDRUAlPzAgMBAAECggEBAMc7rDeUaXiWv6bMGbZ3BTXpg1FhdddnWUnYE8HfX/km
OFI7XtBHXcgYFpcjYz4D5787pcsk7ezPidAj58zqenuclmjKnUmT3pfbI5eCA2v4
C9HnbYDrmUPK1ZcADtka4D6ScDccpNYNa1g2TFHzkIrEa6H+q7S3O2fqxY/DRVtN
0JIXalBb8daaqL5QVzSmM2BMVnHy+YITJWIkP2a3pKs9C0W65JGDsnG0wVrHinHF
+cnhFZIbaPEI//DAFMc9NkrWOKVRTEgcCUxCFaHOZVNxDWZD7A2ZfJB2rK6eg//y
gEiFDR2h6mTaDowMB4YF2n2dsIO4/dCG8vPHI20jn4ECgYEA/ZGu6lEMlO0XZnam
AZGtiNgLcCfM/C2ZERZE7QTRPZH1WdK92Al9ndldsswFw4baJrJLCmghjF/iG4zi
hhBvLnOLksnZUfjdumxoHDWXo2QBWbI5QsWIE7AuTiWgWj1I7X4fCXSQf6i+M/y2
6TogQ7d0ANpZFyOkTNMn/tiJvLECgYEA22XqlamG/yfAGWery5KNH2DGlTIyd6xJ
WtJ9j3jU99lZ0bCQ5xhiBbU9ImxCi3zgTsoqLWgA/p00HhNFNoUcTl9ofc0G3zwT
D1y0ZzcnVKxGJdZ6ohW52V0hJStAigtjYAsUgjm7//FH7PiQDBDP1Wa6xSRkDQU/
aSbQxvEE8+MCgYEA3bb8krW7opyM0XL9RHH0oqsFlVO30Oit5lrqebS0oHl3Zsr2
ZGgoBlWBsEzk3UqUhTFwm/DhJLTSJ/TQPRkxnhQ5/mewNhS9C7yua7wQkzVmWN+V
YeUGTvDGDF6qDz12/vJAgSwDDRym8x4NcXD5tTw7mmNRcwIfL22SkysThIECgYAV
BgccoEoXWS/HP2/u6fQr9ZIR6eV8Ij5FPbZacTG3LlS1Cz5XZra95UgebFFUHHtC
EY1JHJY7z8SWvTH8r3Su7eWNaIAoFBGffzqqSVazfm6aYZsOvRY6BfqPHT3p/H1h
Tq6AbBffxrcltgvXnCTORjHPglU0CjSxVs7awW3AEQKBgB5WtaC8VLROM7rkfVIq
+RXqE5vtJfa3e3N7W3RqxKp4zHFAPfr82FK5CX2bppEaxY7SEZVvVInKDc5gKdG/
jWNRBmvvftZhY59PILHO2X5vO4FXh7suEjy6VIh0gsnK36mmRboYIBGsNuDHjXLe
BDa+8mDLkWu5nHEhOxy2JJZl
"""


@pytest.fixture(scope="module")
def official_key():
    return keys.load_private_key(OFFICIAL_KEY)


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda function: function.__name__)
def test_parameters(function):
    assert str(inspect.signature(function)) == PARAMETERS[function]


def test_it_signs_as_the_official_sdk_does(official_key):
    vector = next(one for one in VECTORS if one["id"] == "wx-go-rsa-verify-cert")
    assert rsa_sign(official_key, vector["message"]) == vector["signature"]


@each("wx-request-message")
def test_its_authorization_names_what_was_signed(official_key, vector):
    """Verb, path with query, time, nonce and body, each ended by a line feed."""
    now = float(vector["timestamp"]) + 0.9
    with mock.patch("wechatpayv3.utils.time.time", return_value=now):
        header = build_authorization(
            vector["url"],
            vector["method"],
            "1900000109",
            "5DEA10EF",
            official_key,
            data=vector["body"],
            nonce_str=vector["nonce"],
        )
    signature = rsa_sign(official_key, vector["message"])
    assert header == (
        f'WECHATPAY2-SHA256-RSA2048 mchid="1900000109",nonce_str="{vector["nonce"]}",'
        f'signature="{signature}",timestamp="{vector["timestamp"]}",serial_no="5DEA10EF"'
    )


def test_a_body_is_signed_as_it_is_given(official_key):
    body = json.dumps({"description": "挂号费", "amount": {"total": 1}}, ensure_ascii=False)
    with mock.patch("wechatpayv3.utils.time.time", return_value=1.0):
        header = build_authorization("/v3/x", "POST", "1", "2", official_key, body, "nonce")
    signature = rsa_sign(official_key, f"POST\n/v3/x\n1\nnonce\n{body}\n")
    assert f'signature="{signature}"' in header


def test_it_makes_up_a_nonce_of_its_own_for_each_call(official_key):
    headers = {build_authorization("/", "GET", "1", "2", official_key) for _ in range(2)}
    assert len(headers) == 2


@each("aes-gcm")
def test_it_decrypts_to_text_and_gives_nothing_for_what_was_changed(vector):
    resource = resource_of(vector)
    assert aes_decrypt(**resource, apiv3_key=vector["key"]) == vector["plaintext"]
    changed = {**resource, "associated_data": "other"}
    assert aes_decrypt(**changed, apiv3_key=vector["key"]) is None
