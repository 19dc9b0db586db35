"""Alipay's next certificate: fetched for an answer that names it, believed for its chain alone."""

import base64

import pytest

from gateways.alipay.chain import KEPT_CERTIFICATES
from gateways.alipay.configuration import AlipayConfig
from gateways.errors import GatewayUnknown, GatewayUntrusted
from gateways.interface import TradeState
from gateways.keys import alipay_certificate_sn, load_certificate
from gateways.tests.kit import (
    Reply,
    alipay_body,
    alipay_callback,
    alipay_fields,
    alipay_gateway,
    alipay_reply,
    alipay_signature,
    alipay_values,
    signed_certificate,
)

NUMBER = "ORD20261124100000A1"
QUERY, DOWNLOAD = "alipay.trade.query", "alipay.open.app.alipaycert.download"
TRADE = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": NUMBER,
    "trade_no": "2026112422001468450512505578",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "30.00",
    "send_pay_date": "2026-11-24 09:59:58",
}
ALIPAY = "Alipay"
ROOT = signed_certificate("root", 1, subject="root", is_authority=True)
CLASS_2 = signed_certificate(
    "class 2", 2, subject="class 2", issuer=("root", ROOT), is_authority=True
)
UNDER_ROOT, UNDER_CLASS_2 = ("root", ROOT), ("class 2", CLASS_2)
MODE = {
    "app_cert": signed_certificate("app", 3, subject="merchant", issuer=UNDER_CLASS_2),
    "alipay_cert": signed_certificate("alipay", 4, subject=ALIPAY, issuer=UNDER_ROOT),
    "root_cert": ROOT,
    "public_key": "",
}
NEXT = signed_certificate("next", 5, subject=ALIPAY, issuer=UNDER_CLASS_2)
OTHER_ROOT = signed_certificate("forger", 1, subject="root", is_authority=True)
NO_AUTHORITY = signed_certificate("class 2", 2, subject="class 2", issuer=UNDER_ROOT)


def sn(pem: str) -> str:
    return alipay_certificate_sn(load_certificate(pem))


class Alipay:
    """Answers under another certificate, and hands out what it is told to."""

    def __init__(self, named: str, content: str | None, key: str = "next") -> None:
        self.named, self.content, self.key = named, content, key

    def __call__(self, seen) -> Reply:
        if seen.fields["method"] == DOWNLOAD:
            if self.content is None:
                node = {"code": "40004", "msg": "Business Failed", "sub_code": "CERT_NOT_FOUND"}
            else:
                text = base64.b64encode(self.content.encode()).decode()
                node = {"code": "10000", "msg": "Success", "alipay_cert_content": text}
            return alipay_reply(DOWNLOAD, node, sign="")
        return alipay_reply(QUERY, TRADE, self.key, alipay_cert_sn=self.named)


def methods(stand_in) -> list[str]:
    return [seen.fields["method"] for seen in stand_in.seen]


@pytest.mark.parametrize("content", [NEXT + CLASS_2, CLASS_2 + NEXT, NEXT + CLASS_2 + ROOT])
def test_an_answer_under_the_next_certificate_is_believed_once_its_chain_is(stand_in, content):
    kept: list[str] = []
    gateway = alipay_gateway(stand_in.url, keep=kept.append, **MODE)
    stand_in.answer = Alipay(sn(NEXT), content)
    assert gateway.query_payment(NUMBER).state is TradeState.PAID
    assert gateway.query_payment(NUMBER).state is TradeState.PAID
    assert methods(stand_in) == [QUERY, DOWNLOAD, QUERY], "fetched once"
    assert [NEXT in text for text in kept] == [True]


FORGED = {
    "another root of that name": signed_certificate(
        "next", 5, subject=ALIPAY, issuer=("forger", OTHER_ROOT)
    )
    + OTHER_ROOT,
    "itself": signed_certificate("next", 5, subject=ALIPAY),
    "a merchant's certificate": signed_certificate(
        "next", 5, subject="another merchant", issuer=UNDER_CLASS_2
    )
    + CLASS_2,
    "issued by a merchant": signed_certificate(
        "next", 5, subject=ALIPAY, issuer=("app", MODE["app_cert"])
    )
    + MODE["app_cert"]
    + CLASS_2,
    "issued by no authority": NEXT + NO_AUTHORITY,
    "without its link": NEXT,
    "ended": signed_certificate("next", 5, subject=ALIPAY, issuer=UNDER_ROOT, days_left=-1),
    "not begun": signed_certificate("next", 5, subject=ALIPAY, issuer=UNDER_ROOT, begins_days=3),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_certificate_that_does_not_end_at_the_configured_root_is_refused(stand_in, case):
    kept: list[str] = []
    gateway = alipay_gateway(stand_in.url, keep=kept.append, **MODE)
    own = FORGED[case].partition("-----END CERTIFICATE-----\n")
    stand_in.answer = Alipay(sn(own[0] + own[1]), FORGED[case])
    with pytest.raises(GatewayUnknown) as caught:
        gateway.query_payment(NUMBER)
    assert caught.value.code == "CERTIFICATE_NOT_TRUSTED"
    assert kept == []


def test_a_good_certificate_of_another_name_does_not_stand_for_the_one_asked_for(stand_in):
    gateway = alipay_gateway(stand_in.url, **MODE)
    stand_in.answer = Alipay("0" * 32, NEXT + CLASS_2)
    with pytest.raises(GatewayUnknown) as caught:
        gateway.query_payment(NUMBER)
    assert caught.value.code == "CERTIFICATE_NOT_TRUSTED"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----"])
def test_an_answer_stays_unknown_while_there_is_nothing_to_verify_it_with(stand_in, content):
    gateway = alipay_gateway(stand_in.url, **MODE)
    stand_in.answer = Alipay(sn(NEXT), content)
    with pytest.raises(GatewayUnknown) as caught:
        gateway.query_payment(NUMBER)
    assert caught.value.code == "CERTIFICATE_CHANGED"


def test_a_name_that_is_no_certificates_is_not_asked_for(stand_in):
    gateway = alipay_gateway(stand_in.url, **MODE)
    stand_in.answer = Alipay("../" + "0" * 29, NEXT + CLASS_2)
    with pytest.raises(GatewayUnknown):
        gateway.query_payment(NUMBER)
    assert methods(stand_in) == [QUERY]


def test_the_certificate_is_fetched_and_the_answer_still_verified_with_it(stand_in):
    gateway = alipay_gateway(stand_in.url, **MODE)
    stand_in.answer = Alipay(sn(NEXT), NEXT + CLASS_2, key="forger")
    with pytest.raises(GatewayUnknown) as caught:
        gateway.query_payment(NUMBER)
    assert caught.value.code == "BAD_SIGNATURE"


def test_a_callback_under_the_next_certificate_fetches_nothing(stand_in):
    fields = alipay_fields(alipay_cert_sn=sn(NEXT))
    callback = alipay_callback(alipay_body(fields, alipay_signature(fields, "next")))
    gateway = alipay_gateway(stand_in.url, **MODE)
    with pytest.raises(GatewayUntrusted):
        gateway.parse_callback(callback)
    assert stand_in.seen == [], "who sent it is not known"
    stand_in.answer = Alipay(sn(NEXT), NEXT + CLASS_2)
    gateway.query_payment(NUMBER)
    assert gateway.parse_callback(callback).trade, "the sweeper's question brought it"


def test_what_was_kept_is_believed_for_its_chain_alone(stand_in):
    kept = {**MODE, KEPT_CERTIFICATES: NEXT + CLASS_2}
    fields = alipay_fields()
    callback = alipay_callback(alipay_body(fields, alipay_signature(fields, "next")))
    assert alipay_gateway(stand_in.url, **kept).parse_callback(callback).trade
    for planted in (FORGED["a merchant's certificate"], FORGED["itself"], "junk"):
        planted_values = alipay_values(**{**MODE, KEPT_CERTIFICATES: planted})
        assert set(AlipayConfig.from_values(planted_values).verifiers) == {sn(MODE["alipay_cert"])}


def test_key_mode_knows_no_certificates(stand_in):
    gateway = alipay_gateway(stand_in.url)
    stand_in.answer = Alipay(sn(NEXT), NEXT + CLASS_2)
    with pytest.raises(GatewayUnknown) as caught:
        gateway.query_payment(NUMBER)
    assert (caught.value.code, methods(stand_in)) == ("BAD_SIGNATURE", [QUERY])
