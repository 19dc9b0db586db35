"""A callback key that was put in and taken back is believed for the overlap, unless withdrawn."""

import io
import json
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from config.gateways.drafts import config_roll_back
from config.gateways.errors import (
    KeysInForce,
    KeysRevokedAlready,
    RevocationIsOwn,
    VersionIsRevoked,
    VersionNotFound,
)
from config.gateways.services import gateway_configs_replace
from config.gateways.versions import _opened
from config.models import PaymentConfigVersion
from gateways.tests import kit
from payments.models import PaymentCallback
from payments.services.key_revocation import gateway_keys_revoke
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM, Actor, Role

pytestmark = pytest.mark.django_db

HONEST, ROGUE = "alipay", "rogue"


@pytest.fixture(autouse=True)
def _switches(settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = False
    settings.MOCK_CALLBACKS = False
    _opened.cache_clear()


def put(key: str, **more: str) -> PaymentConfigVersion:
    """Make ``key`` the one that Alipay's callbacks are verified with."""
    values = kit.alipay_values(public_key=kit.public_pem(key), **more)
    values = {name: value for name, value in values.items() if name != "gateway_url" and value}
    gateway_configs_replace(actor=SYSTEM, configs={"alipay": values})
    return PaymentConfigVersion.objects.get(payment_method="alipay", retired_at=None)


def believed(key: str, number: str = "ORD20261124100000ABCDEF1234A") -> bool:
    """Whether a notice that ``key`` signed is handled (about an order that nobody knows)."""
    fields = kit.alipay_fields(out_trade_no=number, trade_no=uuid.uuid4().hex[:28])
    answer = Client().post(
        "/payment/callback/alipay",
        kit.alipay_body(fields, kit.alipay_signature(fields, key)),
        content_type=kit.FORM,
    )
    return answer.status_code == 200


def someone() -> Actor:
    return Actor(id=uuid.uuid4(), role=Role.STAFF, name="somebody")


@pytest.fixture
def rogue() -> PaymentConfigVersion:
    """A rogue key that was put in for one call and taken back at once."""
    put(HONEST)
    version = put(ROGUE)
    put(HONEST)
    version.refresh_from_db()
    return version


def revoke(version: PaymentConfigVersion, actor: Actor = SYSTEM) -> Any:
    return gateway_keys_revoke(
        actor=actor, method="alipay", version_id=version.id, reason="不是支付宝的公钥"
    )


def test_a_key_that_was_taken_back_is_believed_until_it_is_withdrawn(rogue):
    assert believed(ROGUE)
    revoke(rogue)
    assert not believed(ROGUE)
    assert believed(HONEST)


def test_a_callback_says_by_which_version_and_key_it_was_believed(rogue):
    assert believed(ROGUE)
    assert believed(HONEST)
    first, second = PaymentCallback.objects.order_by("received_at")
    assert first.config_version_id == rogue.id
    assert second.config_version_id != rogue.id
    assert len(first.key_mark) == 32
    assert first.key_mark != second.key_mark


def test_other_versions_with_the_same_key_end_with_it(rogue):
    put(ROGUE, return_url="https://clinic.example.com/")
    put(HONEST)
    revoke(rogue)
    assert not believed(ROGUE)
    assert PaymentConfigVersion.objects.exclude(revoked_at=None).count() == 2


def test_keys_in_force_can_not_be_withdrawn(rogue):
    running = PaymentConfigVersion.objects.get(payment_method="alipay", retired_at=None)
    with pytest.raises(KeysInForce):
        revoke(running)
    same_keys = PaymentConfigVersion.objects.filter(payment_method="alipay").order_by("number")[1]
    with pytest.raises(KeysInForce):
        revoke(same_keys)
    assert believed(HONEST)


def test_a_withdrawn_version_does_not_come_back_by_a_click(rogue):
    revoke(rogue)
    with pytest.raises(KeysRevokedAlready):
        revoke(rogue)
    with pytest.raises(VersionIsRevoked):
        config_roll_back(actor=SYSTEM, method="alipay", number=rogue.number, reason="回退")


def test_another_gateways_version_is_not_found(rogue):
    with pytest.raises(VersionNotFound):
        gateway_keys_revoke(actor=SYSTEM, method="wechat", version_id=rogue.id, reason="x")


def test_where_two_are_needed_one_asks_and_another_does_it(rogue, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    asker = someone()
    assert revoke(rogue, asker) is None
    assert believed(ROGUE)
    with pytest.raises(RevocationIsOwn):
        revoke(rogue, asker)
    assert believed(ROGUE)
    assert revoke(rogue, someone()) is not None
    assert not believed(ROGUE)
    actions = AuditEvent.objects.filter(action__startswith="config_keys_rev").order_by("id")
    assert [event.action for event in actions] == [
        "config_keys_revocation_asked",
        "config_keys_revoked",
    ]


def test_who_asked_about_an_alike_version_may_confirm_about_this_one(rogue, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    put(ROGUE)
    put(HONEST)
    alike = PaymentConfigVersion.objects.exclude(retired_at=None).latest("number")
    one, other = someone(), someone()
    assert alike.pk != rogue.pk
    assert revoke(alike, other) is None
    assert revoke(rogue, one) is None
    assert revoke(rogue, other) is not None
    for version in (rogue, alike):
        version.refresh_from_db()
        assert (version.revocation_asked_by, version.revoked_by) == (one.id, other.id)


def test_who_asked_while_two_were_needed_does_it_alone_when_one_is_enough(rogue, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    asker = someone()
    assert revoke(rogue, asker) is None
    settings.CONFIG_ACTIVATION_SECOND_PERSON = False
    assert revoke(rogue, asker) is not None
    rogue.refresh_from_db()
    assert (rogue.revocation_asked_by, rogue.revoked_by) == (None, asker.id)


def test_waiting_refund_notices_on_its_word_are_dropped(rogue):
    assert believed(ROGUE)
    callback = PaymentCallback.objects.get()
    PaymentCallback.objects.update(verdict="refund_notice", is_picked_up=False)
    other = PaymentCallback.objects.create(
        payment_method="alipay",
        verdict="refund_notice",
        is_picked_up=False,
        key_mark="0" * 32,
        body_sha256="",
    )
    assert revoke(rogue).notices_dropped == 1
    callback.refresh_from_db()
    other.refresh_from_db()
    assert (callback.is_picked_up, other.is_picked_up) == (True, False)


# --- the command ------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("revoke_gateway_keys", "alipay", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_what_was_booked_on_their_word(rogue):
    assert believed(ROGUE)
    assert believed(HONEST)
    PaymentCallback.objects.update(verdict="applied")
    arguments = ("--version", str(rogue.id), "--reason", "误填", "--json")
    told = json.loads(run(*arguments))
    assert [version["number"] for version in told["versions"]] == [rogue.number]
    [line] = told["booked"]
    assert (line["verdict"], line["amount"]) == ("applied", "30.00")
    assert told["unattributed"] == 0
    # Run again, it tells again and changes nothing.
    assert json.loads(run(*arguments))["booked"] == told["booked"]
    assert AuditEvent.objects.filter(action="config_keys_revoked").count() == 1
    assert "1" in run("--version", str(rogue.number), "--reason", "误填")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version", "99", "--reason", "x"),
        ("--version", "no-such-id", "--reason", "x"),
        ("--version", "1", "--reason", " "),
    ],
)
def test_the_command_refuses_what_it_can_not_do(rogue, arguments):
    with pytest.raises(CommandError):
        run(*arguments)


# --- the page ---------------------------------------------------------------------------------


def page(version: PaymentConfigVersion) -> str:
    return reverse("admin:payments_paymentcallback_keys", args=["alipay", version.number])


def signed_in(name: str) -> Client:
    client = Client()
    client.force_login(StaffUser.objects.create_superuser(name, password="x"))
    return client


def test_the_page_lists_and_withdraws(rogue):
    assert believed(ROGUE)
    PaymentCallback.objects.update(verdict="applied")
    client = signed_in("one")
    assert 'data-test="booked"' in client.get(page(rogue)).content.decode()
    client.post(page(rogue), {"reason": "误填的公钥"})
    assert not believed(ROGUE)
    shown = client.get(page(rogue)).content.decode()
    assert 'data-test="revoked"' in shown
    assert 'data-test="booked"' in shown


def test_the_page_counts_earlier_notices_that_do_not_say_who_verified_them(rogue):
    assert believed(ROGUE)
    PaymentCallback.objects.update(verdict="applied", config_version_id=None, key_mark="")
    assert "此外有 1 条较早的通知" in signed_in("one").get(page(rogue)).text


def test_the_page_needs_two_where_configuration_does(rogue, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    one, other = signed_in("one"), signed_in("other")
    one.post(page(rogue), {"reason": "误填的公钥"})
    one.post(page(rogue), {"reason": "误填的公钥"})
    assert believed(ROGUE)
    assert 'data-test="asked"' in other.get(page(rogue)).content.decode()
    other.post(page(rogue), {"reason": "确认"})
    assert not believed(ROGUE)


def test_the_page_is_for_those_who_may_activate(rogue):
    client = Client()
    client.force_login(StaffUser.objects.create_user("nobody", password="x", is_staff=True))
    assert client.get(page(rogue)).status_code == 403
    assert client.post(page(rogue), {"reason": "误填的公钥"}).status_code == 403
    assert believed(ROGUE)
