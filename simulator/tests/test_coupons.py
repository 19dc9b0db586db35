"""Payments of which a coupon took a part: who pays what, and who gets what back."""

import json

import pytest

from simulator.tests.clients import AlipayClient, WechatClient, settled
from simulator.tests.test_bills import alipay_rows, download, named_rows, offer

OPTIONS = ["refund_detail_item_list", "deposit_back_info"]


@pytest.fixture
def alone(start):
    """A stand-in of its own, so that its bills are known."""
    with start(refund_delay_seconds=0.02, spacing_factor=0) as stand_in:
        yield stand_in


def paid_with(stand_in, wechat, fen, by, **changes):
    order = wechat.order(**changes)
    wechat.prepay(order)
    answer = stand_in.control(
        "pay", channel="wechat", out_trade_no=order["out_trade_no"], coupon_fen=fen, coupon_by=by
    )
    assert answer["paid"] is True
    return order


@pytest.mark.parametrize(("by", "kind"), [("gateway", "CASH"), ("merchant", "NOCASH")])
def test_the_payer_pays_less_than_the_total(stand_in, wechat, listener, by, kind):
    url = listener.address((204, b""))
    order = paid_with(stand_in, wechat, 500, by, notify_url=url)
    for told in (wechat.query(order["out_trade_no"]).json, wechat.opened(listener.next(url))):
        assert (told["amount"]["total"], told["amount"]["payer_total"]) == (3000, 2500)
        (coupon,) = told["promotion_detail"]
        assert (coupon["amount"], coupon["type"]) == (500, kind)


def test_refunds_give_back_in_proportion_and_add_up(stand_in, wechat):
    order = paid_with(stand_in, wechat, 1000, "merchant")
    answers = [wechat.refund(wechat.refund_body(order, fen)).json for fen in (1, 999, 2000)]
    amounts = [answer["amount"] for answer in answers]
    assert sum(amount["payer_refund"] for amount in amounts) == 2000
    assert [amount["refund"] for amount in amounts] == [1, 999, 2000]
    assert all(a["payer_refund"] + a["discount_refund"] == a["refund"] for a in amounts)
    assert {amount["settlement_total"] for amount in amounts} == {2000}


@pytest.mark.parametrize("wrong", [{"coupon_fen": 3000}, {"coupon_fen": 1, "coupon_by": "bank"}])
def test_a_coupon_leaves_something_to_pay_and_has_a_giver(stand_in, wechat, wrong):
    order = wechat.order()
    wechat.prepay(order)
    answer = stand_in.control("pay", channel="wechat", out_trade_no=order["out_trade_no"], **wrong)
    assert answer["status_code"] == 400
    assert wechat.query(order["out_trade_no"]).json["trade_state"] == "NOTPAY"


@pytest.mark.parametrize(("by", "received"), [("gateway", "30.00"), ("merchant", "25.00")])
def test_alipay_tells_what_was_received_and_what_was_paid(stand_in, alipay, listener, by, received):
    url = listener.address()
    order = alipay.order()
    stand_in.control(
        "pay", channel="alipay", out_trade_no=order["out_trade_no"], coupon_fen=500, coupon_by=by,
        url=alipay.address("alipay.trade.page.pay", order, notify_url=url),
    )  # fmt: skip
    query = {"out_trade_no": order["out_trade_no"], "query_options": ["voucher_detail_list"]}
    form = listener.next(url).form
    assert alipay.notice_verifies(form)
    asked = alipay.node("alipay.trade.query", query)
    for told in (asked, form):
        amounts = [told[name] for name in ("total_amount", "receipt_amount", "buyer_pay_amount")]
        assert amounts == ["30.00", received, "25.00"]
    assert [bill["amount"] for bill in asked["fund_bill_list"]] == ["25.00", "5.00"]
    assert [bill["amount"] for bill in json.loads(form["fund_bill_list"])] == ["25.00", "5.00"]
    assert asked["voucher_detail_list"][0]["amount"] == "5.00"
    assert json.loads(form["voucher_detail_list"])[0]["amount"] == "5.00"


def test_details_of_a_refund_come_to_those_who_ask(stand_in, alipay):
    order = alipay.order()
    stand_in.control(
        "pay", channel="alipay", out_trade_no=order["out_trade_no"], coupon_fen=1000,
        url=alipay.address("alipay.trade.page.pay", order),
    )  # fmt: skip
    content = {"out_trade_no": order["out_trade_no"], "refund_amount": "3.00"}
    plain = alipay.node("alipay.trade.refund", content | {"out_request_no": "R1"})
    asked = alipay.node(
        "alipay.trade.refund", content | {"out_request_no": "R2", "query_options": OPTIONS}
    )
    assert not {"refund_detail_item_list", "deposit_back_info", "send_back_fee"} & set(plain)
    assert [item["amount"] for item in asked["refund_detail_item_list"]] == ["2.00", "1.00"]
    assert asked["send_back_fee"] == "2.00"
    assert asked["deposit_back_info"] == {"has_deposit_back": "false"}
    assert asked["refund_fee"] == "6.00"  # the trade's total, not this refund's


def test_query_options_must_be_a_list_of_texts(stand_in, alipay, alipay_paid):
    content = {
        "out_trade_no": alipay_paid["out_trade_no"],
        "refund_amount": "3.00",
        "out_request_no": "R1",
        "query_options": "refund_detail_item_list",
    }
    assert alipay.node("alipay.trade.refund", content)["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_wechats_bill_has_both_amounts_and_the_fund_flow_what_was_settled(alone):
    wechat = WechatClient(alone.config)
    order = paid_with(alone, wechat, 1000, "merchant")
    paid_with(alone, wechat, 1000, "gateway")
    refund = wechat.refund_body(order, 1500)
    wechat.refund(refund)
    settled(wechat, refund)
    rows, summary = named_rows(download(wechat, offer(wechat, "tradebill", "")).body)
    told = [
        (
            row["订单金额"],
            row["应结订单金额"],
            row["代金券金额"],
            row["申请退款金额"],
            row["退款金额"],
        )
        for row in rows
    ]
    assert told == [
        ("30.00", "20.00", "10.00", "0.00", "0.00"),
        ("30.00", "30.00", "10.00", "0.00", "0.00"),
        ("0.00", "0.00", "0.00", "15.00", "10.00"),
    ]
    assert summary == "`3.0,`50.00,`10.00,`0.00,`0.24,`60.00,`15.00"
    flow, _ = named_rows(download(wechat, offer(wechat, "fundflowbill", "")).body)
    assert [row["收支金额(元)"] for row in flow if "手续费" not in row["业务名称"]] == [
        "20.00", "30.00", "10.00",
    ]  # fmt: skip


def test_alipays_bill_has_both_amounts(alone):
    alipay = AlipayClient(alone.config)
    order = alipay.order()
    alone.control(
        "pay", channel="alipay", out_trade_no=order["out_trade_no"], coupon_fen=1000,
        coupon_by="merchant", url=alipay.address("alipay.trade.page.pay", order),
    )  # fmt: skip
    content = {"out_trade_no": order["out_trade_no"], "refund_amount": "15.00"}
    alipay.node("alipay.trade.refund", content | {"out_request_no": "R1"})
    rows, totals = alipay_rows(alone, alipay)
    told = [(row["订单金额（元）"], row["商家实收（元）"], row["商家优惠（元）"]) for row in rows]
    assert told == [("30.00", "20.00", "10.00"), ("-15.00", "-10.00", "-5.00")]
    assert totals[:2] == [
        "#交易合计：1笔，商家实收共20.00元，商家优惠共10.00元",
        "#退款合计：1笔，商家实收退款共-10.00元，商家优惠退款共-5.00元",
    ]
