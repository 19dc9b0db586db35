"""What the first page says beside its sums: nothing to whom it may not, health, what waits."""

import html
import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from backoffice.today.health import gateways_health
from backoffice.today.services import day_totals_catch_up
from backoffice.today.tests.test_today import page, paid  # noqa: F401
from balances.adjustments import adjustment_request
from balances.models import Direction
from config.models import PriceChangeRequest
from gateways.errors import GatewayUnknown
from gateways.key_texts import Expiry
from gateways.mock import MockGateway
from payments.models import PaymentCallback, PaymentTransaction
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.services.orders import OrderCommand, order_create
from payments.states import Verdict
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db


def test_who_may_not_see_money_is_greeted_without_figures(client):
    client.force_login(StaffUser.objects.create_user("nobody", is_staff=True))
    answer = client.get("/admin/")
    assert (answer.context["title"], "cards" in answer.context) == ("今日", False)


def test_the_last_hour_of_each_gateway(page, settings, monkeypatch):  # noqa: F811
    settings.MOCK_CALLBACKS = True
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    with clock.frozen(clock.now() - timedelta(minutes=61)):
        paid(owner, "wechat", "")
    paid(owner, "wechat", "")
    order = order_create(
        actor=owner,
        command=OrderCommand(user_id=owner.id, order_type="other", amount=Decimal("1.00")),
    )
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))

    def silence(self, number):
        raise GatewayUnknown("timeout")

    monkeypatch.setattr(MockGateway, "query_payment", silence)
    with pytest.raises(GatewayUnknown):
        attempt_check(PaymentTransaction.objects.get(order=order).id)
    PaymentCallback(
        payment_method="wechat", verdict=Verdict.UNTRUSTED, body_sha256="", received_at=clock.now()
    ).save()
    wechat, alipay = gateways_health()
    assert (wechat.started, wechat.paid, wechat.success_percent) == (2, 1, 50)
    assert (wechat.unanswered, wechat.refused) == (1, 1)
    assert wechat.seconds_to_pay is not None
    assert (alipay.started, alipay.success_percent, alipay.seconds_to_pay) == (0, None, None)
    content = page.get("/admin/").content.decode()
    for link, number in re.findall(
        r'<a class="tcm-link" href="([^"]+recent=hour[^"]*)">(\d+)</a>', content
    ):
        rows = page.get(html.unescape(link)).context["cl"].queryset
        assert rows.count() == int(number), link


def task_counts(client: Client) -> dict[str, int]:
    return {task.title: task.count for task in client.get("/admin/").context["tasks"]}


def test_what_waits_for_a_second_person_or_ends_soon_is_named(client, monkeypatch):
    user = StaffUser.objects.create_superuser(id=uuid.uuid4(), username="admin", password="x")
    client.force_login(user)
    names = ("待复核的余额调整", "待确认的改价", "即将到期的证书")
    assert [task_counts(client)[name] for name in names] == [0, 0, 0]
    assert task_counts(client)["启用后支付全部失败的配置"] == 0
    adjustment_request(
        actor=Actor(uuid.uuid4(), Role.STAFF),
        request_id=uuid.uuid4(),
        user_id=uuid.uuid4(),
        direction=Direction.CREDIT,
        amount=Decimal("3.00"),
        reason="补记",
    )
    PriceChangeRequest.objects.create(
        service_type="consultation",
        wanted={},
        amount_before=Decimal("1.00"),
        amount_after=Decimal("9.00"),
        percent=Decimal("800.0"),
        reason="x",
        waiting_service="consultation",
        requested_by=uuid.uuid4(),
    )
    ends = {"wechat": clock.now() + timedelta(days=5), "alipay": clock.now() + timedelta(days=300)}
    monkeypatch.setattr(
        "backoffice.today.selectors.expiries_current",
        lambda method: [Expiry("key", "01", ends[method], (ends[method] - clock.now()).days)],
    )
    assert [task_counts(client)[name] for name in names] == [1, 1, 1]
    assert (
        f"最早 {clock.business_day(ends['wechat'])} 到期" in client.get("/admin/").content.decode()
    )


def test_without_any_order_there_is_nothing_to_total():
    assert day_totals_catch_up() == 0
