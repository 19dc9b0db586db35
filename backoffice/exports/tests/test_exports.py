"""Lists as files: exactly the filtered rows, their sum, nothing that a spreadsheet would run."""

import csv
import io
import os
import stat
import threading
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, connections
from openpyxl import load_workbook

from backoffice.exports import pages as admin_exports
from backoffice.exports import services as exports
from backoffice.exports.cells import FORMULA_STARTS, cell_text, harmless
from backoffice.exports.files import open_rows
from backoffice.exports.services import exports_run
from backoffice.models import ExportJob
from backoffice.site.bases import admin_url
from balances.services import balance_top_up
from config.models import PriceConfig
from payments.models import PaymentException, PaymentOrder
from payments.services.attempts import PayCommand, pay
from payments.services.endings import order_cancel
from payments.services.orders import OrderCommand, order_create
from payments.states import ExceptionKind
from refunds.services.requests import refund_request, refund_review
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role

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
    written = csv_rows(content(export(client, query="status__exact=pending")))
    heading, *rows = written[:-2]
    assert heading[:3] == ["订单号", "状态", "金额（元）"]
    assert sorted(row[0] for row in rows) == sorted(order.order_no for order in orders[2:])
    assert {row[1] for row in rows} == {"待支付"}
    assert [line[0] for line in written[-2:]] == ["合计 3 行", "合计 待支付 3 行"]
    assert written[-2][2] == "", "sums are told state by state"
    assert Decimal(written[-1][2]) == sum(order.amount for order in orders[2:])


def test_an_xlsx_has_numbers_for_money_and_text_for_everything_else(client, staff, orders):
    staff("finance")
    book = load_workbook(io.BytesIO(content(export(client, "xlsx"))))
    _heading, *rows = list(book.active.iter_rows())[:6]
    assert len(rows) == 5
    assert all(row[2].data_type == "n" for row in rows)
    assert all(cell.data_type != "f" for row in rows for cell in row), "no formula"


def test_an_xlsx_is_a_sheet_to_work_with(client, staff, orders):
    staff("finance")
    sheet = load_workbook(io.BytesIO(content(export(client, "xlsx")))).active
    heading = [cell.value for cell in sheet[1]]
    assert (sheet.title, sheet.freeze_panes) == ("订单", "A2")
    assert sheet.column_dimensions["A"].width > 30
    created = sheet.cell(2, heading.index("创建时间") + 1)
    assert created.is_date
    assert created.number_format == "yyyy-mm-dd hh:mm:ss"
    order = PaymentOrder.objects.get(order_no=sheet.cell(2, 1).value)
    shown = order.created_at.astimezone(clock.SHANGHAI).replace(tzinfo=None)
    assert abs((created.value - shown).total_seconds()) < 1


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
        path = tmp_path / f"x.{file_format}"
        writer = open_rows(path, file_format, title="x", widths=[9])
        writer.row(texts)
        writer.close()
    row = next(load_workbook(tmp_path / "x.xlsx").active.iter_rows())
    assert [cell.data_type for cell in row] == ["s"] * len(texts)
    assert row[0].value == "'=HYPERLINK(1)"
    assert row[5].value == "[U+202E]1+="
    assert row[6].value == "二\n行"
    written = (tmp_path / "x.csv").read_text("utf-8-sig")
    assert written.startswith('"\'=HYPERLINK(1)","x;=1+1",')


@pytest.fixture
def business(orders) -> PaymentOrder:
    """Of 100 yuan paid 30 are given back, 5 asked for and 7 refused; five orders are unpaid."""
    PriceConfig.objects.update_or_create(
        service_type="appointment_online",
        defaults={
            "service_name": "视频问诊",
            "price": Decimal("100.00"),
            "effective_date": clock.today(),
        },
    )
    owner = Actor(uuid.uuid4(), Role.PATIENT)
    balance_top_up(user_id=owner.id, amount=Decimal("150.00"), reason="x", actor=SYSTEM)
    order = order_create(
        actor=owner,
        command=OrderCommand(
            user_id=owner.id,
            order_type="appointment",
            appointment_id=uuid.uuid4(),
            service_type="appointment_online",
            amount=Decimal("100.00"),
        ),
    )
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="balance"))
    reviewer = StaffUser.objects.create_user("liuxin", last_name="刘", first_name="新")
    for amount, is_approved in (("30.00", True), ("7.00", False), ("5.00", None)):
        refund = refund_request(
            actor=owner, order_id=order.id, amount=Decimal(amount), reason="不适"
        )
        if is_approved is not None:
            refund_review(
                actor=reviewer.as_actor(), refund_id=refund.id, is_approved=is_approved, notes="x"
            )
    return order


def totals(written: list[list[str]], *columns: str) -> dict[str, list[str]]:
    """The lines of sums by their names, with what stands under these headings."""
    at = [written[0].index(column) for column in columns]
    return {line[0]: [line[index] for index in at] for line in written if line[0][:2] == "合计"}


@pytest.mark.parametrize(
    ("page", "columns", "lines", "counted"),
    [
        (
            "payments_paymentorder",
            ["金额（元）", "已退（元）"],
            {
                "合计 6 行": ["", ""],
                "合计 待支付 3 行": ["39.30", "0.00"],
                "合计 部分退款 1 行": ["100.00", "30.00"],
                "合计 已取消 2 行": ["21.20", "0.00"],
            },
            "100.00",
        ),
        (
            "payments_paymenttransaction",
            ["金额（元）"],
            {
                "合计 2 行": [""],
                "合计 支付 成功 1 行": ["100.00"],
                "合计 退款 成功 1 行": ["30.00"],
            },
            "100.00",
        ),
        (
            "refunds_refund",
            ["退款金额（元）"],
            {
                "合计 3 行": [""],
                "合计 待审核 1 行": ["5.00"],
                "合计 已退款 1 行": ["30.00"],
                "合计 已取消 1 行": ["7.00"],
            },
            "30.00",
        ),
        (
            "balances_userbalance",
            ["可用余额（元）", "冻结余额（元）", "累计收入（元）", "累计支出（元）"],
            {"合计 1 行": ["80.00", "0.00", "180.00", "100.00"]},
            "80.00",
        ),
        (
            "balances_balancetransaction",
            ["金额（元）"],
            {"合计 3 行": [""], "合计 收入 2 行": ["180.00"], "合计 支出 1 行": ["100.00"]},
            None,
        ),
    ],
)
def test_totals_keep_apart_what_is_not_the_same_money(
    client, staff, business, page, columns, lines, counted
):
    staff("administrator")
    assert totals(csv_rows(content(export(client, page=page))), *columns) == lines
    amount = ExportJob.objects.get().amount
    assert amount == (None if counted is None else Decimal(counted))


def test_a_list_without_rows_has_totals_too(client, staff):
    staff("administrator")
    written = csv_rows(content(export(client, page="balances_userbalance")))
    assert totals(written, "可用余额（元）") == {"合计 0 行": ["0.00"]}


def column_of(written: list[list[str]], title: str) -> set[str]:
    at = written[0].index(title)
    return {row[at] for row in written[1:] if row[0][:2] != "合计"}


def test_codes_and_ids_are_told_in_words(client, staff, business):
    staff("administrator")
    keeper = StaffUser.objects.get(username="liuxin")
    PaymentException.objects.create(
        kind=ExceptionKind.MISMATCH, fact_key="x", payment_method="wechat", owner_id=keeper.pk
    )
    expected = {
        ("payments_paymentorder", "服务"): "视频问诊",
        ("refunds_refund", "审核人"): "刘新",
        ("payments_paymentexception", "负责人"): "刘新",
        ("payments_paymentexception", "处理情况"): "待处理",
        ("audit_auditevent", "动作"): "批准退款",
        ("audit_auditevent", "对象类型"): "退款",
        ("audit_auditevent", "操作人角色"): "员工",
        ("audit_auditevent", "新状态"): "已退款",
    }
    for (page, title), word in expected.items():
        assert word in column_of(csv_rows(content(export(client, page=page))), title), title


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
    assert (job.status, job.rows_done) == ("done", 5)
    assert job.amount == 0, "what nobody paid does not count"
    page = client.get(answer.headers["Location"]).content.decode()
    link = f"/admin/backoffice/exportjob/{job.pk}/download/"
    assert link in page
    assert "<progress" not in page
    assert len(content(client.get(link))) == job.bytes_written
    told = AuditEvent.objects.filter(object_type="export", object_id=str(job.pk))
    assert [(event.action, event.actor_id) for event in told.order_by("version")] == [
        ("export_requested", person.pk),
        ("export_finished", None),
        ("export_downloaded", person.pk),
    ]


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


# --- whose files, and how many ------------------------------------------------------------------


def mode_of(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_to_all():
    """The usual umask, and none at all: the files decide for themselves."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_to_all")
@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_a_file_is_for_the_services_account_alone(client, staff, orders, settings, file_format):
    folder = Path(settings.EXPORT_DIR)
    folder.mkdir(mode=0o777)
    staff("finance")
    assert export(client, file_format).status_code == 200
    (file,) = folder.iterdir()
    assert (mode_of(file), mode_of(folder)) == (0o600, 0o700)


def test_a_file_that_an_earlier_version_left_open_is_closed(settings):
    folder = Path(settings.EXPORT_DIR)
    folder.mkdir()
    (folder / "old.csv").touch(mode=0o644)
    exports_run()
    assert mode_of(folder / "old.csv") == 0o600


def test_what_is_not_ours_in_the_folder_holds_no_export_up(settings, caplog):
    folder = Path(settings.EXPORT_DIR)
    (folder / "somebody's").mkdir(parents=True)
    (folder / "gone").symlink_to(folder / "nowhere")
    assert exports_run() == 0
    assert [record.message for record in caplog.records] == ["export_not_purged"]


@pytest.mark.parametrize("damage", [b"", b"half", None], ids=["zeroed", "cut", "gone"])
def test_half_a_list_is_not_handed_out(client, staff, orders, settings, damage):
    staff("finance")
    assert export(client, "csv").status_code == 200
    job, path = ExportJob.objects.get(), next(Path(settings.EXPORT_DIR).iterdir())
    download = admin_url("backoffice_export_download", job.pk)
    assert client.get(download).status_code == 200
    path.unlink() if damage is None else path.write_bytes(damage)
    assert client.get(download).status_code == 404
    page = client.get(admin_url("backoffice_exportjob_change", job.pk))
    assert "已过期" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_five_are_queued():
    if connection.vendor == "sqlite":
        pytest.skip("one in-memory database can't be shared by threads")
    person = StaffUser.objects.create_superuser("exporter")
    together, queued = threading.Barrier(8), []

    def ask() -> None:
        try:
            together.wait()
            queued.append(
                exports.export_request(
                    person=person, page=PAGE, query="", file_format="csv", language="zh-hans"
                )
            )
        except exports.ExportRefused:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queued) == ExportJob.objects.count() == exports.OPEN_PER_PERSON_MAX
