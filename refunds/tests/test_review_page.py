"""The review page: what it says, what it sends along, and whom it lets through."""

import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from refunds.models import Refund, RefundBatch
from refunds.services.batches import batch_run
from refunds.services.requests import refund_review
from tcmpay.accounts.models import StaffUser
from tests.clinic import staff_actor_of, waiting_refund

pytestmark = pytest.mark.django_db

PREVIEW = "/admin/refunds/refund/batch/"
QUEUE = "/admin/refunds/refund/queue/"


def person(name: str, last_name: str = "") -> StaffUser:
    made = StaffUser.objects.create_user(username=name, last_name=last_name, is_staff=True)
    made.groups.set([Group.objects.get(name="reviewer")])
    return made


def desk_of(somebody: StaffUser) -> Client:
    browser = Client()
    browser.force_login(somebody)
    return browser


@pytest.fixture
def lin() -> StaffUser:
    return person("lin", "林审核")


@pytest.fixture
def wang() -> StaffUser:
    return person("wang", "王复核")


def address(refund: Refund) -> str:
    return f"/admin/refunds/refund/{refund.pk}/review/"


def hidden_fields(page: str) -> dict[str, list[str]]:
    """What the form that approves sends along besides what is typed."""
    form = next(part for part in page.split("<form") if 'value="approve"' in part)
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form):
        found.setdefault(name, []).append(value)
    return found


def approve(refund: Refund, by: StaffUser) -> Refund:
    return refund_review(
        actor=staff_actor_of(by), refund_id=refund.pk, is_approved=True, notes="同意"
    )


def status_of(refund: Refund) -> str:
    return Refund.objects.get(pk=refund.pk).status


# --- somebody approved while the page was open -------------------------------------------------


@pytest.fixture
def large(settings) -> Refund:
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("20.00")
    return waiting_refund("25.00")


def test_an_approval_on_a_page_from_before_the_first_one_sends_nothing(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(address(large)).content.decode()
    assert "您批准后进入待二审" in shown
    approve(large, lin)
    stale = hidden_fields(shown) | {"decision": "approve", "notes": "同意"}
    answer = browser.post(address(large), stale, follow=True).content.decode()
    assert status_of(large) == "pending"
    assert large.approvals.count() == 1
    assert "林审核 刚已批准，您这次是第二位，请再确认" in answer
    again = hidden_fields(answer) | {"decision": "approve", "notes": "同意"}
    browser.post(address(large), again)
    assert status_of(large) == "success"


def test_a_rejection_on_such_a_page_still_counts(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(address(large)).content.decode()
    approve(large, lin)
    browser.post(address(large), hidden_fields(shown) | {"decision": "reject", "notes": "重复"})
    assert status_of(large) == "cancelled"


def test_a_batch_asks_again_about_what_was_approved_since_its_preview(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(PREVIEW, {"refund": str(large.pk)}).content.decode()
    approve(large, lin)
    stale = hidden_fields(shown) | {"decision": "approve", "notes": "同意"}
    answer = browser.post(PREVIEW, stale).content.decode()
    assert not RefundBatch.objects.exists()
    assert "林审核 刚已批准，您这次是第二位，请再确认" in answer
    browser.post(PREVIEW, hidden_fields(answer) | {"decision": "approve", "notes": "同意"})
    batch_run(batch_id=RefundBatch.objects.get().pk)
    assert status_of(large) == "success"


def test_a_batch_leaves_out_what_was_approved_since_it_was_confirmed(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(PREVIEW, {"refund": str(large.pk)}).content.decode()
    browser.post(PREVIEW, hidden_fields(shown) | {"decision": "approve", "notes": "同意"})
    approve(large, lin)
    batch = RefundBatch.objects.get()
    batch_run(batch_id=batch.pk)
    assert status_of(large) == "pending"
    assert batch.rows.get().error_code == "APPROVED_MEANWHILE"
