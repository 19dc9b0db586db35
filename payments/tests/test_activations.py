"""The first payments after an activation are watched: all of them failing raises an alarm."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.cache import cache

from config.gateways.services import gateway_config_set, gateway_configs_replace
from config.models import GatewayMethod, PaymentConfigVersion
from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import PaymentStart
from gateways.mock import MockGateway
from gateways.tests.kit import alipay_values, wechat_values
from payments import channels
from payments.errors import GatewayDown, GatewayRefused
from payments.models import PaymentTransaction
from payments.services.activations import activations_failing, activations_watch
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.services.orders import OrderCommand, order_create
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db
WRONG = GatewayRejected("m", code="APPID_MCHID_NOT_MATCH", reason=RejectReason.CONFIGURATION)


class Answering(MockGateway):
    """Each gateway built from a configuration, answering as the test says."""

    is_mock = False

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.start: PaymentStart | Exception = WRONG
        self.query: Exception = WRONG

    def create_payment(self, prepared):
        if isinstance(self.start, Exception):
            raise self.start
        return self.start

    def query_payment(self, out_trade_no):
        raise self.query


@pytest.fixture
def gateways(monkeypatch):
    cache.clear()
    found = {method: Answering(method) for method in ("wechat", "alipay")}
    monkeypatch.setattr(channels, "_gateway", lambda method, *_rest: found[method])
    configs = {"wechat": wechat_values(), "alipay": alipay_values()}
    given = {m: {k: v for k, v in values.items() if v} for m, values in configs.items()}
    gateway_configs_replace(actor=SYSTEM, configs=given)
    return found


def pay_once(method: str = "wechat", scene: str = "") -> None:
    owner = Actor(uuid4(), Role.PATIENT)
    order = order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("30.00")),
    )
    command = PayCommand(order_id=order.id, payment_method=method, scene=scene)
    with suppress(GatewayRefused, GatewayDown):
        pay(actor=owner, command=command)


def activate() -> int:
    """Another AppID in force; the version's number."""
    gateway_config_set(actor=SYSTEM, method="wechat", key="app_id", value=f"wx{uuid4().hex[:16]}")
    versions = PaymentConfigVersion.objects.filter(payment_method="wechat", retired_at=None)
    return int(versions.get().number)


def test_all_first_payments_failing_raise_an_alarm_and_name_the_way_back(gateways, caplog):
    number = activate()
    for _payment in range(2):
        pay_once()
    assert activations_failing() == [], "two may be chance"
    pay_once()
    [failing] = activations_failing()
    assert (failing.method, failing.version) == (GatewayMethod.WECHAT, number)
    assert (failing.earlier, failing.attempts) == (number - 1, 3)
    assert failing.code == "APPID_MCHID_NOT_MATCH"
    assert (activations_watch(), activations_watch()) == (1, 1)
    told = [record for record in caplog.records if record.message == "gateway_activation_failing"]
    assert len(told) == 1, "not at every sweep"


def test_one_that_works_ends_the_watch(gateways):
    activate()
    for _payment in range(4):
        pay_once()
    gateways["wechat"].start = PaymentStart(qr_code="weixin://x")
    pay_once()
    assert activations_failing() == []


def test_answers_that_can_not_be_verified_fail_too(gateways):
    activate()
    gateways["wechat"].start = GatewayUnknown("x", code="BAD_SIGNATURE")
    for _payment in range(3):
        pay_once()
    assert [one.code for one in activations_failing()] == ["BAD_SIGNATURE"]


def test_what_is_only_signed_is_judged_by_its_questions(gateways):
    gateways["alipay"].start = PaymentStart(payment_url="https://x.example")
    for _payment in range(3):
        pay_once("alipay", "page")
    assert activations_failing() == [], "nobody has been asked yet"
    for attempt in PaymentTransaction.objects.all():
        with pytest.raises(GatewayRejected):
            attempt_check(attempt.id)
    assert [one.method for one in activations_failing()] == [GatewayMethod.ALIPAY]


def test_a_change_begins_a_watch_of_its_own_and_an_old_one_ends(gateways):
    activate()
    for _payment in range(3):
        pay_once()
    with clock.frozen(clock.now() + timedelta(days=8)):
        assert activations_failing() == []
    activate()
    assert activations_failing() == []


def test_the_first_page_offers_the_way_back(gateways, client, django_user_model):
    number = activate()
    for _payment in range(3):
        pay_once()
    client.force_login(django_user_model.objects.create_superuser("root", "r@c.test", "pass"))
    shown = client.get("/admin/").content.decode()
    assert f"/admin/config/paymentconfig/gateway/wechat/versions/{number - 1}/" in shown
    assert "APPID_MCHID_NOT_MATCH" in shown
