"""The official test vectors, through our own code (tests/data/vectors.json names their sources)."""

import hashlib
import json
from pathlib import Path
from unittest import mock

import pytest

from gateways import keys
from gateways.alipay.wire import top_level_texts, verify_notification
from gateways.configuration import WechatConfig
from gateways.errors import GatewayUntrusted
from gateways.tests.kit import is_signed, wechat_gateway, wechat_values
from gateways.texts import Malformed
from gateways.wechat.bills import split_cells
from gateways.wechat.wire import WechatCore, decrypt_resource, signed_text, verify_message

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parent / "data" / "vectors.json").read_text(encoding="utf-8")
    )["vectors"]
}

SIGNATURES = (
    "wx-go-rsa-verify-cert",
    "wx-go-rsa-verify-cert-bad",
    "wx-go-rsa-verify-pubkey",
    "wx-java-rsa-verify",
    "wx-java-rsa-verify-otherkey",
)
CIPHERTEXTS = (
    "wx-go-aesgcm",
    "wx-java-aesgcm",
    "wx-axios-aesgcm-empty",
    "wx-axios-aesgcm-hello",
)
ENCRYPTED_CERTIFICATES = ("wx-java-certificate-download",)
REQUEST_TEXTS = ("wx-java-request-message", "wx-axios-request")
ANSWER_TEXTS = ("wx-axios-response",)
CLIENT_SIGNATURES = ("wx-skills-paysign-jsapi", "wx-skills-paysign-app")
TRADE_BILLS = ("wx-axios-trade-bill",)
WECHAT_NOTIFICATIONS = ("wx-go-notification",)
ALIPAY_NOTIFICATIONS = tuple(f"ali-node-notify-{number}" for number in range(1, 7))
ALIPAY_ANSWERS = tuple(f"ali-node-signstr-{number}" for number in range(1, 4))
CERTIFICATE_NAMES = (
    "ali-node-sn-appCertPublicKey_2021001161683774",
    "ali-node-sn-alipayCertPublicKey_RSA2",
    "ali-node-sn-alipayRootCert",
    "ali-fzlee-sn-app_public_key_cert",
    "ali-fzlee-sn-alipay_root_cert",
    "ali-fzlee-sn-alipay_public_key_cert",
)
USED = (
    *SIGNATURES,
    *CIPHERTEXTS,
    *ENCRYPTED_CERTIFICATES,
    *REQUEST_TEXTS,
    *ANSWER_TEXTS,
    *CLIENT_SIGNATURES,
    *TRADE_BILLS,
    *WECHAT_NOTIFICATIONS,
    *ALIPAY_NOTIFICATIONS,
    *ALIPAY_ANSWERS,
    *CERTIFICATE_NAMES,
)
FILE_SHA256 = "1d8653ce5ebd48fa4b5ea31f0e0d4374001de7e63af052d486a752fb5489cdca"
NOT_USED: dict[str, str] = {}  # id: the reason


def test_every_vector_is_used_or_has_a_reason():
    assert set(VECTORS) == set(USED) | set(NOT_USED)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    vector = VECTORS[name]
    if "certificate" in vector:
        public_key = keys.load_rsa_certificate(vector["certificate"])[1]
    else:
        public_key = keys.load_public_key(vector["public_key"])
    signed = keys.is_signed_by(public_key, vector["message"].encode(), vector["signature"])
    assert signed is vector["valid"]


@pytest.mark.parametrize("name", CIPHERTEXTS)
def test_ciphertext(name):
    vector = VECTORS[name]
    resource = {
        "nonce": vector["nonce"],
        "ciphertext": vector["ciphertext"],
        "associated_data": vector["aad"],
    }
    assert decrypt_resource(resource, vector["key"]) == vector["plaintext"]
    with pytest.raises(Malformed):
        decrypt_resource({**resource, "associated_data": "other"}, vector["key"])


@pytest.mark.parametrize("name", ENCRYPTED_CERTIFICATES)
def test_encrypted_certificate(name):
    vector = VECTORS[name]
    resource = {
        "nonce": vector["nonce"],
        "ciphertext": vector["ciphertext"],
        "associated_data": vector["aad"],
    }
    certificate = keys.load_certificate(decrypt_resource(resource, vector["key"]))
    assert keys.certificate_serial(certificate) == vector["serial_no"]


@pytest.mark.parametrize("name", REQUEST_TEXTS)
def test_request_text(name):
    """The SDK does not show the text that it signs, but the signature proves which it was."""
    vector = VECTORS[name]
    core = WechatCore(WechatConfig.from_values(wechat_values()), transport=None)
    with mock.patch("wechatpayv3.utils.time.time", return_value=float(vector["timestamp"])):
        header = core.authorization(
            vector["method"], vector["url"], vector["body"], vector["nonce"]
        )
    fields = dict(part.split("=", 1) for part in header.partition(" ")[2].split(","))
    assert is_signed("merchant", vector["message"].encode(), fields["signature"].strip('"'))


@pytest.mark.parametrize("name", ANSWER_TEXTS)
def test_answer_text(name):
    vector = VECTORS[name]
    text = signed_text(vector["timestamp"], vector["nonce"], vector["body"].encode())
    assert text == vector["message"].encode()


@pytest.mark.parametrize("name", CLIENT_SIGNATURES)
def test_client_signature_layout(name):
    vector = VECTORS[name]
    signature = wechat_gateway().client_signature(*vector["lines"])
    assert is_signed("merchant", vector["message"].encode(), signature)
    assert signature != vector["published_signature"]  # made with a key that is not published


@pytest.mark.parametrize("name", TRADE_BILLS)
def test_trade_bill_cells(name):
    """Only header, one row and the summary are published; test_wechat_bills reads whole files."""
    vector = VECTORS[name]
    header, row = vector["header"].split(","), split_cells(vector["first_row"])
    assert len(header) == len(row) == 27
    cells = dict(zip(header, row, strict=True))
    assert cells["商户退款单号"] == "REF4200000263201902167700963919"
    assert cells["申请退款金额"] == "0.01"
    assert split_cells(vector["summary_row"])[0] == f"{vector['detail_rows']}.0"


@pytest.mark.parametrize("name", WECHAT_NOTIFICATIONS)
def test_wechat_notification(name):
    vector = VECTORS[name]
    body, headers = vector["body"].encode(), vector["headers"]
    certificate, public_key = keys.load_rsa_certificate(vector["certificate"])
    verifiers = {keys.certificate_serial(certificate): public_key}
    sent_at = int(headers["Wechatpay-Timestamp"])
    verify_message(verifiers, headers, body, now=sent_at)
    plaintext = decrypt_resource(json.loads(body)["resource"], vector["key"])
    assert plaintext == vector["plaintext"]
    with pytest.raises(GatewayUntrusted):
        verify_message(verifiers, headers, body, now=sent_at + 301)
    with pytest.raises(GatewayUntrusted):
        verify_message(verifiers, headers, body + b" ", now=sent_at)


@pytest.mark.parametrize("name", ALIPAY_NOTIFICATIONS)
def test_alipay_notification(name):
    vector = VECTORS[name]
    public_key = keys.load_public_key(vector["public_key"])
    if vector["valid"]:
        verify_notification(vector["params"], [public_key])
        return
    with pytest.raises(GatewayUntrusted):
        verify_notification(vector["params"], [public_key])


@pytest.mark.parametrize("name", ALIPAY_ANSWERS)
def test_alipay_answer_text(name):
    vector = VECTORS[name]
    assert top_level_texts(vector["raw"])[vector["response_key"]] == vector["signed_text"]


@pytest.mark.parametrize("name", CERTIFICATE_NAMES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_alipay_certificate_name(name, line_end):
    vector = VECTORS[name]
    pem = vector["pem"].replace("\r\n", "\n").replace("\n", line_end)
    if vector["is_root"]:
        assert keys.alipay_root_sn(pem) == vector["sn"]
    else:
        assert keys.alipay_certificate_sn(keys.load_certificate(pem)) == vector["sn"]


def test_the_file_is_the_official_one():
    content = (Path(__file__).parent / "data" / "vectors.json").read_bytes()
    assert len(VECTORS) == 32
    assert hashlib.sha256(content).hexdigest() == FILE_SHA256
