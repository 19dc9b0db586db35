"""A refund notice on the word of a withdrawn key books nothing, however far it had come."""

import uuid
from datetime import timedelta
from unittest.mock import patch

import pytest

from config.gateways.versions import version_values
from config.models import PaymentConfigVersion
from gateways.errors import GatewayUntrusted
from gateways.interface import CallbackNotice, CallbackRequest, RefundState
from gateways.registry import callback_key_marks
from payments.models import PaymentCallback, PaymentTransaction
from payments.services import callbacks
from payments.services.key_revocation import gateway_keys_revoke
from payments.tests.test_key_revocation import HONEST, ROGUE, put
from refunds.models import Refund
from refunds.services import notices
from refunds.services.notices import notices_take
from refunds.tests import stage
from refunds.tests.stage import BEGUN_AT, SOME, Answers
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db

DONE = stage.says(RefundState.SUCCESS)


@pytest.fixture(autouse=True)
def _demo(settings):
    settings.MOCK_CALLBACKS = True
    settings.CONFIG_ACTIVATION_SECOND_PERSON = False
    with clock.frozen(BEGUN_AT):
        yield


@pytest.fixture
def payment() -> PaymentTransaction:
    return stage.paid("alipay")


@pytest.fixture
def rogue(payment) -> PaymentConfigVersion:
    """The version of a key that was put in for a while."""
    put(HONEST)
    version = put(ROGUE)
    put(HONEST)
    return version


def mark_of(version: PaymentConfigVersion) -> str:
    values = version_values(version.id)
    running = PaymentConfigVersion.objects.get(payment_method="alipay", retired_at=None)
    honest = callback_key_marks("alipay", version_values(running.id))
    [mark] = callback_key_marks("alipay", values) - honest
    return mark


def noticed(version: PaymentConfigVersion, payment: PaymentTransaction, number: str, **facts):
    callback = stage.noticed(payment, number, RefundState.SUCCESS, **facts)
    PaymentCallback.objects.filter(id=callback.id).update(
        config_version_id=version.id, key_mark=mark_of(version)
    )
    return callback


def revoke(version: PaymentConfigVersion) -> None:
    gateway_keys_revoke(actor=SYSTEM, method="alipay", version_id=version.id, reason="误填")


def withdrawing(version: PaymentConfigVersion):
    """Reads a notice, and then its key is withdrawn by somebody else."""
    read = callbacks.refund_notice_report

    def step(callback: PaymentCallback):
        report = read(callback)
        if not PaymentConfigVersion.objects.filter(id=version.id, revoked_at=None).exists():
            return report
        revoke(version)
        return report

    return patch.object(notices, "refund_notice_report", step)


def booked() -> list[str]:
    return [refund.status for refund in Refund.objects.all() if refund.status == "success"]


@pytest.mark.parametrize("is_ours", [True, False], ids=["our refund", "made in the console"])
def test_a_notice_that_was_read_already_books_nothing(payment, rogue, is_ours):
    number = stage.unsent(payment).refund_no if is_ours else "console-1"
    callback = noticed(rogue, payment, number, amount=SOME)
    before = stage.Books()
    with withdrawing(rogue):
        assert notices_take() == 1
    assert stage.Books() == before
    callback.refresh_from_db()
    assert callback.is_picked_up


def test_nor_one_about_which_the_gateway_was_being_asked(payment, rogue):
    noticed(rogue, payment, "console-1")

    def answer(request):
        revoke(rogue)
        return DONE(request)

    with stage.gateway_answers(Answers(answer, answer)):
        assert notices_take() == 1
    assert booked() == []


def test_nor_one_that_was_written_down_after_the_withdrawal(payment, rogue):
    revoke(rogue)
    noticed(rogue, payment, "console-1", amount=SOME)
    assert notices_take() == 1
    assert booked() == []


def test_one_of_a_key_that_stands_is_booked(payment, rogue):
    noticed(rogue, payment, "console-1", amount=SOME)
    assert notices_take() == 1
    assert booked() == ["success"]


def test_of_a_withdrawn_version_a_key_that_stands_is_believed(payment, rogue):
    callback = noticed(rogue, payment, "console-1", amount=SOME)
    PaymentCallback.objects.filter(id=callback.id).update(key_mark="another key of that version")
    revoke(rogue)
    assert notices_take() == 1
    assert booked() == ["success"]


def test_a_payments_callback_verified_before_the_withdrawal_changes_nothing_after_it(rogue):
    attempt = _started_before(rogue)
    notice = CallbackNotice("", "paid", trade=stage.trade(attempt), key_mark=mark_of(rogue))
    request = CallbackRequest({}, uuid.uuid4().bytes, "application/json", clock.now())
    incoming = callbacks.Incoming("alipay", request)
    revoke(rogue)
    before, rows = stage.Books(), PaymentCallback.objects.count()
    with clock.frozen(clock.now() + timedelta(seconds=1)), pytest.raises(GatewayUntrusted):
        callbacks.callback_handle(
            incoming=incoming, notice=notice, is_mock=False, config_version_id=rogue.id
        )
    assert (stage.Books(), PaymentCallback.objects.count()) == (before, rows)


def _started_before(rogue: PaymentConfigVersion) -> PaymentTransaction:
    attempt = stage.started("wechat")
    PaymentTransaction.objects.filter(id=attempt.id).update(payment_method="alipay")
    attempt.refresh_from_db()
    return attempt
