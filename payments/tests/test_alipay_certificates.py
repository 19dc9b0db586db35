"""A certificate that Alipay went over to, fetched by one process, serves every other."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from backoffice.payments.messages import body_fields
from config.gateways.certificates import certificate_keep, with_certificates_kept
from config.gateways.examine import examine_current
from config.gateways.services import gateway_configs_replace
from config.models import GatewayCertificate
from gateways.tests.kit import (
    FORM,
    alipay_body,
    alipay_fields,
    alipay_signature,
    alipay_values,
    signed_certificate,
)
from payments.models import PaymentCallback, PaymentCallbackBody
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db

ROOT = signed_certificate("root", 1, subject="root", is_authority=True)
UNDER_ROOT = ("root", ROOT)
MODE = {
    "app_cert": signed_certificate("app", 3, subject="merchant", issuer=UNDER_ROOT),
    "alipay_cert": signed_certificate("alipay", 4, subject="Alipay", issuer=UNDER_ROOT),
    "root_cert": ROOT,
}
NEXT = signed_certificate("next", 5, subject="Alipay", issuer=UNDER_ROOT)
MERCHANTS = signed_certificate("next", 6, subject="another merchant", issuer=UNDER_ROOT)


@pytest.fixture(autouse=True)
def _configured():
    values = {key: value for key, value in alipay_values(**MODE, public_key="").items() if value}
    gateway_configs_replace(actor=SYSTEM, configs={"alipay": values})


def verdict(key: str) -> str:
    fields = alipay_fields(notify_id=f"{datetime.now(UTC).timestamp()}")
    body = alipay_body(fields, alipay_signature(fields, key))
    Client().post("/payment/callback/alipay", body, content_type=FORM)
    return PaymentCallback.objects.latest("received_at").verdict


def test_a_notice_under_a_kept_certificate_is_verified():
    assert verdict("next") == "untrusted"
    certificate_keep(NEXT)
    assert verdict("next") == "unknown_order"
    assert verdict("alipay") == "unknown_order", "the configured one goes on verifying"
    assert verdict("forger") == "untrusted"


def test_a_row_proves_nothing():
    GatewayCertificate.objects.create(payment_method="alipay", serial="0" * 32, pem=MERCHANTS)
    assert verdict("next") == "untrusted"


def test_it_is_kept_once_and_told():
    certificate_keep(NEXT)
    certificate_keep(NEXT)
    assert GatewayCertificate.objects.count() == 1
    assert AuditEvent.objects.filter(action="config_certificate_kept").count() == 1
    warned = [found for found in examine_current("alipay") if found.key == "alipay_cert"]
    assert any("新的公钥证书" in str(finding.message) for finding in warned)


def test_an_answer_is_not_lost_when_the_certificate_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(GatewayCertificate.objects, "get_or_create", None)
    certificate_keep(NEXT)
    assert not GatewayCertificate.objects.exists()


def test_key_mode_looks_for_none(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert with_certificates_kept("alipay", {"public_key": "x"}) == {"public_key": "x"}
        assert with_certificates_kept("wechat", MODE) is MODE


def test_a_notice_in_gbk_is_taken_and_shown_readably():
    fields = alipay_fields(charset="GBK", subject="中医内科")
    body = alipay_body(fields, encoding="gbk")
    Client().post("/payment/callback/alipay", body, content_type=FORM)
    kept = PaymentCallback.objects.latest("received_at")
    assert kept.verdict == "unknown_order"
    text = PaymentCallbackBody.objects.get(pk=kept.pk).body
    assert body_fields(text)["subject"] == "中医内科"
