"""Secrets of our own making are put in wherever they go in, and looked for everywhere else."""

import json
import logging

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP

from config.models import PaymentConfig
from tcmpay.accounts.models import TOTP_DIGITS, TOTP_STEP_SECONDS, StaffUser
from tcmpay.accounts.services.second_factor import (
    enrolment_begin,
    enrolment_confirm,
    enrolment_key,
)
from tcmpay.common import clock

pytestmark = pytest.mark.django_db

# Not recognisable by their look: only not being written keeps them out.
SECRETS = {
    ("wechat", "api_key"): "Canary0api0key0of0wechat00000032",
    ("alipay", "private_key"): "Canary-alipay-private-key",
    ("alipay", "public_key"): "Canary-alipay-public-key",
}
TOKEN = "CanaryTokenOfSomebody0123456789"
PASSWORD = "CanaryPassw0rdOfSomebody"
CODE = "CanaryCode"


@pytest.fixture
def chief() -> StaffUser:
    return StaffUser.objects.create_user(
        "chief", password=PASSWORD, is_staff=True, is_superuser=True
    )


def everything_in_the_database() -> str:
    """Every value of every row of every table, as it is stored."""
    texts = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            quoted = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT * FROM {quoted}")
            texts += [str(row) for row in cursor.fetchall()]
    assert len(texts) > 50, "the search reads the tables"
    return "\n".join(texts)


def found_in(text: str) -> list[str]:
    return [secret for secret in (*SECRETS.values(), TOKEN, PASSWORD, CODE) if secret in text]


def put_everything_in(api, admin) -> list[str]:
    """By the API, with failures on the way; the answers."""
    answers = []
    for (method, key), value in SECRETS.items():
        body = {"config_key": key, "config_value": value, "is_encrypted": False}
        answers.append(api.put(f"admin/config/{method}", body, by=admin).body)
        # Refused, with the secret at a wrong place.
        wrong = {**body, "config_key": "unknown_key"}
        answers.append(api.put(f"admin/config/{method}", wrong, by=admin).body)
        answers.append(api.get(f"admin/config/{method}", by=admin).body)
    client = Client()
    bad = client.get("/api/v1/payment/orders", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    answers.append(bad.content.decode())
    forged = json.dumps({"resource": TOKEN, "sign": TOKEN, "password": PASSWORD})
    for method in ("wechat", "alipay"):
        answer = client.post(f"/payment/callback/{method}", forged, "application/json")
        answers.append(answer.content.decode())
    form = {"username": "chief", "password": PASSWORD + "x", "code": CODE}
    client.post("/admin/login/", form)
    client.post("/admin/login/", {**form, "password": PASSWORD})
    return [str(answer) for answer in answers]


def test_what_goes_in_as_a_secret_comes_out_nowhere(api, admin, chief, log):
    answers = put_everything_in(api, admin)
    assert PaymentConfig.objects.filter(config_value__startswith="enc:2:").count() >= 2
    assert found_in("\n".join(answers)) == []
    assert found_in(everything_in_the_database()) == []
    assert found_in(log.getvalue()) == []
    assert "request_finished" in log.getvalue(), "the log is the one that is read"


def what_lets_in(api, patient, chief) -> dict[str, str]:
    """Everything that opens something by being shown, used once each."""
    client = Client()
    device = enrolment_begin(chief)
    token = TOTP(device.key(), TOTP_STEP_SECONDS, digits=TOTP_DIGITS)
    token.time = clock.now().timestamp()
    codes = enrolment_confirm(person=chief, code=f"{token.token():06d}")
    form = {"username": "chief", "password": PASSWORD, "code": codes[0]}
    assert client.post("/admin/login/", form).status_code == 302
    body = {"user_id": patient.name, "order_type": "other", "amount": "1.00"}
    api.post("orders", body, by=patient, key="Canary-idempotency-key").created()
    return {
        "session": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "form token": client.cookies[settings.CSRF_COOKIE_NAME].value,
        "used recovery code": codes[0].replace("-", ""),
        "recovery code": codes[1].replace("-", ""),
        "recovery code as shown": codes[1],
        "authenticator's key": enrolment_key(device),
        "authenticator's key in hexadecimal": device.key().hex(),
        "password": PASSWORD,
        "platform token": patient.token,
        "idempotency key": "Canary-idempotency-key",
    }


def test_what_lets_somebody_in_is_not_in_the_database(api, patient, chief, log):
    """A dump, a replica or a backup is no door: what opens one is kept as its hash, or sealed."""
    values = what_lets_in(api, patient, chief)
    dump = everything_in_the_database()
    assert [name for name, value in values.items() if value in dump] == []
    assert [name for name, value in values.items() if value in log.getvalue()] == []


def test_no_page_of_the_admin_shows_one(api, admin, chief, log):
    put_everything_in(api, admin)
    client = Client()
    client.force_login(chief)
    pages = [
        reverse("admin:index"),
        *(
            reverse(f"admin:{name}_changelist")
            for name in (
                "config_paymentconfig", "audit_auditevent", "accounts_signin",
                "accounts_staffuser", "payments_paymentcallback",
            )
        ),
    ]  # fmt: skip
    for model in ("config.PaymentConfig", "audit.AuditEvent", "accounts.SignIn"):
        label, _separator, name = model.partition(".")
        for row in apps.get_model(model).objects.all()[:40]:
            pages.append(reverse(f"admin:{label}_{name.lower()}_change", args=[row.pk]))
    for page in pages:
        answer = client.get(page, follow=True)
        assert answer.status_code == 200, page
        assert found_in(answer.content.decode()) == [], page
    assert found_in(log.getvalue()) == []


def test_an_exception_in_the_middle_shows_and_logs_none(api, admin, monkeypatch, log, settings):
    settings.DEBUG = True
    (method, key), value = next(iter(SECRETS.items()))

    def fails(*args, **kwargs):
        raise RuntimeError(f"api_key={value}")

    monkeypatch.setattr("config.gateways.services.gateway_config_set", fails)
    body = {"config_key": key, "config_value": value, "is_encrypted": False}
    api_answer = api.put(f"admin/config/{method}", body, by=admin)
    assert (api_answer.status, found_in(str(api_answer.body))) == (500, [])
    assert "api_key=********" in log.getvalue()
    assert found_in(log.getvalue()) == []


def test_the_search_finds_what_is_there(log):
    """The sieve itself: a secret in the clear would be seen."""
    PaymentConfig.objects.update_or_create(
        payment_method="wechat", config_key="mch_id", defaults={"config_value": TOKEN}
    )
    logging.getLogger("payments").warning("event %s", TOKEN)
    assert found_in(everything_in_the_database()) == [TOKEN]
    assert found_in(log.getvalue()) == [TOKEN]


def test_a_sealed_secret_copied_by_sql_into_the_return_address_reaches_no_payer(
    api, story, admin, patient
):
    secret = SECRETS["alipay", "private_key"]
    body = {"config_key": "private_key", "config_value": secret, "is_encrypted": True}
    assert api.put("admin/config/alipay", body, by=admin).status == 200
    sealed = PaymentConfig.objects.get(payment_method="alipay", config_key="private_key")
    PaymentConfig.objects.filter(payment_method="alipay", config_key="return_url").update(
        config_value=sealed.config_value, is_encrypted=False
    )
    order = story.order(patient)
    answer = api.post("pay", {"order_id": order["id"], "payment_method": "alipay"}, by=patient)
    assert answer.status == 503
    assert secret not in str(answer.body)
