"""Whatever is written in the form of a bill is read back; one changed figure never passes."""

import io
import zipfile
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateways import bill_reading
from gateways.alipay.tests import test_bills as alipay
from gateways.bill_columns import payment_keys
from gateways.bill_totals import Claim, Reading, settle
from gateways.interface import BillRefused, payment_key
from gateways.registry import open_bill, unread_bill
from gateways.wechat.tests import test_bills as wechat

quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEE_PLACES = 5
numbers = st.text("0123456789abcdefXYZ_-", min_size=1, max_size=12)
# Anything but the end of a line; WeChat escapes it.
names = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)
# The separators of both gateways, and what a fragment of a row may look like.
sly_names = st.sampled_from(["a,`b", ",`", "x,y", "0.00,`1.00", ",2026-11-22 10:00:00,", "`"])


@st.composite
def facts(draw):
    """One line: its kind, numbers, amounts in fen, fee in the smallest unit, name, second."""
    amount = draw(st.integers(1, 10**7))
    return {
        "is_refund": draw(st.booleans()),
        "number": draw(numbers),
        "refund": draw(numbers),
        "amount": amount,
        "settled": amount - draw(st.sampled_from([0, 0, 1, amount])),
        "fee": draw(st.integers(0, 10**6)),
        "name": draw(names),
        "at": draw(st.integers(0, 86_399)),
    }


def yuan(value: int, places: int = 2) -> str:
    return f"{Decimal(value).scaleb(-places):.{places}f}"


def clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def total(lines, name: str, is_refund: bool) -> int:
    return sum(line[name] for line in lines if line["is_refund"] is is_refund)


def wechat_row(line) -> list[str]:
    amounts = [yuan(line["settled"]), yuan(line["amount"])]
    zeros = ["0.00", "0.00"]
    (settled, ordered), (back, asked) = (zeros, amounts) if line["is_refund"] else (amounts, zeros)
    numbers = [line["refund"], f"W{line['refund']}"] if line["is_refund"] else ["0", "0"]
    fee = yuan(-line["fee"] if line["is_refund"] else line["fee"], FEE_PLACES)
    state = "REFUND" if line["is_refund"] else "SUCCESS"
    return [
        f"2026-11-23 {clock(line['at'])}", "wx1", "1900000109", "0", "", f"T{line['number']}",
        line["number"], "o1", "JSAPI", state, "OTHERS", "CNY", settled, "0.00",
        numbers[1], numbers[0], back, "0.00", "ORIGINAL", "SUCCESS", line["name"], "",
        fee, "0.60%", ordered, asked, "",
    ]  # fmt: skip


def wechat_bill(lines, rows) -> bytes:
    fees = total(lines, "fee", False) - total(lines, "fee", True)
    sums = [f"{len(lines)}.0", yuan(total(lines, "settled", False))]
    sums += [yuan(total(lines, "settled", True)), "0.0", yuan(fees, FEE_PLACES)]
    sums += [yuan(total(lines, "amount", is_refund)) for is_refund in (False, True)]
    texts = ["`" + ",`".join(row) for row in rows]
    return wechat.bill_text(*texts, totals="`" + ",`".join(sums))


def alipay_row(line) -> list[str]:
    sign = -1 if line["is_refund"] else 1
    ordered, received = (yuan(sign * line[name]) for name in ("amount", "settled"))
    discount = yuan(sign * (line["amount"] - line["settled"]))
    kind, refund = ("退款", line["refund"]) if line["is_refund"] else ("交易", "")
    return [
        f"T{line['number']}\t", f"{line['number']}\t", f"{kind}\t", f"{line['name']}\t",
        "2026-11-22 00:00:00", f"2026-11-22 {clock(line['at'])}", "\t", "\t", "\t", "\t", "\t",
        ordered, received, "0.00", "0.00", "0.00", discount, "0.00", "\t", "0.00", "0.00",
        f"{refund}\t", yuan(-sign * (line["fee"] // 1000)), "0.00", "\t",
    ]  # fmt: skip


def alipay_bill(lines, rows) -> bytes:
    """With its summary, which alone names ordered amounts and fees."""
    tail, all_of = [alipay.END], []
    for is_refund, word, back in ((False, "交易", ""), (True, "退款", "退款")):
        sign = -1 if is_refund else 1
        ordered, received = (total(lines, name, is_refund) for name in ("amount", "settled"))
        count = sum(line["is_refund"] is is_refund for line in lines)
        tail.append(
            f"#{word}合计：{count}笔，商家实收{back}共{yuan(sign * received)}元，"
            f"商家优惠{back}共{yuan(sign * (ordered - received))}元"
        )
        fees = (line["fee"] // 1000 for line in lines if line["is_refund"] is is_refund)
        all_of.append((count, ordered, received, sum(fees)))
    paid, given_back = all_of
    _count, ordered, received, fee = (a - b for a, b in zip(paid, given_back, strict=True))
    summary = f"合计\t,\t,{paid[0]},{given_back[0]},{yuan(ordered)},{yuan(received)}"
    summary += f",0.00,{yuan(ordered - received)},0.00,{yuan(-fee)},0.00,{yuan(received - fee)}"
    content = alipay.details(*map(",".join, rows), tail=tail, encoding="gb18030")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("1.csv", content)
        archive.writestr("2.csv", alipay.summary(summary))
    return buffer.getvalue()


FORMS = {"wechat": (wechat_row, wechat_bill), "alipay": (alipay_row, alipay_bill)}
# The columns that totals name, of one row.
SUMMED = {"wechat": (12, 16, 17, 22, 24, 25), "alipay": (11, 12, 22)}


def told(rows):
    return [
        (row.is_refund, row.out_trade_no, row.transaction_id, row.out_refund_no, row.amount_fen,
         row.settled_fen, row.fee, row.moment[-8:])
        for row in rows
    ]  # fmt: skip


def expected(method: str, lines):
    sign = {True: -1, False: 1}
    fees = {"wechat": lambda fee: fee, "alipay": lambda fee: fee // 1000 * 1000}[method]
    return [
        (line["is_refund"], line["number"], f"T{line['number']}",
         line["refund"] if line["is_refund"] else "", line["amount"], line["settled"],
         sign[line["is_refund"]] * fees(line["fee"]), clock(line["at"]))
        for line in lines
    ]  # fmt: skip


def is_plain(method: str, name: str) -> bool:
    return ("," if method == "alipay" else ",`") not in name


def opened(method: str, content: bytes):
    return open_bill(method, "trade", io.BytesIO(content))


@pytest.mark.parametrize("method", FORMS)
@quickly
@given(lines=st.lists(facts(), max_size=12))
def test_what_is_written_is_read_back(method, lines):
    assume(all(is_plain(method, line["name"]) for line in lines))
    row_of, bill_of = FORMS[method]
    content = bill_of(lines, map(row_of, lines))
    bill = opened(method, content)
    assert (bill.lines, bill.odd_lines) == (len(lines), ())
    assert told(bill.rows()) == expected(method, lines)
    streamed = unread_bill(method, "trade", io.BytesIO(content))
    assert told(streamed.rows()) == expected(method, lines)
    assert streamed.totals == bill.totals


@pytest.mark.parametrize("method", FORMS)
@quickly
@given(lines=st.lists(facts(), max_size=12))
def test_columns_say_what_rows_say(method, lines):
    assume(all(is_plain(method, line["name"]) for line in lines))
    row_of, bill_of = FORMS[method]
    bill = opened(method, bill_of(lines, map(row_of, lines)))
    seen = []
    for number, piece in bill.pieces():
        rows = list(piece.rows(number))
        seen += rows
        assert [row.is_refund for row in rows] == list(piece.is_refund or [False] * piece.count)
        for name, column in (
            ("amount_fen", piece.amount),
            ("settled_fen", piece.settled),
            ("fee", piece.fee),
        ):
            assert [getattr(row, name) for row in rows] == list(column)
        for name, told_of in (("app_id", piece.app_ids()), ("fee_rate", piece.fee_rates())):
            each = [told_of] * piece.count if isinstance(told_of, str) else told_of
            assert [getattr(row, name) for row in rows] == list(each)
        for row, key in zip(rows, piece.keys(), strict=True):
            assert row.is_refund or key == payment_key(row.out_trade_no, row.amount_fen)
    assert seen == list(bill.rows())


@pytest.mark.parametrize("cells", [["0.05", "30.00"], ["0.05", "30.0"], ["0.05", "30"]])
def test_a_key_is_of_fen_however_the_yuan_are_written(cells):
    numbers, fen = [b"A", b"B"], [5, 3000]
    keys = payment_keys(numbers, [cell.encode() for cell in cells], fen)
    assert keys == [payment_key("A", 5), payment_key("B", 3000)] == [b"A 005", b"B 3000"]


@pytest.mark.parametrize("method", FORMS)
@quickly
@given(
    lines=st.lists(facts(), min_size=1, max_size=6),
    which=st.integers(0, 5),
    name=sly_names,
    data=st.data(),
)
def test_a_sly_name_never_changes_a_figure(method, lines, which, name, data):
    assume(all(is_plain(method, line["name"]) for line in lines))
    lines[which % len(lines)]["name"] = name
    row_of, bill_of = FORMS[method]
    bill = opened(method, bill_of(lines, map(row_of, lines)))
    facts_of = expected(method, lines)
    found = told(bill.rows())
    assert len(found) + len(bill.odd_lines) == len(lines)
    assert all(row in facts_of for row in found)


@pytest.mark.parametrize("method", FORMS)
@quickly
@given(lines=st.lists(facts(), min_size=1, max_size=6), data=st.data())
def test_one_changed_byte_of_a_figure_is_refused_or_quarantined(method, lines, data):
    assume(all(is_plain(method, line["name"]) for line in lines))
    row_of, bill_of = FORMS[method]
    rows = [row_of(line) for line in lines]
    row = rows[data.draw(st.integers(0, len(rows) - 1))]
    column = data.draw(st.sampled_from(SUMMED[method]))
    place = data.draw(st.integers(0, len(row[column]) - 1))
    byte = data.draw(st.sampled_from("0123456789.-,xO "))
    row[column] = row[column][:place] + byte + row[column][place + 1 :]
    facts_of = expected(method, lines)
    try:
        bill = opened(method, bill_of(lines, rows))
    except BillRefused:
        return
    found = told(bill.rows())
    # A sign that means nothing, a blank around a figure: read as what it was.
    assert found == facts_of or (bill.odd_lines and all(row in facts_of for row in found))


@pytest.mark.parametrize("method", FORMS)
@quickly
@given(lines=st.lists(facts(), min_size=2, max_size=6), data=st.data())
def test_a_lost_or_doubled_line_is_refused(method, lines, data):
    assume(all(is_plain(method, line["name"]) for line in lines))
    row_of, bill_of = FORMS[method]
    rows = [row_of(line) for line in lines]
    place = data.draw(st.integers(0, len(rows) - 1))
    for changed in (rows[:place] + rows[place + 1 :], [*rows, rows[place]]):
        with pytest.raises(BillRefused):
            opened(method, bill_of(lines, changed))


@quickly
@given(content=st.binary(max_size=400), bill_type=st.sampled_from(["trade", "fund"]))
@pytest.mark.parametrize("method", FORMS)
def test_any_bytes_are_a_bill_or_refused(method, content, bill_type):
    heads = {"wechat": wechat.HEADER, "alipay": "\r\n".join((*alipay.HEAD, alipay.COLUMNS))}
    for head in (b"", f"{heads[method]}\r\n".encode()):
        with pytest.raises(BillRefused):
            open_bill(method, bill_type, io.BytesIO(head + content))


@pytest.mark.parametrize("block_bytes", [1, 300, 1_000])
@pytest.mark.parametrize("method", FORMS)
def test_blocks_are_cut_anywhere(method, block_bytes, monkeypatch):
    good = {"wechat": wechat.GOOD, "alipay": alipay.GOOD}[method]
    usual = list(opened(method, good).rows())
    monkeypatch.setattr(bill_reading, "_BLOCK_BYTES", block_bytes)
    assert list(opened(method, good).rows()) == usual


@pytest.mark.parametrize("method", FORMS)
def test_a_file_of_too_many_lines_is_refused(method, monkeypatch):
    good = {"wechat": wechat.GOOD, "alipay": alipay.GOOD}[method]
    monkeypatch.setattr(bill_reading, "LINES_MAX", 100)
    with pytest.raises(BillRefused, match="超过 100 行"):
        opened(method, good + b"\r\n" * 100)


def test_several_may_read_a_bill_at_once():
    bill = opened("wechat", wechat.GOOD)
    assert [first == second for first, second in zip(bill.rows(), bill.rows(), strict=True)] == [
        True,
        True,
    ]


# -- what totals prove -----------------------------------------------------------------------------

COUNTS, SUMS = ({0: 1},), ({1: 1},)


def claims(count: int, total: int):
    return [
        Claim("count", str(count), count, COUNTS, is_count=True),
        Claim("sum", str(total), total, SUMS),
    ]


@pytest.mark.parametrize(
    ("odds", "proven"),
    [
        ([[(1, 5, "a")]], ["a"]),
        ([[(1, 5, "a"), (1, 4, "b")]], ["a"]),
        ([[(1, 5, "a"), (1, 5, "b")]], [None]),  # both give the totals
        ([[(1, 4, "a")]], "refused"),
        ([[(1, None, None), (0, 0, None)]], [None]),
        ([[(1, 6, None)]], "refused"),  # not just what it may carry
        ([[(1, 5, "a")], [(0, 0, None)]], ["a", None]),
    ],
)
def test_a_reading_counts_where_the_totals_prove_it_alone(odds, proven):
    readings = [[Reading((count, total), read) for count, total, read in odd] for odd in odds]
    settled = settle([2, 10], claims(3, 15), readings)
    assert ("refused" if settled is None else settled) == proven


def test_a_line_that_may_carry_anything_proves_nothing_of_another():
    odds = [[Reading((1, 5), "a")], [Reading((1, None), None), Reading((0, 0), None)]]
    assert settle([2, 10], claims(4, 17), odds) == [None, None]
    assert settle([2, 10], claims(4, 14), odds) is None  # nothing carries less than nothing


def test_many_odd_lines_are_not_tried_in_all_ways():
    guesses: list[Reading[str]] = [Reading((1, None), None), Reading((0, 0), None)]
    assert settle([2, 10], claims(40, 50), [guesses] * 60) == [None] * 60
    assert settle([2, 10], claims(90, 50), [guesses] * 60) is None
