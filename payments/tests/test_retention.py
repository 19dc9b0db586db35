"""Raw messages of gateways go when their time is over, and the audit is content with that."""

from datetime import timedelta

import pytest

from payments.models import PaymentCallback, PaymentCallbackBody
from payments.services import retention
from payments.tasks import trim_callback_bodies
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tests.audit.books import violations
from tests.audit.lively import Clinic, gateways

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept(settings):
    """Ten messages, two years old to now."""
    settings.MOCK_CALLBACKS, settings.RETENTION_CALLBACK_BODY_DAYS = False, 400
    settings.SNAPSHOT_DATABASE = "default"  # this connection alone sees the rows
    with gateways():
        for days in (700, 500, 300):
            with clock.frozen(clock.now() - timedelta(days=days)):
                Clinic().paid("wechat")
    return list(PaymentCallbackBody.objects.order_by("callback_id"))


def test_what_is_old_goes_and_what_it_was_stays(kept, monkeypatch):
    assert len(kept) == 3
    monkeypatch.setattr(retention, "BATCH", 1)
    before = violations()
    assert trim_callback_bodies() == 2
    assert list(PaymentCallbackBody.objects.all()) == kept[2:]
    assert PaymentCallback.objects.exclude(kept_digest="").count() == 3
    told = AuditEvent.objects.filter(action="callback_bodies_trimmed").order_by("version")
    assert [event.details["last"] for event in told] == [str(kept[0].pk), str(kept[1].pk)]
    assert violations() == before
    assert trim_callback_bodies() == 0


def test_another_that_is_missing_is_noticed(kept):
    trim_callback_bodies()
    before = violations()
    with clock.frozen(clock.now()), gateways():
        Clinic().paid("wechat")
    newest = PaymentCallbackBody.objects.latest("callback_id")
    PaymentCallbackBody.objects.filter(pk=newest.pk).delete()
    assert len(violations()) > len(before)


def test_nothing_goes_unless_it_was_asked_for(kept, settings):
    settings.RETENTION_CALLBACK_BODY_DAYS = 0
    assert trim_callback_bodies() == 0


def test_a_notice_that_waits_keeps_its_message_and_all_after_it(kept):
    PaymentCallback.objects.filter(pk=kept[0].pk).update(is_picked_up=False)
    assert trim_callback_bodies() == 0
