"""What gateways told and were asked is sealed by the hour: a log that is cut together with its head
shows, though each of its chains is sound."""

from datetime import timedelta

import pytest

from payments.invariants_seals import CALLBACKS, EXCHANGES
from payments.models import GatewayExchange, PaymentCallback
from payments.tasks import seal_logs
from tcmpay.audit.models import ChainRoot
from tcmpay.audit.seals import OVERDUE_AFTER
from tcmpay.common import clock
from tests.audit.books import audit, gateway_tells, sound_books, sql, violations

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def _told_twice(lasting):
    """Books of three hours ago in which the gateway said the same thing twice."""
    with clock.frozen(clock.now() - timedelta(hours=3)):
        world = sound_books()
        gateway_tells(world.by_wechat, event="again")
    return world


@pytest.fixture
def told(_told_twice, db):
    return list(PaymentCallback.objects.order_by("log_number"))


def cut_off_consistently(told) -> None:
    first, last = told
    sql("DELETE FROM payment_callback_bodies WHERE callback_id = %s", last.id)
    sql("DELETE FROM payment_callbacks WHERE id = %s", last.id)
    head = "UPDATE log_heads SET `rows` = 1, hash = %s WHERE log = 'payment_callbacks'"
    sql(head, first.log_hash)


def forget_consistently() -> None:
    sql("DELETE FROM log_heads WHERE log = 'payment_exchanges'")
    sql("DELETE FROM payment_exchanges")


def test_what_was_sealed_and_is_as_it_was_is_silent(told):
    assert seal_logs() == 2
    assert seal_logs() == 0
    assert violations() == []


def test_callbacks_that_were_cut_off_with_their_head_show_by_the_root_alone(told):
    seal_logs()
    cut_off_consistently(told)
    [found] = [f for f in audit()[1] if f["kind"] == "violation"]
    assert (found["code"], found["object_id"]) == ("E9", "payment_callbacks #1")
    assert "封存时 2 条，现有 1 条" in found["message"]


def test_exchanges_that_are_all_gone_with_their_heads_show(told):
    assert GatewayExchange.objects.exists()
    seal_logs()
    forget_consistently()
    assert violations() == [("E9", "chain_seal")]


def test_it_says_between_which_hours_to_look(told):
    seal_logs()
    with clock.frozen(clock.now() + timedelta(hours=1)):
        first = ChainRoot.objects.get(chain=CALLBACKS.name).until
        gateway_tells(told[0].transaction.order, event="late")
    with clock.frozen(clock.now() + timedelta(hours=3)):
        seal_logs()
        late = PaymentCallback.objects.get(event="late")
        sql("UPDATE payment_callbacks SET received_at = '2026-01-01' WHERE id = %s", late.id)
        found = [f for f in audit()[1] if f["object_type"] == "chain_seal"]
    assert [f["object_id"] for f in found] == ["payment_callbacks #1", "payment_callbacks #2"]
    begun = first.astimezone(clock.SHANGHAI)
    assert f"({begun:%Y-%m-%d %H:%M} – " in found[1]["message"]


def test_a_log_that_is_older_than_its_sealing_has_a_day_for_its_first_root(told):
    """The books were migrated just now, with whatever they held."""
    old = clock.now() - timedelta(days=40)
    PaymentCallback.objects.update(received_at=old)
    for hours, is_unfinished in ((0, False), (2, True)):
        with clock.frozen(clock.now() + OVERDUE_AFTER + timedelta(hours=hours)):
            found = [f["object_id"] for f in audit("--strict")[1] if f["code"] == "E5"]
        assert any(where.startswith(CALLBACKS.name) for where in found) == is_unfinished


@pytest.mark.parametrize("chain", [CALLBACKS, EXCHANGES])
def test_kept_roots_are_compared_as_those_of_the_trail(told, chain, tmp_path):
    seal_logs()
    kept = tmp_path / "roots"
    root = ChainRoot.objects.get(chain=chain.name)
    kept.write_text(f'{{"chain": "{chain.name}", "number": {root.number}, "root": "other"}}\n')
    found = {(f["code"], f["object_id"]) for f in audit("--root", str(kept))[1]}
    assert ("E9", f"{chain.name} #1") in found
