"""A bill too big to be waited for: put away, imported by a worker, and answered with a bill or with
a reason that changed nothing."""

import io
import uuid
from datetime import timedelta

import pytest

from reconciliation.errors import BillNotAccepted
from reconciliation.models import BillFile, BillUpload, BillUploadPart, ReconciledDay
from reconciliation.services import uploads
from reconciliation.services.queueing import days_compare
from reconciliation.services.uploads import (
    KEPT_FOR,
    LEASE,
    TRIES_MAX,
    WAITING_PER_PERSON_MAX,
    bill_upload_confirm,
    bill_upload_keep,
    bill_uploads_import,
)
from reconciliation.states import BillType
from reconciliation.tests.kit import (
    DAY,
    attempt,
    configured,
    imported,
    merchant,
    open_written,
    payment_row,
    strange_row,
    written,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
METHOD = "wechat"
CLERK = Actor(uuid.uuid4(), Role.STAFF)


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    bells: list[str] = []
    monkeypatch.setattr(uploads, "ring", bells.append)
    monkeypatch.setattr(uploads, "open_bill", open_written)
    return bells


@pytest.fixture
def payment():
    return attempt(METHOD, configured(METHOD))


def sent(content: bytes) -> BillUpload:
    return bill_upload_keep(
        actor=CLERK,
        merchant=merchant(METHOD),
        day=DAY,
        bill_type=BillType.TRADE,
        file=io.BytesIO(content),
        file_name="bill.csv",
    )


def answered(upload: BillUpload) -> tuple[str, str]:
    upload.refresh_from_db()
    return upload.status, upload.reason


def test_a_big_bill_counts_once_a_worker_has_imported_it(payment, rung):
    upload = sent(written([payment_row(payment)]))
    assert rung == ["reconciliation.import_uploads"]
    assert not BillFile.objects.exists(), "only put away"
    assert bill_uploads_import() == 1
    assert answered(upload) == ("done", "")
    bill = BillFile.objects.get()
    assert (bill.imported_by, bill.file_name, bill.source) == (CLERK.id, "bill.csv", "uploaded")
    assert not BillUploadPart.objects.exists()
    assert days_compare() == 1
    assert ReconciledDay.objects.get().matched == 1
    assert bill_uploads_import() == 0


def refused(content: bytes) -> str:
    upload = sent(content)
    events = AuditEvent.objects.exclude(object_type="bill_upload").count()
    bill_uploads_import()
    status, reason = answered(upload)
    assert status == "refused"
    assert not BillFile.objects.exists()
    assert not BillUploadPart.objects.exists()
    assert AuditEvent.objects.exclude(object_type="bill_upload").count() == events
    return reason


def test_what_is_no_bill_ends_with_a_reason_and_changes_nothing():
    assert refused(b"no bill at all") == "不是账单"


def test_another_merchant_s_bill_ends_with_a_reason_and_changes_nothing(payment):
    assert "1900000002" in refused(written([payment_row(payment, merchant="1900000002")]))


def test_what_was_changed_while_it_waited_is_refused(payment):
    upload = sent(written([payment_row(payment)]))
    BillUpload.objects.update(sha256="0" * 64)
    bill_uploads_import()
    assert "已损坏" in answered(upload)[1]
    assert not BillFile.objects.exists()


def test_a_file_that_differs_waits_for_a_word_about_replacing(payment):
    imported(METHOD, [payment_row(payment)])
    upload = sent(written([payment_row(payment, amount_fen=2999), strange_row("SHOP1")]))
    bill_uploads_import()
    status, reason = answered(upload)
    assert status == "differs"
    assert "1 行只在新文件，1 行内容不同" in reason
    assert BillFile.objects.count() == 1
    assert bill_uploads_import() == 0
    assert bill_upload_confirm(actor=CLERK, upload_id=upload.id)
    bill_uploads_import()
    assert answered(upload) == ("done", "")
    assert BillFile.objects.get(current_key__isnull=False).lines == 2
    assert bill_upload_confirm(actor=CLERK, upload_id=upload.id) is None


def test_without_a_word_within_a_day_it_is_forgotten(payment):
    imported(METHOD, [payment_row(payment)])
    upload = sent(written([]))
    bill_uploads_import()
    with clock.frozen(clock.now() + KEPT_FOR + timedelta(minutes=1)):
        bill_uploads_import()
    assert answered(upload)[0] == "refused"
    assert not BillUploadPart.objects.exists()


def test_a_file_that_workers_die_over_is_not_tried_for_ever(payment, monkeypatch):
    def dies(*_asked, **_more):
        raise MemoryError

    monkeypatch.setattr(uploads, "bill_import", dies)
    upload = sent(written([payment_row(payment)]))
    now = clock.now()
    for again in range(TRIES_MAX + 2):
        with clock.frozen(now + again * (LEASE + timedelta(minutes=1))):
            bill_uploads_import()
    assert answered(upload)[0] == "refused"
    assert upload.tries == TRIES_MAX + 1


def test_of_two_workers_one_imports(payment, monkeypatch):
    monkeypatch.setattr(uploads, "_import", lambda _upload: bill_uploads_import())
    sent(written([payment_row(payment)]))
    assert bill_uploads_import() == 1
    assert BillUpload.objects.get().tries == 1


def test_the_same_file_is_put_away_once_and_nobody_piles_them_up():
    assert sent(b"1") == sent(b"1")
    for number in range(2, WAITING_PER_PERSON_MAX + 1):
        sent(str(number).encode())
    with pytest.raises(BillNotAccepted):
        sent(b"one more")
    assert BillUpload.objects.count() == WAITING_PER_PERSON_MAX
