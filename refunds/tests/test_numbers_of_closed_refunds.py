"""Rows of before the gateway's number was cleared on CLOSED."""

from importlib import import_module

import pytest
from django.apps import apps

from gateways.interface import RefundState
from refunds.models import Refund
from refunds.services.numbers import gateway_refund_no
from refunds.services.retries import refund_retry
from refunds.services.submission import refund_report_apply
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock

pytestmark = pytest.mark.django_db

MIGRATION = "refunds.migrations.0014_numbers_of_closed_refunds"


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    with clock.frozen(BEGUN_AT):
        yield


def upgrade() -> None:
    import_module(MIGRATION).forget_closed_numbers(apps, None)


def forget_digests(refund: Refund) -> None:
    """The trail as releases wrote it that kept no digests."""
    for event in AuditEvent.objects.filter(object_type="refund", object_id=str(refund.id)):
        details = {name: value for name, value in event.details.items() if name != "row"}
        AuditEvent.objects.filter(id=event.id).update(details=details)


def closed_with_its_number() -> Refund:
    refund = stage.closed(stage.paid("wechat"))
    Refund.objects.filter(id=refund.id).update(external_refund_id=f"G{refund.refund_no}")
    return refund


def test_the_next_number_of_a_closed_refund_can_be_booked():
    refund = closed_with_its_number()
    forget_digests(refund)
    upgrade()
    refund = refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="再试")
    number = gateway_refund_no(refund)
    report = stage.RefundReport(
        number, RefundState.SUCCESS, refund_id=f"G{number}", amount=SOME, total_amount=stage.ALL
    )
    refund_report_apply(refund_id=refund.id, report=report)
    refund.refresh_from_db()
    assert (refund.status, refund.external_refund_id) == ("success", f"G{number}")


@pytest.mark.parametrize("state", [stage.done, stage.sent], ids=["booked", "first number"])
def test_a_number_that_is_the_running_ones_stays(state):
    refund = state(stage.paid("wechat"))
    forget_digests(refund)
    upgrade()
    assert Refund.objects.get(id=refund.id).external_refund_id == f"G{refund.refund_no}"


def test_what_the_trail_keeps_a_digest_of_stays_as_it_was_told():
    refund = stage.closed(stage.paid("wechat"))
    refund = refund_retry(actor=stage.REVIEWER, refund_id=refund.id, reason="再试")
    number = gateway_refund_no(refund)
    report = stage.RefundReport(number, RefundState.PROCESSING, refund_id=f"G{number}")
    refund_report_apply(refund_id=refund.id, report=report)
    upgrade()
    assert Refund.objects.get(id=refund.id).external_refund_id == f"G{number}"
