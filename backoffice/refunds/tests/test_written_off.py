"""What the pages offer and say once the case of a refund was written off: nobody sends it again."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from backoffice.cases.actions import offered
from backoffice.orders.situation import situation
from backoffice.orders.timeline import Story
from backoffice.refunds.asking import Refundable
from backoffice.refunds.facts import facts_of
from payments.models import PaymentException
from refunds.models import Refund
from refunds.services.retries import refund_retry
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, Gateway
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tests.clinic import staff_actor_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture
def lin() -> StaffUser:
    made = StaffUser.objects.create_user(username="lin", is_staff=True)
    made.groups.set(Group.objects.filter(name__in=("reviewer", "finance")))
    return made


@pytest.fixture
def refund() -> Refund:
    return stage.failed(stage.paid("wechat"))


def page(reader: StaffUser, address: str) -> str:
    browser = Client()
    browser.force_login(reader)
    return browser.get(f"/admin/refunds/refund/{address}").content.decode()


def pages(reader: StaffUser, refund: Refund) -> dict[str, bool]:
    """Where a retry is offered."""
    retry = f"/admin/refunds/refund/{refund.pk}/retry/"
    return {
        "list": retry in page(reader, ""),
        "those to retry": refund.refund_no in page(reader, "?retry=yes"),
        "its page": retry in page(reader, f"{refund.pk}/change/"),
        "the retry's own": "使用原退款单号重新提交网关" in page(reader, f"{refund.pk}/retry/"),
    }


def test_a_retry_is_offered_until_then(refund, lin):
    assert set(pages(lin, refund).values()) == {True}
    stage.write_off(PaymentException.objects.get(), is_confirmed=False)
    assert set(pages(lin, refund).values()) == {False}
    assert "余额调整" in page(lin, f"{refund.pk}/retry/"), "it says what to do instead"
    assert "视为已另行退还" in page(lin, f"{refund.pk}/change/")
    assert "不会重试" in " ".join(situation(Story.of(refund.order)).next_steps)


def test_its_money_is_not_proposed_for_a_new_request(refund):
    assert Refundable.of(refund.order).left == stage.ALL
    stage.write_off(PaymentException.objects.get(), is_confirmed=False)
    assert Refundable.of(refund.order).proposed == stage.ALL - refund.refund_amount


def test_whoever_reviews_another_request_is_told(refund, lin):
    stage.write_off(PaymentException.objects.get())
    again = stage.pending(refund.transaction)
    [remark] = facts_of(again, lin).remarks
    assert "10.00" in remark
    assert "另行退还" in remark


def test_a_case_offers_no_write_off_while_its_refund_is_on_its_way_again(refund, lin):
    case = PaymentException.objects.get()
    assert {name for name, _action in offered(case, lin)} == {"retry", "write_off"}
    refund_retry(actor=staff_actor_of(lin), refund_id=refund.id, reason="已充值")
    assert {name for name, _action in offered(case, lin)} == {"retry"}


def test_no_other_case_of_the_same_money_offers_it(lin):
    stage.paid_late("wechat")
    Gateway(refund=stage.FORBIDDEN).sweep_at(0)
    late = PaymentException.objects.get()
    Refund.objects.update(status="failed", next_check_at=None)
    assert {name for name, _action in offered(late, lin)} == {"refund", "write_off"}
    case = PaymentException.objects.create(
        kind="refund_refused",
        fact_key=f"refund_refused:wechat:{Refund.objects.get().pk}:0",
        payment_method="wechat",
        transaction=late.transaction,
    )
    stage.write_off(case)
    assert {name for name, _action in offered(late, lin)} == {"write_off"}
