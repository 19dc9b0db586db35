"""WeChat's echo, which proves keys, and Alipay's certificates, which change."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from simulator.keys import alipay_sn
from simulator.tests.clients import AlipayClient, rsa_verifies

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
DOWNLOAD = "alipay.open.app.alipaycert.download"


def echo(wechat, **body):
    serial = wechat.config.wechat["public_key_id"]
    headers = {"Wechatpay-Serial": serial}
    return wechat.call("POST", "/v3/security/echo", body, headers=headers)


def sealed(wechat, text):
    public = wechat.keys[wechat.config.wechat["public_key_id"]]
    return base64.b64encode(public.encrypt(text, OAEP)).decode()


def test_an_echo_says_again_what_was_said_and_signs_it(stand_in, wechat):
    answer = echo(wechat, echo_message="你好")
    assert (answer.status, answer.json) == (200, {"echo_message": "你好"})
    assert wechat.verifies(answer)


def test_what_was_sealed_comes_back_sealed_for_the_merchant(stand_in, wechat):
    secret = sealed(wechat, b"0123")
    answer = echo(wechat, echo_message="a", encrypted_echo_message=secret)
    back = base64.b64decode(answer.json["encrypted_echo_message"])
    assert wechat.key.decrypt(back, OAEP) == b"0123"


def test_an_echo_with_an_address_is_told_there_signed_and_encrypted(stand_in, wechat, listener):
    url = listener.address((204, b""))
    secret = sealed(wechat, b"0123")
    echo(wechat, echo_message="abc", encrypted_echo_message=secret, notify_url=url)
    notice = listener.next(url)
    told = json.loads(notice.body)
    assert told["event_type"] == "SECURITY_ECHO.SUCCESS"
    assert told["resource"]["original_type"] == "security"
    assert told["resource"]["associated_data"] == ""
    opened = wechat.opened(notice)
    assert opened["echo_message"] == "abc"
    back = base64.b64decode(opened["encrypt_echo_message"])
    assert wechat.key.decrypt(back, OAEP) == b"0123"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"echo_message": "a", "encrypted_echo_message": "AAAA"},
        {"echo_message": "a", "notify_url": "http://127.0.0.1:9/notify?a=b"},
    ],
)
def test_an_echo_of_nothing_or_to_nowhere_is_refused(stand_in, wechat, body):
    assert echo(wechat, **body).code == "PARAM_ERROR"


def test_an_echo_must_name_the_key_that_it_is_about(stand_in, wechat):
    answer = wechat.call("POST", "/v3/security/echo", {"echo_message": "a"})
    assert (answer.status, answer.code) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(("status", "code"), [(403, "NO_AUTH"), (404, "NOT_FOUND")])
def test_a_merchant_may_have_no_echo(stand_in, wechat, status, code):
    order = {"operation": "wechat.echo", "kind": "refused", "code": code, "lasting": True}
    stand_in.control("faults", once=[order])
    for _ in range(2):
        answer = echo(wechat, echo_message="a")
        assert (answer.status, answer.code) == (status, code)


@pytest.fixture
def by_certificate(stand_in):
    """Calls of one application in certificate mode."""

    class Client(AlipayClient):
        def certificate(self, name):
            return x509.load_pem_x509_certificate(self.config.pem(f"{name}_cert.pem"))

        def parameters(self, method, content=None, /, **changes):
            serials = {
                "app_cert_sn": alipay_sn(self.certificate("alipay_app")),
                "alipay_root_cert_sn": alipay_sn(self.certificate("alipay_root")),
            }
            return super().parameters(method, content, **serials, **changes)

        def downloaded(self, certificate_sn):
            answer = self.call(DOWNLOAD, {"alipay_cert_sn": certificate_sn})
            assert "sign" not in answer.json
            content = answer.json["alipay_open_app_alipaycert_download_response"]
            return x509.load_pem_x509_certificate(base64.b64decode(content["alipay_cert_content"]))

    return Client(stand_in.config)


def asked(client):
    return client.call("alipay.trade.query", {"out_trade_no": "NONE01"})


def is_signed_by(certificate, answer):
    text = answer.body.decode()
    signed = text[text.index("{", 1) : text.rindex(',"alipay_cert_sn":"')]
    return rsa_verifies(certificate.public_key(), signed.encode(), answer.json["sign"])


def test_the_next_certificate_signs_and_can_be_fetched(stand_in, by_certificate):
    first = asked(by_certificate)
    stand_in.control("settings", alipay_certificate="next")
    second = asked(by_certificate)
    assert first.json["alipay_cert_sn"] != second.json["alipay_cert_sn"]
    fetched = by_certificate.downloaded(second.json["alipay_cert_sn"])
    fetched.verify_directly_issued_by(by_certificate.certificate("alipay_root"))
    assert is_signed_by(fetched, second)
    assert not is_signed_by(fetched, first)


def test_a_certificate_from_nowhere_can_be_made_to_sign(stand_in, by_certificate):
    stand_in.control("settings", alipay_certificate="rogue")
    answer = asked(by_certificate)
    fetched = by_certificate.downloaded(answer.json["alipay_cert_sn"])
    assert is_signed_by(fetched, answer)
    root = by_certificate.certificate("alipay_root")
    assert fetched.issuer == root.subject
    with pytest.raises(InvalidSignature):
        fetched.verify_directly_issued_by(root)


def test_the_next_certificate_signs_notices_too(stand_in, by_certificate, alipay, listener):
    stand_in.control("settings", alipay_certificate="next")
    url = listener.address()
    order = alipay.order()
    stand_in.control(
        "pay", channel="alipay", out_trade_no=order["out_trade_no"],
        url=by_certificate.address("alipay.trade.page.pay", order, notify_url=url),
    )  # fmt: skip
    form = listener.next(url).form
    assert not alipay.notice_verifies(form)
    by_certificate.public = by_certificate.certificate("alipay_next").public_key()
    assert by_certificate.notice_verifies(form)


def test_calls_by_key_alone_keep_their_key_and_fetch_no_certificate(stand_in, alipay):
    stand_in.control("settings", alipay_certificate="next")
    assert alipay.verifies(asked(alipay))
    answer = alipay.call(DOWNLOAD, {"alipay_cert_sn": "0" * 32})
    assert answer.json["alipay_open_app_alipaycert_download_response"]["code"] == "40002"


def test_a_certificate_that_nobody_has_is_not_found(by_certificate):
    answer = by_certificate.call(DOWNLOAD, {"alipay_cert_sn": "0" * 32})
    assert answer.json["alipay_open_app_alipaycert_download_response"]["code"] == "40004"
