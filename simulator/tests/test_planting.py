"""Bills of past days: every kind of row, balances that go on, and planted differences."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from simulator.tests.clients import BEIJING, AlipayClient, WechatClient
from simulator.tests.reading import Bill, FundBill, file_of

CHANNELS = ("wechat", "alipay")
TODAY = datetime.now(BEIJING).date()
DAYS = [str(TODAY - timedelta(days=shift)) for shift in (4, 3, 2)]
DAY, AFTER = DAYS[1], DAYS[2]
ON_THE_BILL = ("ours_only", "amount", "duplicate", "wrong_day", "theirs_only", "foreign", "state")
TYPES = (*ON_THE_BILL, "fee", "fund_gap", "fund_missing", "line")
COUNTS = dict.fromkeys(TYPES, 2)


def payments_of(day):
    """Thirty payments over a day, to its last second; some with coupons, two unpaid."""
    for place in range(30):
        seconds = 86_399 * place // 29
        at = f"{day} {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        coupon = {"coupon_fen": 50, "coupon_by": "merchant"} if place % 7 == 1 else {}
        fen, unpaid = 83 + 1_117 * place, {"unpaid": place in (5, 6)}
        yield {
            "out_trade_no": f"T{day}N{place:02}",
            "amount_fen": fen,
            "at": at,
            **coupon,
            **unpaid,
        }
    for minute in range(4):
        at = f"{day} 23:{10 + minute}:00"
        yield {"out_trade_no": f"T{day}L{minute}", "amount_fen": 3_000, "at": at}


def refunds_of(day):
    """Of one payment in three parts, and each way for a refund to end."""
    for place, fen in enumerate((100, 1, 2_000)):
        yield {"out_trade_no": f"T{day}N08", "out_refund_no": f"R{day}P{place}", "amount_fen": fen,
               "at": f"{day} 11:0{place}:00"}  # fmt: skip
    for place, status in enumerate(("SUCCESS", "PROCESSING", "ABNORMAL", "CLOSED")):
        yield {"out_trade_no": f"T{day}N1{place}", "out_refund_no": f"R{day}{status}",
               "amount_fen": 5_000, "at": f"{day} 20:0{place}:00", "status": status}  # fmt: skip
    at, late = f"{day} 22:00:00", datetime.fromisoformat(f"{day} 10:00:00") + timedelta(days=1)
    yield {"out_trade_no": f"T{day}N15", "out_refund_no": f"R{day}LATE", "amount_fen": 700,
           "at": at, "settled_at": str(late)}  # fmt: skip


@pytest.fixture(scope="module")
def month(start):
    """A stand-in with three days of business by both gateways, without a single wait."""
    with start() as stand_in:
        for channel in CHANNELS:
            for day in DAYS:
                business = {"payments": [*payments_of(day)], "refunds": [*refunds_of(day)]}
                made = stand_in.control("book", channel=channel, **business)
                assert made["status_code"] == 200, made
                assert len(made["payments"]) == 34
            stand_in.control("withdraw", channel=channel, amount_fen=4_321, at=f"{DAY} 12:00:00")
        yield stand_in


@pytest.fixture
def plant(month):
    def planted(channel, seed=1, **counts):
        answer = month.control("bills/plant", channel=channel, day=DAY, seed=seed, counts=counts)
        assert answer["status_code"] == 200, answer
        return answer["planted"]

    yield planted
    for channel in CHANNELS:
        assert month.control("bills/unplant", channel=channel, day=DAY)["status_code"] == 200


def told(month, channel, kind=Bill):
    """What the bills of all days say, by number."""
    everything: defaultdict[tuple[str, str], list] = defaultdict(list)
    for day in DAYS:
        for number, facts in kind(month, channel, day).told().items():
            everything[number] += facts
    return dict(everything)


def changed(before, after):
    return {number for number in {*before, *after} if before.get(number) != after.get(number)}


def balances(month, channel):
    """Whatever breaks a balance, from the first line of the first day to the last of the last."""
    broken, balance = [], Decimal(0)
    for day in DAYS:
        gaps, balance = FundBill(month, channel, day).gaps(balance)
        broken += gaps
    return broken, balance


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_account_goes_on_from_line_to_line_and_from_day_to_day(month, channel):
    broken, closing = balances(month, channel)
    assert not broken
    assert month.shown(f"books?day={DAYS[-1]}")[channel]["closing"] == str(closing)
    assert month.shown(f"books?day={DAY}")[channel]["withdrawn"] == "43.21"


@pytest.mark.parametrize(
    ("channel", "column", "kinds"),
    [
        ("wechat", "业务名称",
         {"交易", "扣除交易手续费", "退款", "退款关闭", "退还交易手续费", "提现"}),
        ("alipay", "业务类型", {"在线支付", "收费", "交易退款", "退费", "提现"}),
    ],
)  # fmt: skip
def test_the_fund_bill_has_every_kind_of_row(month, channel, column, kinds):
    assert {row[column] for row in FundBill(month, channel, DAY).rows} == kinds


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", [Bill, FundBill])
def test_every_file_adds_up(month, channel, kind):
    assert all(kind(month, channel, day).adds_up() for day in DAYS)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_line_and_the_account_tell_the_same_fee_and_money(month, channel):
    """Rounded line by line; parts of a refund give back no more than the payment cost."""
    lines = told(month, channel)
    funds = told(month, channel, FundBill)
    names = {"wechat": ("交易", "扣除交易手续费"), "alipay": ("在线支付", "收费")}[channel]
    for (number, refund_no), [(_, _, settled, fee)] in lines.items():
        if not refund_no:
            assert fee == (settled * 6 / 1000).quantize(Decimal("0.01"), "ROUND_HALF_UP")
            assert funds[number, names[0]][0][1] == settled
            assert sum(change for _, change in funds.get((number, names[1]), ())) == -fee
    [(_, _, _, cost)] = lines[f"T{DAY}N08", ""]
    parts = [lines[f"T{DAY}N08", f"R{DAY}P{place}"][0] for place in range(3)]
    assert sum(fee for *_, fee in parts) <= cost
    assert [settled for _, _, settled, _ in parts] == [
        Decimal(text) for text in ("0.99", "0.01", "19.89")
    ]


def test_wechats_refunds_stand_as_they_were_when_the_bill_was_made(month):
    rows = Bill(month, "wechat", DAY).rows
    states = {row["商户退款单号"]: row["退款状态"] for row in rows if row["退款状态"]}
    assert states == {
        f"R{DAY}P0": "SUCCESS", f"R{DAY}P1": "SUCCESS", f"R{DAY}P2": "SUCCESS",
        f"R{DAY}SUCCESS": "SUCCESS", f"R{DAY}PROCESSING": "PROCESSING",
        f"R{DAY}ABNORMAL": "CHANGE", f"R{DAY}CLOSED": "FAIL",
        f"R{DAY}LATE": "PROCESSING",  # done at ten on the day after, and never told
    }  # fmt: skip


def test_alipays_refunds_stand_on_the_day_when_they_were_done(month):
    numbers = {refund_no for _, refund_no in Bill(month, "alipay", DAY).told() if refund_no}
    assert numbers == {f"R{DAY}P0", f"R{DAY}P1", f"R{DAY}P2", f"R{DAY}SUCCESS", f"R{DAYS[0]}LATE"}


@pytest.mark.parametrize("channel", CHANNELS)
def test_midnight_parts_two_days(month, channel):
    assert (f"T{DAY}N00", "") in Bill(month, channel, DAY).told()  # 00:00:00
    assert (f"T{DAY}N29", "") in Bill(month, channel, DAY).told()  # 23:59:59


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", ON_THE_BILL)
def test_a_planted_difference_is_the_only_one(month, plant, channel, kind):
    before, funds_before = told(month, channel), told(month, channel, FundBill)
    planted = plant(channel, **{kind: 2})
    after, funds_after = told(month, channel), told(month, channel, FundBill)
    assert [difference["type"] for difference in planted] == [kind, kind]
    numbers = {(d["out_trade_no"], d["refund_no"]) for d in planted}
    assert changed(before, after) == numbers
    own = {(d["refund_no"] if channel == "wechat" else "") or d["out_trade_no"] for d in planted}
    moved = set() if kind == "duplicate" else own
    assert {number for number, _ in changed(funds_before, funds_after)} == moved
    assert balances(month, channel)[0] == []
    assert all(Bill(month, channel, day).adds_up() for day in DAYS)
    assert all(FundBill(month, channel, day).adds_up() for day in DAYS)
    for difference in planted:
        number = difference["out_trade_no"], difference["refund_no"]
        ours, theirs = (
            difference[side] and Decimal(difference[side]) for side in ("ours", "theirs")
        )
        assert [o for _, o, *_ in before.get(number, [])] == (
            [] if kind in ("theirs_only", "foreign", "state") else [ours or theirs]
        )
        days = [AFTER if kind == "wrong_day" else DAY] * {"ours_only": 0, "duplicate": 2}.get(
            kind, 1
        )
        assert [day for day, *_ in after.get(number, [])] == days
        assert all(ordered == theirs for _, ordered, *_ in after.get(number, []))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_planted_fee_is_wrong_on_the_line_or_in_the_account(month, plant, channel):
    before, funds_before = told(month, channel), told(month, channel, FundBill)
    planted = plant(channel, fee=6)
    lines = changed(before, told(month, channel))
    funds = changed(funds_before, told(month, channel, FundBill))
    assert {n for n, _ in lines} | {n for n, _ in funds} == {d["out_trade_no"] for d in planted}
    for difference in planted:
        number = difference["out_trade_no"], ""
        ((_, _, settled, fee),) = told(month, channel)[number]
        assert fee in (Decimal(difference["ours"]), Decimal(difference["theirs"]))
        assert (number in lines) == (abs(fee - settled * 6 / 1000) > Decimal("0.02"))
    assert lines
    assert funds


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_gap_breaks_the_balance_at_one_line(month, plant, channel):
    before = told(month, channel, FundBill)
    planted = plant(channel, fund_gap=3)
    sides = {(Decimal(d["ours"]), Decimal(d["theirs"])) for d in planted}
    assert {*balances(month, channel)[0]} == sides
    assert changed(before, told(month, channel, FundBill)) == set()


@pytest.mark.parametrize("channel", CHANNELS)
def test_money_that_never_came_is_missing_in_the_account_alone(month, plant, channel):
    before, lines = told(month, channel, FundBill), told(month, channel)
    planted = plant(channel, fund_missing=3)
    gone = changed(before, told(month, channel, FundBill))
    kind = {"wechat": "交易", "alipay": "在线支付"}[channel]
    assert gone == {(d["out_trade_no"], kind) for d in planted}
    assert {d["ours"] for d in planted} == {str(before[number][0][1]) for number in gone}
    assert told(month, channel) == lines
    assert balances(month, channel)[0] == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_odd_line_is_one_line_and_the_totals_are_right(month, plant, channel):
    before = Bill(month, channel, DAY)
    (planted,) = plant(channel, line=1)
    after = Bill(month, channel, DAY)
    assert [planted["out_trade_no"] in cells for cells in after.odd] == [True]
    assert (after.ending, len(after.rows)) == (before.ending, len(before.rows) - 1)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_seed_plants_the_same_again(month, plant, channel):
    before = [kind(month, channel, day).rows for kind in (Bill, FundBill) for day in DAYS]
    seen = []
    for seed in (7, 7, 8):
        seen.append(plant(channel, seed, **COUNTS))
        month.control("bills/unplant", channel=channel, day=DAY)
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0]) == 2 * len(TYPES)
    assert [kind(month, channel, day).rows for kind in (Bill, FundBill) for day in DAYS] == before


def test_all_types_at_once_touch_each_payment_once(month, plant):
    planted = plant("wechat", **COUNTS)
    numbers = [d["out_trade_no"] for d in planted if d["type"] != "fund_gap"]
    assert len(numbers) == len(set(numbers))


def test_more_than_a_day_has_plants_nothing(month):
    before = told(month, "wechat")
    answer = month.control(
        "bills/plant", channel="wechat", day=DAY, counts={"amount": 2, "wrong_day": 50}
    )
    assert answer["status_code"] == 409
    assert told(month, "wechat") == before


@pytest.mark.parametrize(
    "wrong",
    [{"counts": {"other": 1}}, {"counts": {"fee": -1}}, {"counts": []}, {"day": "today"},
     {"channel": "bank"}, {"seed": "x"}],
)  # fmt: skip
def test_it_plants_only_what_exists(month, wrong):
    asked = {"channel": "wechat", "day": DAY, "counts": {"fee": 1}} | wrong
    assert month.control("bills/plant", **asked)["status_code"] == 400


def test_numbers_of_other_programs_are_left_alone(month):
    asked = {"channel": "wechat", "day": DAY, "counts": {"amount": 1}}
    assert month.control("bills/plant", **asked, prefix="ORD")["status_code"] == 409


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_books_of_a_day_are_what_really_happened(month, plant, channel):
    """Whatever the bills were made to say; what no program asked for stands apart."""
    before = month.shown(f"books?day={DAY}")[channel]
    fen = sum(p["amount_fen"] for p in payments_of(DAY) if not p.get("unpaid"))
    assert before["receipts"] == f"{fen // 100}.{fen % 100:02}"
    assert before["refunds"] == "78.01"  # done that day, that of the day before among them
    planted = plant(channel, **COUNTS | {"state": 0})
    after = month.shown(f"books?day={DAY}")[channel]
    told_names = ("receipts", "refunds", "fees", "net", "receipts_count", "refunds_count")
    assert {name: after[name] for name in told_names} == {n: before[n] for n in told_names}
    strange = [d for d in planted if d["type"] in ("theirs_only", "foreign")]
    for name, is_refund in (("receipts", False), ("refunds", True)):
        theirs = [Decimal(d["theirs"]) for d in strange if bool(d["refund_no"]) is is_refund]
        assert Decimal(after["strange"][name]) == sum(theirs)


def test_a_planted_payment_is_known_to_queries(month, plant):
    wechat = WechatClient(month.config)
    for difference in plant("wechat", theirs_only=3, state=1, foreign=1):
        answer = wechat.query(difference["out_trade_no"]).json
        if difference["refund_no"]:
            answer = wechat.query_refund(difference["refund_no"]).json
            assert answer["status"] == "SUCCESS"
        assert answer["transaction_id"] == difference["gateway_no"]


# Time ------------------------------------------------------------------------------------------


def test_a_payment_of_the_past_is_told_with_its_time(stand_in, wechat, listener):
    url = listener.address((204, b""))
    order = wechat.order(notify_url=url)
    wechat.prepay(order)
    key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
    stand_in.control("pay", **key, at=f"{DAY} 23:59:59")
    told = wechat.opened(listener.next(url))
    assert told["success_time"] == f"{DAY}T23:59:59+08:00"
    assert (order["out_trade_no"], "") in Bill(stand_in, "wechat", DAY).told()
    refund = stand_in.control("refund", **key, at=f"{AFTER} 00:00:00")["refund"]
    number = order["out_trade_no"], refund["out_refund_no"]
    assert number in Bill(stand_in, "wechat", AFTER).told()


def test_a_clock_of_the_past_moves_on_with_each_deed(start):
    """The merchant's own calls are booked by it as well."""
    with start(refund_delay_seconds=0, spacing_factor=0) as stand_in:
        wechat, alipay = WechatClient(stand_in.config), AlipayClient(stand_in.config)
        stand_in.control("clock", at=f"{DAY} 08:00:00", step_seconds=60)
        order = alipay.order()
        address = alipay.address("alipay.trade.page.pay", order)
        number = {"out_trade_no": order["out_trade_no"]}
        stand_in.control("pay", channel="alipay", **number, url=address)
        content = number | {"refund_amount": "1.00", "out_request_no": "R1"}
        back = alipay.node("alipay.trade.refund", content)
        assert back["gmt_refund_pay"] == f"{DAY} 08:02:00"
        told = alipay.node("alipay.trade.query", number)
        assert told["send_pay_date"] == f"{DAY} 08:00:00"
        stand_in.control("clock")
        body = wechat.order()
        wechat.prepay(body)
        paid = stand_in.control("pay", channel="wechat", out_trade_no=body["out_trade_no"])
        assert paid["payment"]["paid_at"] > datetime.now(BEIJING).timestamp() - 60


@pytest.mark.parametrize(
    "wrong",
    [{"at": "2999-01-01 00:00:00"}, {"at": "yesterday"}, {"step_seconds": -1}],
)  # fmt: skip
def test_a_clock_knows_only_times_of_the_past(stand_in, wrong):
    assert stand_in.control("clock", **wrong)["status_code"] == 400


@pytest.mark.parametrize(
    "refund",
    [{"amount_fen": 99_999_999}, {"out_refund_no": f"R{DAY}P0"}, {"amount_fen": 1.5},
     {"out_trade_no": "T-unknown"}, {"status": "DONE"}],
)  # fmt: skip
def test_a_wrong_item_books_nothing(month, refund):
    asked = {"out_trade_no": f"T{DAY}N20", "out_refund_no": "R-new", "amount_fen": 1} | refund
    before = month.shown("books")["totals"]
    paid = {"out_trade_no": "T-new-one", "amount_fen": 100, "at": f"{DAY} 09:00:00"}
    answer = month.control("book", channel="wechat", payments=[paid], refunds=[asked])
    assert answer["status_code"] in (400, 404, 409)
    assert month.shown("books")["totals"] == before


# What may be wrong with files ------------------------------------------------------------------


@pytest.fixture
def spoil(month):
    ordered = []

    def order(channel, fault, **which):
        ordered.append({"channel": channel, "day": DAY} | which)
        assert month.control("bills", **ordered[-1], fault=fault)["status_code"] == 200

    yield order
    for which in ordered:
        month.control("bills", **which)
    assert month.control("bills", channel="wechat")["faults"] == []


def wechat_answer(month, day=DAY, kind="tradebill"):
    return WechatClient(month.config).call("GET", f"/v3/bill/{kind}?bill_date={day}")


@pytest.mark.parametrize(
    ("fault", "code"), [("late", "STATEMENT_CREATING"), ("missing", "NO_STATEMENT_EXIST")]
)
def test_a_bill_is_late_or_missing_until_told(month, spoil, fault, code):
    spoil("wechat", fault, kind="trade")
    assert wechat_answer(month).code == code
    assert wechat_answer(month, kind="fundflowbill").status == 200
    assert wechat_answer(month, day=AFTER).status == 200
    month.control("bills", channel="wechat", day=DAY, kind="trade")
    assert wechat_answer(month).status == 200


@pytest.mark.parametrize("fault", ["late", "missing"])
def test_alipay_has_one_word_for_both(month, spoil, fault):
    spoil("alipay", fault)
    method = "alipay.data.dataservice.bill.downloadurl.query"
    content = {"bill_type": "trade", "bill_date": DAY}
    answer = AlipayClient(month.config).node(method, content)
    assert answer["sub_code"] == "isp.bill_not_exist"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", [Bill, FundBill])
def test_the_same_bill_comes_again_unless_it_was_changed(month, spoil, channel, kind):
    files = [kind(month, channel, DAY) for _ in range(2)]
    assert files[0].rows == files[1].rows
    assert files[0].ending == files[1].ending
    spoil(channel, "changed")
    changes = [kind(month, channel, DAY) for _ in range(2)]
    assert changes[0].rows != changes[1].rows
    assert changes[0].told() == changes[1].told() == files[0].told()
    assert changes[1].adds_up()


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", [Bill, FundBill])
def test_an_unbalanced_bill_does_not_add_up(month, spoil, channel, kind):
    spoil(channel, "unbalanced")
    assert not kind(month, channel, DAY).adds_up()


def test_a_cut_bill_has_the_hash_of_the_whole(month, spoil):
    whole = wechat_answer(month).json["hash_value"]
    spoil("wechat", "cut")
    assert wechat_answer(month).json["hash_value"] == whole
    assert month.get(f"/bill?channel=wechat&day={DAY}").body[-2:] != b"\r\n"


@pytest.mark.parametrize(("channel", "encoding"), [("wechat", "gbk"), ("alipay", "utf-8-sig")])
def test_a_bill_comes_in_the_other_encoding(month, spoil, channel, encoding):
    spoil(channel, "reencoded")
    content = file_of(month, channel, DAY)
    assert "在线问诊" in content.decode(encoding)
    with pytest.raises(UnicodeDecodeError):
        content.decode("gbk" if encoding == "utf-8-sig" else "utf-8")


def test_the_page_offers_the_bills_of_two_days(month):
    page = month.get("/").body.decode()
    assert page.count('href="/bill?') == 8
    assert month.get("/bill?channel=wechat&day=2020-01-01").status == 404
