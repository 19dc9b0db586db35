"""Bills by the pages: looked at before they are imported, compared anew, taken as a file."""

import io
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from backoffice.reconciliation import uploads as pages_of_uploads
from backoffice.reconciliation import waiting_bills
from backoffice.reconciliation.words import day_url
from backoffice.site import uploads as bounded
from gateways.errors import GatewayUnavailable
from gateways.wechat.tests.test_bills import bill_text
from payments.errors import GatewayDown
from reconciliation import contents
from reconciliation.models import BillFile, BillUpload, Difference, ReconciledDay
from reconciliation.services import downloading, fetching, queueing, uploads
from reconciliation.tests.kit import (
    DAY,
    MERCHANT,
    at,
    attempt,
    configured,
    open_written,
    payment_row,
    unpacked_written,
    written,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tests.authority.staff import browser_of, person_make

pytestmark = pytest.mark.django_db
UPLOAD = "admin:reconciliation_reconciledday_upload"
UPLOADED = "admin:reconciliation_reconciledday_uploaded"


@pytest.fixture(autouse=True)
def _the_next_noon(settings, tmp_path):
    settings.EXPORT_DIR = str(tmp_path)
    with clock.frozen(at(timedelta(hours=36))):
        yield


@pytest.fixture
def _notation(monkeypatch):
    monkeypatch.setattr(contents, "unpacked_bill", unpacked_written)
    monkeypatch.setattr(waiting_bills, "open_bill", open_written)


@pytest.fixture
def version():
    return configured("wechat")


@pytest.fixture
def clerk() -> Client:
    return browser_of(person_make("finance"))


def upload(browser: Client, content: bytes, *, name: str = "bill.csv", day=DAY):
    form = {
        "merchant": f"wechat:{MERCHANT}",
        "day": day.isoformat(),
        "bill_type": "trade",
        "file": SimpleUploadedFile(name, content),
    }
    return browser.post(reverse(UPLOAD), form, follow=True)


def run(browser: Client, what: str):
    address = reverse("admin:reconciliation_reconciledday_run", args=[DAY.isoformat()])
    return browser.post(address, {"do": what}, follow=True)


def confirm(browser: Client, preview, **more: str):
    form = {"token": preview.context["upload"].token, **more}
    return browser.post(reverse(UPLOADED), form, follow=True)


@pytest.mark.usefixtures("_notation")
def test_an_uploaded_bill_is_shown_first_and_counts_once_it_is_confirmed(clerk, version):
    ours = attempt("wechat", version)
    preview = upload(clerk, written([payment_row(ours)]))
    assert preview.context["examined"].lines == 1
    assert not BillFile.objects.exists(), "only looked at"
    page = confirm(clerk, preview)
    assert page.redirect_chain[-1][0] == day_url(DAY)
    bill = BillFile.objects.get()
    assert (bill.source, bill.file_name, bill.lines) == ("uploaded", "bill.csv", 1)
    assert bill.imported_by is not None
    text = page.content.decode()
    assert "没有待处理的差异" in text
    assert "100%" in text


@pytest.mark.usefixtures("_notation")
def test_a_big_bill_is_compared_by_a_worker_and_the_page_says_so(clerk, version, monkeypatch):
    monkeypatch.setattr(queueing, "LINES_AT_ONCE_MAX", 0)
    text = confirm(clerk, upload(clerk, written([payment_row(attempt("wechat", version))])))
    row = ReconciledDay.objects.get()
    assert row.runs == 0
    assert "账单较大，已排队对账" in text.content.decode()
    assert "已排队对账，上面是上一次的结果" in clerk.get(day_url(DAY)).content.decode()
    queueing.days_compare()
    text = clerk.get(day_url(DAY)).content.decode()
    assert "排队" not in text
    assert "100%" in text


@pytest.mark.usefixtures("_notation")
def test_a_big_file_is_imported_by_a_worker_and_the_page_tells_how_it_goes(
    clerk, version, monkeypatch
):
    monkeypatch.setattr(pages_of_uploads, "BYTES_AT_ONCE_MAX", 10)
    monkeypatch.setattr(uploads, "open_bill", open_written)
    ours = attempt("wechat", version)
    page = upload(clerk, written([payment_row(ours)]))
    assert page.redirect_chain[-1][0].startswith(day_url(DAY))
    assert "已收下并排队导入" in page.content.decode()
    assert "排队导入</strong>" in page.content.decode()
    assert not BillFile.objects.exists()
    uploads.bill_uploads_import()
    assert "排队导入</strong>" not in clerk.get(day_url(DAY)).content.decode()
    assert BillFile.objects.get().lines == 1
    upload(clerk, b"no bill <script>alert(1)</script>")
    uploads.bill_uploads_import()
    assert "不能导入</strong> 不是账单" in clerk.get(day_url(DAY)).content.decode()


@pytest.mark.usefixtures("_notation")
def test_a_big_file_that_differs_replaces_at_a_word(clerk, version, monkeypatch):
    monkeypatch.setattr(pages_of_uploads, "BYTES_AT_ONCE_MAX", 10)
    monkeypatch.setattr(uploads, "open_bill", open_written)
    ours = attempt("wechat", version)
    for amount in (3000, 2999):
        upload(clerk, written([payment_row(ours, amount_fen=amount)]))
        uploads.bill_uploads_import()
    text = clerk.get(day_url(DAY)).content.decode()
    assert "1 行内容不同" in text
    address = reverse(
        "admin:reconciliation_reconciledday_replace",
        args=[BillUpload.objects.get(status="differs").pk],
    )
    assert address in text
    clerk.post(address)
    uploads.bill_uploads_import()
    assert BillFile.objects.count() == 2
    assert "没有在等确认" in clerk.post(address, follow=True).content.decode()


@pytest.mark.usefixtures("_notation")
def test_another_file_of_the_day_tells_what_differs_before_it_replaces(clerk, version):
    ours = attempt("wechat", version)
    confirm(clerk, upload(clerk, written([payment_row(ours)])))
    preview = upload(clerk, written([payment_row(ours, amount_fen=2999)]))
    assert preview.context["examined"].changes.changed == 1
    assert "已有另一份账单" in preview.content.decode()
    refused = confirm(clerk, preview)
    assert BillFile.objects.count() == 1
    assert "替换" in refused.content.decode()
    page = confirm(
        clerk, upload(clerk, written([payment_row(ours, amount_fen=2999)])), replaces="yes"
    )
    assert BillFile.objects.count() == 2
    assert Difference.objects.open().get().difference_type == "amount"
    assert "已被替换" in page.content.decode()


def test_a_file_that_is_no_bill_gets_a_reason_and_changes_nothing(clerk, version):
    events = AuditEvent.objects.count()
    for content in (b"", b"PK\x03\x04", b"=1+1,<script>alert(1)</script>" * 9):
        preview = upload(clerk, content, name="<script>alert(1)</script>.csv")
        text = preview.content.decode()
        assert preview.context["refused"]
        assert "什么都没有改变" in text
        assert "<script>alert(1)" not in text
    assert not BillFile.objects.exists()
    assert AuditEvent.objects.count() == events


def test_a_real_bill_of_another_merchant_is_refused(clerk, version):
    preview = upload(clerk, bill_text())
    assert preview.context["refused"]
    assert not BillFile.objects.exists()


def test_a_file_beyond_the_bound_is_not_taken(clerk, version, monkeypatch):
    monkeypatch.setattr(bounded, "UPLOAD_BYTES_MAX", 1000)
    page = upload(clerk, b"x" * 1001)
    assert "文件超过" in page.content.decode()


@pytest.mark.usefixtures("_notation")
def test_only_the_session_that_sent_a_file_can_confirm_it(clerk, version):
    preview = upload(clerk, written([]))
    other = browser_of(person_make("reviewer"))
    page = confirm(other, preview)
    assert "没有等待确认的账单文件" in page.content.decode()
    assert not BillFile.objects.exists()


@pytest.mark.usefixtures("_notation")
def test_what_nobody_confirmed_is_forgotten_after_an_hour(clerk, version, monkeypatch):
    first = upload(clerk, written([])).context["upload"]
    assert first.path.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(waiting_bills, "KEPT_SECONDS", -1)
    upload(clerk, written([]))
    assert not first.path.exists()


@pytest.mark.usefixtures("_notation")
def test_a_day_is_compared_anew(clerk, version):
    confirm(clerk, upload(clerk, written([])))
    attempt("wechat", version)
    page = run(clerk, "compare")
    assert "1 项差异待处理" in page.content.decode()


def test_bills_are_downloaded_again_by_a_worker_and_the_page_tells_how_it_goes(
    clerk, version, monkeypatch
):
    asked = []

    def silent(merchant):
        asked.append(merchant)
        raise GatewayUnavailable("no answer")

    monkeypatch.setattr(fetching, "gateway_of", silent)
    page = run(clerk, "fetch").content.decode()
    assert not asked, "nobody waits for a gateway"
    assert "排队下载</strong>" in page
    assert 'data-finished="no"' in page
    downloading.bills_download()
    page = clerk.get(day_url(DAY)).content.decode()
    assert f"没有下载到</strong> {GatewayDown.message}" in page
    assert 'data-finished="yes"' in page


@pytest.mark.usefixtures("_notation")
def test_what_the_gateway_gives_otherwise_is_told_before_it_replaces(clerk, version, monkeypatch):
    monkeypatch.setattr(uploads, "open_bill", open_written)
    ours = attempt("wechat", version)
    confirm(clerk, upload(clerk, written([payment_row(ours)])))
    given = written([payment_row(ours, amount_fen=2999)])
    gateway = SimpleNamespace(
        download_bill=lambda day: open_written("wechat", "trade", io.BytesIO(given)),
        download_fund_bill=lambda day: None,
    )
    monkeypatch.setattr(fetching, "gateway_of", lambda merchant: gateway)
    run(clerk, "fetch")
    downloading.bills_download()
    queueing.days_compare()
    page = clerk.get(day_url(DAY)).content.decode()
    assert "已下载</strong>" in page
    assert f"1 行内容不同。例如：{ours.out_trade_no}" in page
    assert BillFile.objects.count() == 1, "only put away"
    address = reverse(
        "admin:reconciliation_reconciledday_replace", args=[BillUpload.objects.get().pk]
    )
    assert address in page
    clerk.post(address)
    uploads.bill_uploads_import()
    new = BillFile.objects.get(current_key__isnull=False)
    assert (new.source, new.bytes_long) == ("fetched", len(given))


@pytest.mark.usefixtures("_notation")
def test_the_file_is_taken_as_it_came_by_who_may_and_the_trail_says_so(clerk, version):
    content = written([payment_row(attempt("wechat", version))])
    confirm(clerk, upload(clerk, content, name='a"\r\nX: y.csv'))
    address = reverse("admin:reconciliation_billfile_download", args=[BillFile.objects.get().pk])
    answer = clerk.get(address)
    assert io.BytesIO(b"".join(answer.streaming_content)).getvalue() == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="wechat-')
    assert AuditEvent.objects.get(action="bill_downloaded").object_id
    assert browser_of(person_make("price_editor")).get(address).status_code == 403


@pytest.mark.usefixtures("_notation")
def test_an_order_says_where_its_money_is(clerk, version):
    ours = attempt("wechat", version)
    confirm(clerk, upload(clerk, written([payment_row(ours)])))
    page = clerk.get(reverse("admin:payments_paymentorder_change", args=[ours.order_id]))
    text = page.content.decode()
    assert "待到账" in text
    assert day_url(DAY) in text
    bill = BillFile.objects.get()
    lines = reverse("admin:reconciliation_billfile_lines", args=[bill.pk])
    assert f"{lines}?q={ours.out_trade_no}" in text
