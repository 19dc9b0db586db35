import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from config.models import PaymentConfig, PriceConfig
from config.selectors import gateway_config_current
from config.services import gateway_config_set
from config.tests.conftest import ADMIN
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PRICE = {
    "service_name": "处方费",
    "price": "12.50",
    "discount_price": "",
    "is_active": "on",
    "effective_date": "2024-01-01",
    "expiry_date": "",
    "description": "",
}


def page(row: PriceConfig | PaymentConfig, name: str = "change") -> str:
    return f"/admin/config/{row._meta.model_name}/{row.pk}/{name}/"


@pytest.fixture
def client(staff: StaffUser) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def price() -> PriceConfig:
    return PriceConfig.objects.get(service_type="prescription")


@pytest.fixture
def secret() -> PaymentConfig:
    return gateway_config_set(actor=ADMIN, method="wechat", key="api_key", value="CANARY-1")


def test_the_lists_and_forms_open(client, price, secret):
    gateway_config_set(actor=ADMIN, method="wechat", key="app_id", value="wx777")
    listed = client.get("/admin/config/priceconfig/").content.decode()
    assert "生效中" in listed
    listed = client.get("/admin/config/paymentconfig/").content.decode()
    assert "wx777" in listed
    assert "CANARY" not in listed
    assert client.get(page(price)).status_code == 200


def test_a_price_is_changed_through_the_service(client, price, staff):
    assert client.post(page(price), PRICE).status_code == 302
    price.refresh_from_db()
    assert f"{price.price:.2f}" == "12.50"
    event = AuditEvent.objects.get(object_type="price")
    assert (event.actor_id, event.actor_role) == (staff.id, "staff")
    history = client.get(page(price, "history")).content.decode()
    assert "10.00 → 12.50" in history


def test_a_later_date_in_the_form_begins_a_new_period(client, price):
    assert client.post(page(price), {**PRICE, "effective_date": "2099-01-01"}).status_code == 302
    price.refresh_from_db()
    assert f"{price.price:.2f}" == "10.00"
    assert str(price.expiry_date) == "2098-12-31"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"discount_price": "99"}, "优惠价不能高于价格"),
        ({"price": "1e1"}, "金额应大于 0"),
        ({"price": "１０"}, "金额应大于 0"),
        ({"effective_date": "2023-01-01"}, "生效日期不能早于"),
        ({"expiry_date": "2023-01-01"}, "失效日期不能早于"),
    ],
)
def test_a_refusal_is_shown_in_the_form(client, price, change, text):
    answer = client.post(page(price), {**PRICE, **change})
    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert not AuditEvent.objects.exists()


def test_a_new_service_is_added_through_the_service(client):
    new = {**PRICE, "service_type": "massage", "service_name": "推拿"}
    assert client.post("/admin/config/priceconfig/add/", new).status_code == 302
    assert AuditEvent.objects.get().action == "price_created"


def test_a_secret_is_never_rendered_back(client, secret):
    for answer in (
        client.get(page(secret)),
        client.post(page(secret), {"value": "CANARY" * 4000}),  # too long: the form comes back
        client.get(page(secret, "history")),
    ):
        assert answer.status_code == 200
        assert "CANARY" not in answer.content.decode()
        assert "enc:1:" not in answer.content.decode()
    assert "已设置" in client.get(page(secret)).content.decode()


def test_a_secret_is_replaced_or_cleared_but_not_emptied_by_accident(client, secret):
    assert client.post(page(secret), {"value": ""}).status_code == 200
    assert gateway_config_current("wechat").values == {"api_key": "CANARY-1"}
    assert client.post(page(secret), {"value": "CANARY-2"}).status_code == 302
    assert gateway_config_current("wechat").values == {"api_key": "CANARY-2"}
    assert client.post(page(secret), {"is_to_clear": "on"}).status_code == 302
    assert gateway_config_current("wechat").values == {}


def test_a_bad_address_is_refused_in_the_form(client):
    row = PaymentConfig.objects.get(payment_method="alipay", config_key="notify_url")
    answer = client.post(page(row), {"value": "http://10.0.0.1/x"})
    assert "必须是公网可以访问的地址" in answer.content.decode()


@pytest.mark.parametrize("model", ["priceconfig", "paymentconfig"])
def test_nothing_is_deleted_in_the_admin(client, model, price, secret):
    row = price if model == "priceconfig" else secret
    assert client.post(page(row, "delete"), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    client.post(f"/admin/config/{model}/", action)
    assert type(row).objects.filter(pk=row.pk).exists()


def test_configuration_rows_are_not_added_in_the_admin(client):
    assert client.get("/admin/config/paymentconfig/add/").status_code == 403


@pytest.mark.parametrize(("codename", "status"), [("view", 403), ("change", 302)])
def test_changing_needs_the_permission_to_change(price, secret, codename, status):
    user = StaffUser.objects.create_user("clerk", is_staff=True)
    wanted = [f"{codename}_priceconfig", f"{codename}_paymentconfig"]
    user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    client = Client()
    client.force_login(user)
    assert client.get(page(price)).status_code == 200
    assert client.post(page(price), PRICE).status_code == status
    assert client.post(page(secret), {"value": "x"}).status_code == status


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_service_owns_its_transaction(monkeypatch):
    # In a plain test everything runs inside one transaction, which would hide a nested one.
    user = StaffUser.objects.create_superuser("root", "root@clinic.test", "pass")
    client = Client()
    client.force_login(user)
    row = PriceConfig.objects.get(service_type="prescription")
    assert not connection.in_atomic_block
    assert client.post(page(row), PRICE).status_code == 302
