"""The invariants in production: what changed lately, all of it at night, and what should go on."""

from datetime import UTC, datetime, time, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError
from django.db.transaction import atomic
from django.test import Client
from django.urls import reverse

from backoffice.models import LawRun, LawRunKind
from backoffice.ops import laws, liveness
from backoffice.ops.alarms import ALARMS, beyond
from backoffice.ops.audit import to_its_end
from backoffice.ops.figures import figures
from backoffice.ops.laws import EXAMPLES_MAX, LEEWAY, recent_run, whole_run_if_due
from payments.models import PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, pay
from tcmpay.accounts.models import StaffUser
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation
from tcmpay.watching import Liveness, Span
from tests.clinic import new_order, patient, report_paid

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 12, 1, 19, 30, tzinfo=UTC)  # 3:30 in Shanghai
NOON = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _one_connection(settings):
    """What a test wrote and did not commit is seen by the connection that wrote it."""
    settings.SNAPSHOT_DATABASE = "default"


def breaks(count: int, **kind: bool):
    def check(scope):
        for number in range(count):
            yield Violation("L3", "balance", str(number), "坏了", **kind)

    return check


@pytest.mark.parametrize(
    "early", [SoftTimeLimitExceeded(), OperationalError(2013, "Lost connection")]
)
def test_a_run_that_is_cut_off_says_nothing_of_the_books(early):
    def check(scope):
        raise early
        yield

    with pytest.raises(type(early)):
        list(to_its_end(check, Scope()))


def told() -> set[str]:
    return {one.key for one in beyond(ALARMS, figures())}


def first_page() -> str:
    client = Client()
    client.force_login(StaffUser.objects.create_superuser("chief"))
    return client.get(reverse("admin:index")).content.decode()


@pytest.fixture
def paid(settings) -> PaymentOrder:
    settings.MOCK_CALLBACKS, settings.ORDER_PRICE_POLICY = True, "open"
    owner = patient()
    order = new_order(owner)
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    report_paid(PaymentTransaction.objects.get(order=order))
    return PaymentOrder.objects.get(id=order.id)


def test_sound_books_are_one_line_on_the_first_page(paid):
    assert recent_run() == 0
    assert "BooksBroken{run=recent}" not in told()
    assert "近期变化核对无误" in first_page()


def test_a_row_changed_by_sql_is_found_within_a_quarter_of_an_hour(paid):
    recent_run()
    PaymentOrder.objects.filter(id=paid.id).update(amount="0.01")
    assert recent_run() > 0
    assert "BooksBroken{run=recent}" in told()
    page = first_page()
    assert "近期变化核对发现" in page
    assert str(paid.id) in page


def test_it_looks_back_a_little_further_than_to_the_last_run(monkeypatch):
    monkeypatch.setattr(laws, "RECENT_CHECKS", ())
    with clock.frozen(NOON):
        recent_run()
    with clock.frozen(NOON + timedelta(minutes=15)):
        recent_run()
    assert laws.newest(LawRunKind.RECENT).since == NOON - LEEWAY


def test_examples_are_few_and_notices_none(monkeypatch):
    checks = (breaks(30), breaks(4, is_notice=True), breaks(2, is_unfinished=True))
    monkeypatch.setattr(laws, "RECENT_CHECKS", checks)
    assert recent_run() == 30
    run = laws.newest(LawRunKind.RECENT)
    assert (run.violations, run.unfinished, len(run.examples)) == (30, 2, EXAMPLES_MAX)


@pytest.mark.parametrize("at", [NIGHT - timedelta(hours=1), NIGHT + timedelta(hours=4)])
def test_by_day_nobody_reads_all_of_the_books(at):
    with clock.frozen(at):
        whole_run_if_due()
    assert not LawRun.objects.exists()


def test_at_night_all_of_it_is_read_once(monkeypatch):
    monkeypatch.setattr(laws, "CHECKS", (breaks(1),))
    with clock.frozen(NIGHT):
        assert [whole_run_if_due(), whole_run_if_due()] == [1, 0]
    with clock.frozen(NIGHT + timedelta(days=1)):
        assert whole_run_if_due() == 1


def test_at_night_the_roots_kept_outside_are_compared(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(laws, "CHECKS", ())
    kept = tmp_path / "roots.jsonl"
    kept.write_text('{"chain": "trail", "number": 9, "root": "of a database put back since"}\n')
    settings.AUDIT_ROOT_FILE = str(kept)
    with clock.frozen(NIGHT):
        assert whole_run_if_due() == 1


def test_one_that_was_interrupted_counts_for_nothing():
    with clock.frozen(NIGHT), atomic():
        LawRun.objects.create(kind=LawRunKind.WHOLE, began_at=NIGHT)
        assert laws.newest(LawRunKind.WHOLE) is None
        assert "WholeAuditOld" in told()


# --- what should go on --------------------------------------------------------------------------


def watched(settings, minutes: int = 30, percent: int = 0) -> None:
    settings.LIVENESS = Liveness(minutes, Span(time(8), time(20)), percent)


def test_no_paid_order_within_hours_is_told_and_off_by_default(settings):
    with clock.frozen(NOON):
        assert not liveness.is_paid_order_missing()
        watched(settings)
        assert "NoPaidOrder" in told()


@pytest.mark.parametrize("at", [NOON - timedelta(hours=3, minutes=45), NOON + timedelta(hours=9)])
def test_outside_of_hours_and_just_after_opening_nobody_is_missed(settings, at):
    watched(settings)
    with clock.frozen(at):
        assert not liveness.is_paid_order_missing()


def test_a_night_between_is_no_time_in_which_somebody_should_have_paid(settings):
    watched(settings, minutes=12 * 60 + 30)  # from yesterday's last half hour to today's first
    with clock.frozen(NOON - timedelta(hours=3, minutes=45)):
        assert not liveness.is_paid_order_missing()


def test_hours_over_midnight_are_one_span(settings):
    settings.LIVENESS = Liveness(120, Span(time(20), time(6)), 0)
    with clock.frozen(NOON + timedelta(hours=13)):  # one in the morning
        assert liveness.is_paid_order_missing()


def test_one_paid_order_is_enough(settings, paid):
    settings.LIVENESS = Liveness(30, None, 0)
    assert not liveness.is_paid_order_missing()


def test_a_gateway_is_judged_by_enough_attempts_that_are_old_enough(settings, paid, monkeypatch):
    watched(settings, percent=60)
    attempt = PaymentTransaction.objects.get(order=paid)
    assert liveness.success_shares() == {}, "one attempt, and a young one"
    monkeypatch.setattr(liveness, "ATTEMPTS_MIN", 1)
    with clock.frozen(attempt.initiated_at + timedelta(minutes=6)):
        assert liveness.gateways_failing() == {"wechat": 0.0}
    owner = patient()
    command = PayCommand(order_id=new_order(owner).id, payment_method="wechat")
    pay(actor=owner, command=command)
    with clock.frozen(clock.now() + timedelta(minutes=6)):
        assert liveness.gateways_failing() == {"wechat": 1.0}, "one of two"
