"""Sign-ins, exports and kept answers: changed by SQL, it shows."""

import uuid
from datetime import timedelta

import pytest

from backoffice.exports.invariants import check_exports
from backoffice.exports.services import export_request, export_write_now
from backoffice.models import ExportJob
from backoffice.ops.invariants import check_keys
from tcmpay.accounts.invariants import SIGN_INS, check_sealed_sign_ins, check_sign_ins
from tcmpay.accounts.models import SignIn, SignInOutcome, StaffUser
from tcmpay.accounts.services.staff import SIGN_INS_KEPT_FOR, sign_in_record, sign_ins_purge
from tcmpay.audit.seals import chain_seal
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.invariants import Scope
from tcmpay.limits.models import IdempotencyKey
from tests.audit.books import answered_key, sql

pytestmark = pytest.mark.django_db

SOMEBODY = "'0192f0c1-0000-7000-8000-000000000999'"


def signed_in() -> SignIn:
    sign_in_record(
        outcome=SignInOutcome.FAILED,
        username="admin",
        user_id=uuid.uuid4(),
        cause="password",
        address="203.0.113.7",
        user_agent="Firefox",
    )
    return SignIn.objects.latest("created_at")


def test_sign_ins_as_they_were_written_are_silent():
    signed_in()
    assert list(check_sign_ins(Scope())) == []


@pytest.mark.parametrize(
    "change",
    [
        "outcome = 'succeeded'",
        "cause = 'code'",
        "username = 'other'",
        f"user_id = {SOMEBODY}",
        "address = '203.0.113.8'",
        "user_agent = 'Chrome'",
        "request_id = 'x'",
        "created_at = '2026-01-01 00:00:00'",
        "hash = ''",
    ],
)
def test_a_sign_in_that_is_changed_shows(change):
    sql(f"UPDATE staff_sign_ins SET {change} WHERE id = %s", signed_in().id)
    (found,) = check_sign_ins(Scope())
    assert (found.code, found.object_type) == ("E9", "sign_in")


def test_of_overlong_words_of_who_signs_in_as_much_is_kept_as_the_log_holds():
    sign_in_record(
        outcome=SignInOutcome.FAILED,
        username="a" * 151,
        user_id=uuid.uuid4(),
        address="2001:db8::" + "1" * 40,
        user_agent="Firefox" * 50,
    )
    row = SignIn.objects.latest("created_at")
    row.full_clean()
    assert (len(row.username), len(row.address), len(row.user_agent)) == (150, 45, 255)
    assert list(check_sign_ins(Scope())) == []


def test_a_sealed_sign_in_that_is_deleted_shows():
    with clock.frozen(clock.now() - timedelta(hours=5)):
        signed_in()
    with clock.frozen(clock.now() - timedelta(hours=2)):
        chain_seal(SIGN_INS)
    with clock.frozen(clock.now() - timedelta(hours=2)):
        row = signed_in()
    chain_seal(SIGN_INS)
    assert list(check_sealed_sign_ins(Scope())) == []
    sql("DELETE FROM staff_sign_ins WHERE id = %s", row.id)
    assert [found.object_id for found in check_sealed_sign_ins(Scope())] == ["staff_sign_ins #2"]


def test_sign_ins_past_their_time_are_deleted_without_a_word():
    old = clock.now() - SIGN_INS_KEPT_FOR
    for days in (0, 1, 2):
        with clock.frozen(old + timedelta(days=days)):
            signed_in()
        with clock.frozen(old + timedelta(days=days, hours=3)):
            chain_seal(SIGN_INS)
    with clock.frozen(clock.now() + timedelta(hours=1)):
        assert sign_ins_purge() == 1
        found = [one for one in check_sealed_sign_ins(Scope()) if not one.is_unfinished]
    assert found == []


# --- exports --------------------------------------------------------------------------------


def exported(*, is_written: bool) -> ExportJob:
    person = StaffUser.objects.create_superuser("auditor")
    job = export_request(
        person=person,
        page="payments_paymentorder",
        query="",
        file_format="csv",
        language="zh-hans",
    )
    return export_write_now(job) if is_written else job


@pytest.fixture
def _files(settings, tmp_path):
    settings.EXPORT_DIR = str(tmp_path)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("is_written", [False, True])
def test_exports_as_they_were_asked_for_are_silent(is_written):
    exported(is_written=is_written)
    assert list(check_exports(Scope())) == []


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(
    "change",
    [
        "page = 'payments_paymentcallback'",
        "query = 'status=paid'",
        f"requested_by = {SOMEBODY}",
        "rows_total = 7",
    ],
)
def test_a_waiting_export_that_is_changed_shows(change):
    sql(f"UPDATE backoffice_exports SET {change} WHERE id = %s", exported(is_written=False).id)
    assert [found.code for found in check_exports(Scope())] == ["E9"]


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(
    "change",
    [
        "language = 'en'",
        "status = 'failed'",
        "rows_done = 7",
        "amount = 7",
        "bytes_written = 7",
        "error = 'x'",
        "created_at = '2026-01-01 00:00:00'",
        "finished_at = '2026-01-01 00:00:00'",
        f"requested_by = {SOMEBODY}",
    ],
)
def test_a_finished_export_that_is_changed_shows(change):
    sql(f"UPDATE backoffice_exports SET {change} WHERE id = %s", exported(is_written=True).id)
    assert [found.code for found in check_exports(Scope())] == ["E9"]


@pytest.mark.usefixtures("_files")
def test_an_export_that_is_deleted_shows():
    job = exported(is_written=True)
    sql("DELETE FROM backoffice_exports WHERE id = %s", job.id)
    assert [found.object_id for found in check_exports(Scope())] == [str(job.id)]


# --- kept answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        f"caller_id = {SOMEBODY}",
        "key_hash = 'x'",
        "fingerprint = 'x'",
        "response_status = 400",
        "response_body = '{}'",
        "completed_at = '2026-01-01 00:00:00'",
        "mac = ''",
    ],
)
def test_a_kept_answer_that_is_changed_shows(change):
    answered_key(Actor(uuid.uuid4(), Role.PATIENT))
    assert list(check_keys(Scope())) == []
    sql(f"UPDATE idempotency_keys SET {change} WHERE id = %s", IdempotencyKey.objects.get().id)
    assert "E9" in [found.code for found in check_keys(Scope())]
