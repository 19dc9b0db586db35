"""Lines of bills for people: without who paid, in the bill's own encoding."""

import io

import pytest

from gateways.alipay.tests import test_bills as alipay
from gateways.registry import unread_bill
from gateways.wechat.tests import test_bills as wechat
from reconciliation.bill_text import Columns
from reconciliation.contents import lines_of

ACCOUNT = "账务流水号,商户订单号,商品名称,对方账号,收入金额（+元）"


def lines(method, content, numbers):
    opened = unread_bill(method, "trade", io.BytesIO(content))
    return lines_of(opened, numbers)


def test_a_line_is_kept_without_its_payer():
    told = lines("wechat", wechat.GOOD, {2})[2]
    assert ",`ORD1,`***,`NATIVE,`" in told
    assert "挂号费, 内科" in told


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_bill_s_own_encoding_is_read(encoding):
    content = alipay.GOOD.decode("gb18030").encode(encoding)
    told = lines("alipay", content, {6})[6]
    assert "交易" in told
    assert "挂号费" in told


def test_the_account_that_money_came_from_is_hidden():
    columns = Columns.of(ACCOUNT)
    assert columns
    assert dict(columns.fields("1,ORD1,x,138****1234张三,5.00"))["对方账号"] == "***"
    assert columns.masked("1,ORD1,x,138****1234张三,5.00") == "1,ORD1,x,***,5.00"


def test_of_a_line_with_more_cells_nothing_is_shown():
    columns = Columns.of("交易时间,商户订单号,用户标识,商品名称")
    assert columns
    assert columns.fields("`2026,`ORD1,`oOPENID123,`挂号费, 内科")[3] == (
        "商品名称",
        "挂号费, 内科",
    )
    assert not columns.fields("`2026,`ORD1,`oOPENID123,`挂号费,`内科")
    assert columns.masked("`2026,`ORD1,`oOPENID123,`挂号费,`内科") == ""
