"""The documentation of the demo names what is there; that of a deployment names nobody's."""

import json

import pytest
from django.core.management import call_command
from django.test import Client

from backoffice.demo.data import PATIENT_LI
from balances.api_schema import ORDER_ID, OWNER_ID
from payments.api_schema import PAID_ORDER_ID
from payments.models import PaymentOrder
from refunds.api_schema import REFUND_ID
from tcmpay.common.actor import Role
from tests.api.kit import someone

pytestmark = pytest.mark.django_db


def example_of(path: str) -> str:
    found = json.loads(Client().get("/api/schema/?format=json").content)
    parameters = found["paths"][path]["get"]["parameters"]
    return next(one["schema"]["example"] for one in parameters if one["in"] == "path")


ORDER_PATH = "/api/v1/payment/orders/{order_id}"


@pytest.fixture
def pending(story) -> str:
    return story.order(someone(Role.PATIENT, PATIENT_LI))["id"]


def test_in_the_demo_an_order_that_can_be_paid_is_named(pending, settings):
    settings.DEBUG = True
    assert example_of(ORDER_PATH) == pending
    PaymentOrder.objects.filter(id=pending).update(expire_time="2020-01-01T00:00:00Z")
    assert example_of(ORDER_PATH) == ORDER_ID


def test_in_a_deployment_nobodys_order_is_named(pending, settings):
    settings.DEBUG = False
    assert example_of(ORDER_PATH) == ORDER_ID


def test_the_examples_are_of_the_demos_patient():
    assert str(PATIENT_LI) == OWNER_ID


def test_the_demo_has_something_for_every_example(settings):
    settings.DEBUG = True
    call_command("seed_demo", "--quiet")
    found = Client().get("/api/schema/?format=json").content.decode()
    assert not [one for one in (ORDER_ID, PAID_ORDER_ID, REFUND_ID) if one in found]
