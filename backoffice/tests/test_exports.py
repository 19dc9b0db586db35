"""Lists as files: exactly the filtered rows, their sum, nothing that a spreadsheet would run."""

import csv
import io
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from openpyxl import load_workbook

from backoffice import admin_exports
from backoffice.export_files import FORMULA_STARTS, cell_text, harmless, open_rows
from backoffice.models import ExportJob
from backoffice.services import exports
from backoffice.services.exports import exports_run
from payments.models import PaymentOrder
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
PAGE = "payments_paymentorder"


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.EXPORT_DIR = str(tmp_path / "exports")
    # Another connection would not see the rows of a test's transaction.
    settings.SNAPSHOT_DATABASE = "default"


@pytest.fixture
def staff(client):
    def sign_in(role: str) -> StaffUser:
        user = StaffUser.objects.create_user(
            id=uuid.uuid4(), username=f"{role}-{uuid.uuid4()}", is_staff=True
        )
        user.groups.set(Group.objects.filter(name=role))
        client.force_login(user)
        return user

    return sign_in


@pytest.fixture
def orders() -> list[PaymentOrder]:
    """Five orders, two of them cancelled; what people wrote begins like a formula."""
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    made = [
        order_create(
            actor=owner,
            command=OrderCommand(
                user_id=owner.id,
                order_type="other",
                amount=Decimal("10.10") + number,
                description='=HYPERLINK("http://evil.example","处方")',
            ),
        )
        for number in range(5)
    ]
    for order in made[:2]:
        order_cancel(actor=owner, order_id=order.id)
    return made


def export(client, file_format="csv", query="", page=PAGE):
    return client.post(
        "/admin/backoffice/exportjob/start/",
        {"page": page, "query": query, "format": file_format},
    )


def content(answer) -> bytes:
    return b"".join(answer.streaming_content)


def csv_rows(raw: bytes) -> list[list[str]]:
    assert raw.startswith(b"\xef\xbb\xbf"), "Excel needs the mark to read Chinese"
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))


def test_a_csv_holds_exactly_the_filtered_rows_and_their_sum(client, staff, orders):
    staff("finance")
    heading, *rows, last = csv_rows(content(export(client, query="status__exact=pending")))
    assert heading[:3] == ["订单号", "状态", "金额（元）"]
    assert sorted(row[0] for row in rows) == sorted(order.order_no for order in orders[2:])
    assert {row[1] for row in rows} == {"待支付"}
    assert last[0] == "合计 3 行"
    assert Decimal(last[2]) == sum(order.amount for order in orders[2:])


def test_an_xlsx_has_numbers_for_money_and_text_for_everything_else(client, staff, orders):
    staff("finance")
    book = load_workbook(io.BytesIO(content(export(client, "xlsx"))))
    _heading, *rows, last = book.active.iter_rows()
    assert len(rows) == 5
    assert all(row[2].data_type == "n" for row in rows)
    assert all(cell.data_type != "f" for row in rows for cell in row), "no formula"
    assert Decimal(str(last[2].value)) == sum(order.amount for order in orders)


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_nothing_begins_like_a_formula(start):
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless("处方=1") == "处方=1"


@pytest.mark.parametrize("before", ["\x01", " ", "\xa0", "\u200b", "\ufeff", "\x00\t "])
def test_nothing_hides_a_formula(before):
    assert harmless(f"{before}=1+1") == f"'{before}=1+1"
    assert cell_text(f"{before}=1+1").startswith("'")
    assert harmless(f"{before}处方") == f"{before}处方"


def test_no_text_becomes_a_formula_an_error_or_more_than_one_cell(tmp_path):
    texts = ["\x01=HYPERLINK(1)", "x;=1+1", '";=1+1', "#N/A", "=", "\u202e1+=", "二\n行"]
    for file_format in ("xlsx", "csv"):
        writer = open_rows(tmp_path / f"x.{file_format}", file_format)
        writer.row(texts)
        writer.close()
    row = next(load_workbook(tmp_path / "x.xlsx").active.iter_rows())
    assert [cell.data_type for cell in row] == ["s"] * len(texts)
    assert row[0].value == "'=HYPERLINK(1)"
    assert row[5].value == "[U+202E]1+="
    assert row[6].value == "二\n行"
    written = (tmp_path / "x.csv").read_text("utf-8-sig")
    assert written.startswith('"\'=HYPERLINK(1)","x;=1+1",')


def test_what_people_wrote_is_harmless_in_the_file(client, staff, orders):
    staff("finance")
    rows = csv_rows(content(export(client)))
    assert rows[1][-1].startswith("'=HYPERLINK")


def test_it_speaks_the_readers_language(client, staff, orders):
    staff("finance")
    answer = client.post(
        "/admin/backoffice/exportjob/start/",
        {"page": PAGE, "query": "", "format": "csv"},
        headers={"accept-language": "en"},
    )
    assert csv_rows(content(answer))[0][0] == "Order number"


@pytest.fixture
def in_background(monkeypatch):
    monkeypatch.setattr(admin_exports, "AT_ONCE_ROWS_MAX", 0)


def test_a_large_one_is_written_by_the_worker_and_taken_from_its_page(
    client, staff, orders, in_background
):
    person = staff("finance")
    answer = export(client, "xlsx")
    job = ExportJob.objects.get()
    assert answer.headers["Location"] == f"/admin/backoffice/exportjob/{job.pk}/change/"
    page = client.get(answer.headers["Location"]).content.decode()
    assert "<progress" in page
    assert exports_run() == 1
    job.refresh_from_db()
    assert (job.status, job.rows_done, job.amount) == ("done", 5, sum(o.amount for o in orders))
    page = client.get(answer.headers["Location"]).content.decode()
    link = f"/admin/backoffice/exportjob/{job.pk}/download/"
    assert link in page
    assert "<progress" not in page
    assert len(content(client.get(link))) == job.bytes_written
    told = AuditEvent.objects.filter(object_type="export", object_id=str(job.pk))
    assert [event.action for event in told.order_by("version")] == [
        "export_requested",
        "export_downloaded",
    ]
    assert {event.actor_id for event in told} == {person.pk}


def test_nobody_takes_anothers_file(client, staff, orders, in_background):
    staff("finance")
    export(client)
    exports_run()
    job = ExportJob.objects.get()
    staff("administrator")
    assert client.get(f"/admin/backoffice/exportjob/{job.pk}/download/").status_code == 404
    assert str(job.pk) not in client.get("/admin/backoffice/exportjob/").content.decode()


def test_one_needs_the_permission_and_the_list(client, staff, orders):
    StaffUser.objects.create_user(id=uuid.uuid4(), username="nobody", is_staff=True)
    client.force_login(StaffUser.objects.get(username="nobody"))
    assert export(client).status_code == 403
    assert not ExportJob.objects.exists()
    staff("finance")
    assert export(client, page="accounts_staffuser").status_code == 302
    assert export(client, file_format="exe").status_code == 302
    assert export(client, query="\n").status_code == 302
    assert export(client, query="q=%00").status_code == 302
    assert export(client, query="amount__nothing=1").status_code == 302
    assert not ExportJob.objects.exists()


def test_a_right_that_was_taken_away_meanwhile_ends_the_export(
    client, staff, orders, in_background
):
    person = staff("finance")
    export(client)
    person.groups.clear()
    exports_run()
    job = ExportJob.objects.get()
    assert job.status == "failed"
    assert "权限" in job.error


def test_an_interrupted_one_is_taken_up_again(client, staff, orders, in_background):
    staff("finance")
    export(client)
    beaten = clock.now() - exports.INTERRUPTED_AFTER
    ExportJob.objects.update(status="running", beat_at=clock.now())
    assert exports_run() == 0, "its worker is still at it"
    ExportJob.objects.update(beat_at=beaten)
    assert exports_run() == 1
    assert ExportJob.objects.get().status == "done"


def test_a_person_has_a_bounded_number_of_them(client, staff, orders, in_background):
    staff("finance")
    for _number in range(exports.OPEN_PER_PERSON_MAX + 1):
        export(client)
    assert ExportJob.objects.count() == exports.OPEN_PER_PERSON_MAX


def test_every_list_that_can_be_exported_is_and_shows_it(client, staff, orders):
    staff("administrator")
    for page, listed in exports.LISTS.items():
        address = "/admin/" + page.replace("_", "/", 1) + "/"
        assert 'name="format"' in client.get(address).content.decode(), page
        heading = csv_rows(content(export(client, page=page)))[0]
        assert heading == [str(column.title) for column in listed.columns]


def test_no_file_outlives_its_days(client, staff, orders, tmp_path):
    staff("finance")
    content(export(client))
    files = list((tmp_path / "exports").iterdir())
    assert len(files) == 1
    with clock.frozen(clock.now() + exports.KEPT_FOR):
        exports_run()
    assert list((tmp_path / "exports").iterdir()) == []


def test_the_audit_stays_clean(client, staff, orders):
    staff("finance")
    content(export(client))
    call_command("audit_money", "--strict")
