"""Many at once: one deed, and every answer tells of that one."""

from concurrent.futures import ThreadPoolExecutor


def at_once(count, call):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


def test_one_refund_number_refunds_once(wechat, paid):
    body = wechat.refund_body(paid, 3000)
    answers = at_once(12, lambda: wechat.refund(body))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["refund_id"] for answer in answers}) == 1


def test_refunds_never_pass_what_was_paid(stand_in, wechat, paid):
    answers = at_once(12, lambda: wechat.refund(wechat.refund_body(paid, 1000)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [400] * 9


def test_paying_and_closing_have_one_winner(stand_in, wechat):
    for _ in range(5):
        order = wechat.order()
        wechat.prepay(order)
        key = {"channel": "wechat", "out_trade_no": order["out_trade_no"]}
        with ThreadPoolExecutor(2) as pool:
            payment = pool.submit(stand_in.control, "pay", **key)
            closing = pool.submit(wechat.close, order["out_trade_no"])
        state = wechat.query(order["out_trade_no"]).json["trade_state"]
        is_paid = payment.result()["status_code"] == 200
        assert state == ("SUCCESS" if is_paid else "CLOSED")
        assert closing.result().status == (400 if is_paid else 204)


def test_one_alipay_request_number_moves_money_once(alipay, alipay_paid):
    content = {
        "out_trade_no": alipay_paid["out_trade_no"],
        "refund_amount": "10.00",
        "out_request_no": "R1",
    }
    nodes = at_once(8, lambda: alipay.node("alipay.trade.refund", content))
    assert sorted(node["fund_change"] for node in nodes) == ["N"] * 7 + ["Y"]
    assert {node["refund_fee"] for node in nodes} == {"10.00"}
