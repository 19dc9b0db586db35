"""Refunds of a cancelled clinic day at the desk: preview, a second person, progress, the file."""

import csv
import io
import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from openpyxl import load_workbook

from backoffice.refunds import bulk_new
from backoffice.refunds.bulk_filters import source_words
from refunds.models import Refund, RefundBulk
from refunds.services.bulk_runs import bulk_run
from refunds.services.requests import refund_request
from tcmpay.accounts.models import StaffUser
from tests.clinic import new_order, paid_order, patient, staff_actor_of

pytestmark = pytest.mark.django_db
FILTERED = "/admin/refunds/refundbulk/filtered/"
UPLOAD = "/admin/refunds/refundbulk/upload/"
PAID = "?query=order_type__exact%3Dappointment"


def person(name: str, role: str) -> StaffUser:
    made = StaffUser.objects.create_user(username=name, is_staff=True)
    made.groups.set([Group.objects.get(name=role)])
    return made


def desk_of(somebody: StaffUser) -> Client:
    browser = Client()
    browser.force_login(somebody)
    return browser


def words(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page)


@pytest.fixture
def maker() -> Client:
    return desk_of(person("chen", "finance"))


@pytest.fixture
def reviewer() -> Client:
    return desk_of(person("wang", "reviewer"))


def confirming(page: str, **more: str) -> dict[str, str]:
    """What the preview's button sends."""
    form = next(part for part in page.split("<form") if 'name="seen"' in part)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    return {**hidden, "reason": "医生停诊", "step": "confirm", **more}


def test_a_day_is_refunded_by_its_filter_with_a_second_person(maker, reviewer):
    orders = [paid_order(), paid_order(amount="50.00")]
    new_order(patient())
    page = maker.get(FILTERED + PAID).text
    assert "提交 2 笔退款，共 80.00 元" in words(page)
    assert "只能退款已支付的订单" in page
    assert not RefundBulk.objects.exists()
    answer = maker.post(FILTERED + PAID, confirming(page))
    bulk = RefundBulk.objects.get()
    address = f"/admin/refunds/refundbulk/{bulk.pk}"
    assert answer.url == f"{address}/change/"
    maker.post(FILTERED + PAID, confirming(page))
    assert RefundBulk.objects.count() == 1, "a double click is one"
    assert maker.post(f"{address}/review/", {"decision": "approve"}).status_code == 403
    assert not Refund.objects.exists()
    assert f"{address}/review/" in maker.get(f"{address}/change/").text, "it may be taken back"
    asking = f"/admin/payments/paymentorder/{orders[0].pk}/refund/"
    assert f"{address}/change/" in maker.get(asking).text, "it is asked back already"
    assert "同意退款：2 笔，共 80.00 元" in reviewer.get(f"{address}/review/").text
    reviewer.post(f"{address}/review/", {"decision": "approve", "notes": "已核对排班"})
    bulk_run(bulk_id=bulk.pk)
    assert set(Refund.objects.values_list("order_id", "status")) == {
        (order.id, "success") for order in orders
    }
    assert "已完成" in maker.get(f"{address}/change/").text
    refund = Refund.objects.first()
    assert f"{address}/change/" in maker.get(f"/admin/refunds/refund/{refund.pk}/change/").text


def test_every_row_of_the_preview_can_be_turned_to(maker, monkeypatch):
    monkeypatch.setattr(bulk_new, "ROWS_PER_PAGE", 1)
    numbers = {paid_order().order_no for _number in range(3)}
    pages = [maker.post(FILTERED + PAID, {"page": page}).text for page in (1, 2, 3)]
    assert "第 2 页，共 3 页" in words(pages[1])
    assert [sum(number in page for number in numbers) for page in pages] == [1, 1, 1]
    assert {number for number in numbers if any(number in page for page in pages)} == numbers
    assert not RefundBulk.objects.exists()


def test_a_reason_typed_before_turning_a_page_is_still_there(maker, monkeypatch):
    monkeypatch.setattr(bulk_new, "ROWS_PER_PAGE", 1)
    for _ in range(2):
        paid_order()
    page = maker.get(FILTERED + PAID).text
    assert re.search(r'form="bulk-form"[^>]*name="page" value="2"', page)
    typed = confirming(page, reason="医生停诊两天", step="") | {"page": "2"}
    turned = maker.post(FILTERED + PAID, typed)
    assert "第 2 页，共 2 页" in words(turned.text)
    assert "医生停诊两天" in turned.text


def test_a_filter_is_told_in_the_lists_words():
    query = "order_type__exact=appointment&paid_on_from=2026-11-28&paid_on_to=2026-11-28&o=1&q=x"
    told = "订单类型 预约问诊 · 查找 x · 支付日 2026-11-28"
    assert source_words("filter", query) == told
    assert source_words("filter", "amount_from=5&gone=1") == "gone 1 · 金额（元） 5 –"
    assert source_words("file", "a=1&b.csv") == "a=1&b.csv"


def test_without_a_filter_nothing_is_proposed(maker):
    paid_order()
    for query in (
        "",
        "?query=o%3D1",
        "?query=created_on_from%3D1999-01-01%26created_on_to%3D1999-01-02",
    ):
        assert maker.get(FILTERED + query).status_code == 302
    assert not RefundBulk.objects.exists()


def test_what_changed_since_the_preview_is_shown_again(maker, reviewer):
    order = paid_order()
    page = maker.get(FILTERED + PAID).text
    refund_request(
        actor=staff_actor_of(StaffUser.objects.get(username="wang")),
        order_id=order.id,
        amount=Decimal("10.00"),
        reason="x",
    )
    again = maker.post(FILTERED + PAID, confirming(page))
    assert again.status_code == 200
    assert "请按新的结果再核对一次" in again.text
    assert "共 20.00 元" in words(again.text)
    assert not RefundBulk.objects.exists()


def upload(desk: Client, content: bytes, name: str = "停诊.csv"):
    return desk.post(UPLOAD, {"file": SimpleUploadedFile(name, content)})


def test_a_file_is_previewed_and_confirmed_as_it_was_read(maker):
    order = paid_order()
    content = f"订单号,退款金额,退款原因\n{order.order_no},12.50,改期\nORDX,,\n"
    page = upload(maker, content.encode("gbk")).text
    assert "提交 1 笔退款，共 12.50 元" in words(page)
    assert "订单不存在" in page
    maker.post(UPLOAD, confirming(page))
    bulk = RefundBulk.objects.get()
    assert (bulk.source, bulk.source_text, bulk.amount) == ("file", "停诊.csv", Decimal("12.50"))
    assert list(bulk.rows.order_by("position").values_list("reason", "outcome", "named")) == [
        ("改期", "waiting", order.order_no), ("医生停诊", "refused", "ORDX"),
    ]  # fmt: skip


def test_refused_rows_keep_their_lines_and_have_no_amount_of_ours(maker):
    wrong, good = paid_order(), paid_order(amount="50.00")
    content = f"订单号,退款金额\n\n{wrong.order_no},abc\n,5\n{good.order_no},\n"
    page = upload(maker, content.encode()).text
    maker.post(UPLOAD, confirming(page))
    rows = RefundBulk.objects.get().rows.order_by("position")
    assert list(rows.values_list("position", "error_code", "amount")) == [
        (3, "BULK_AMOUNT", None),
        (4, "NOT_FOUND", Decimal("5.00")),
        (5, "", Decimal("50.00")),
    ]
    assert "30.00" not in page


def test_a_bad_file_and_a_forged_preview_change_nothing(maker):
    order = paid_order()
    assert "有公式" in upload(maker, "订单号\n=1+1\n".encode()).text
    page = upload(maker, f"订单号\n{order.order_no}\n".encode()).text
    sent = confirming(page)
    forged = sent["rows"][:-2] + ("AA" if sent["rows"][-2:] != "AA" else "BB")
    assert maker.post(UPLOAD, sent | {"rows": forged}).status_code == 403
    assert not RefundBulk.objects.exists()


def test_a_rejected_bulk_waits_for_nothing(maker, reviewer):
    paid_order()
    maker.post(FILTERED + PAID, confirming(maker.get(FILTERED + PAID).text))
    address = f"/admin/refunds/refundbulk/{RefundBulk.objects.get().pk}"
    before = maker.get(f"{address}/change/").text
    assert "等待执行" in before
    assert "<progress" not in before
    reviewer.post(f"{address}/review/", {"decision": "reject", "notes": "日期不对"})
    after = maker.get(f"{address}/change/").text
    assert "未执行" in after
    assert "等待执行" not in after
    assert "<progress" not in after


def test_it_is_paused_resumed_and_ended_from_its_page(maker, reviewer):
    paid_order()
    maker.post(FILTERED + PAID, confirming(maker.get(FILTERED + PAID).text))
    bulk = RefundBulk.objects.get()
    address = f"/admin/refunds/refundbulk/{bulk.pk}"
    reviewer.post(f"{address}/review/", {"decision": "approve"})
    for chosen, status in (("pause", "paused"), ("resume", "running"), ("pause", "paused")):
        maker.post(f"{address}/step/", {"do": chosen})
        assert RefundBulk.objects.get().status == status
    maker.post(f"{address}/step/", {"do": "end"})
    assert RefundBulk.objects.get().status == "paused", "ending wants a reason"
    maker.post(f"{address}/step/", {"do": "end", "notes": "改期"})
    assert list(bulk.rows.values_list("outcome", flat=True)) == ["left_out"]


def test_the_file_tells_each_row_and_the_totals_and_runs_no_formula(maker, reviewer):
    order = paid_order()
    sent = confirming(maker.get(FILTERED + PAID).text, reason="=HYPERLINK(1)")
    maker.post(FILTERED + PAID, sent)
    bulk = RefundBulk.objects.get()
    address = f"/admin/refunds/refundbulk/{bulk.pk}"
    reviewer.post(f"{address}/review/", {"decision": "approve"})
    bulk_run(bulk_id=bulk.pk)
    text = b"".join(maker.get(f"{address}/result/?format=csv")).decode("utf-8-sig")
    head, row, *totals = csv.reader(io.StringIO(text))
    told = dict(zip(head, row, strict=True))
    assert (told["订单号"], told["退款金额（元）"], told["退款现在"], told["退款原因"]) == (
        order.order_no, "30.00", "已退款", "'=HYPERLINK(1)",
    )  # fmt: skip
    assert [line[1:3] for line in totals] == [
        ["合计 1 行", ""], ["合计 已申请并批准 1 行", "30.00"], ["合计 退款：已退款 1 行", "30.00"],
    ]  # fmt: skip
    book = load_workbook(io.BytesIO(b"".join(maker.get(f"{address}/result/?format=xlsx"))))
    assert book.active.cell(2, 3).value == 30
    assert maker.get(f"{address}/result/?format=exe").status_code == 404
