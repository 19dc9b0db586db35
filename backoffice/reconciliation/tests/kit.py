"""Compared days as a run leaves them, written down without one: bills, figures, differences."""

import hashlib
import uuid
import zlib
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.transaction import atomic

from payments.models import PaymentException
from payments.services.exceptions import exception_open
from reconciliation.models import BillFile, BillPart, Difference, ReconciledDay
from reconciliation.states import CASE_KINDS, BillSource, BillType, DifferenceType
from tcmpay.common import clock

WECHAT, ALIPAY = ("wechat", "1900000109"), ("alipay", "2088000000000001")
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,"
    "交易类型,交易状态,应结订单金额,商品名称"
)
LINE = (
    "`2026-11-29 12:00:01,`wx1,`1900000109,`0,`,`4200000001,`{number},`oPayer-1,"
    "`JSAPI,`SUCCESS,`30.00,`{name}"
)


def yesterday() -> date:
    return clock.today() - timedelta(days=1)


def bill(
    of: tuple[str, str] = WECHAT,
    *,
    day: date | None = None,
    numbers: tuple[str, ...] = ("ORD1",),
    name: str = "图文咨询",
    **more: Any,
) -> BillFile:
    """A trade bill with a line for each of ``numbers``."""
    lines = [HEADER, *(LINE.format(number=number, name=name) for number in numbers)]
    content = more.pop("content", "\r\n".join([*lines, ""]).encode("utf-8-sig"))
    day = day or yesterday()
    method, merchant = of
    is_replaced = more.pop("is_replaced", False)
    file = BillFile.objects.create(
        payment_method=method,
        merchant=merchant,
        day=day,
        bill_type=BillType.TRADE,
        sha256=hashlib.sha256(content + str(is_replaced).encode()).hexdigest(),
        bytes_long=len(content),
        source=more.pop("source", BillSource.FETCHED),
        imported_at=clock.now(),
        lines=len(numbers),
        totals={"总交易单数": str(len(numbers))},
        current_key=None if is_replaced else f"{method}:{merchant}:{day}:trade",
        replaced_at=clock.now() if is_replaced else None,
        **more,
    )
    half = len(content) // 2
    for number, part in enumerate((content[:half], content[half:])):
        BillPart.objects.create(bill=file, number=number, content=zlib.compress(part))
    return file


def compared(
    of: tuple[str, str] = WECHAT, *, day: date | None = None, **figures: Any
) -> ReconciledDay:
    """What a run of the day left, with both sides equal but for ``figures``."""
    method, merchant = of
    day = day or yesterday()
    trade_bill = figures.pop("trade_bill", None) or bill(of, day=day)
    row = ReconciledDay(
        payment_method=method,
        merchant=merchant,
        day=day,
        trade_bill=trade_bill,
        lines=12,
        matched=12,
        their_payments=10,
        our_payments=10,
        their_receipts=Decimal("1200.00"),
        our_receipts=Decimal("1200.00"),
        their_refunds=2,
        our_refunds=2,
        their_refunded=Decimal("60.00"),
        our_refunded=Decimal("60.00"),
        fees=Decimal("6.84000"),
        verified=Decimal("2520.00"),
        total=Decimal("2520.00"),
        runs=1,
        run_at=clock.now(),
    )
    for name, value in figures.items():
        setattr(row, name, value)
    row.save()
    return row


@atomic
def difference(
    row: ReconciledDay,
    kind: DifferenceType = DifferenceType.FEE,
    *,
    has_case: bool = True,
    **more: Any,
) -> Difference:
    """One that a run found, with its case at the desk."""
    number = more.setdefault("out_trade_no", f"ORD20261129{uuid.uuid4().hex[:12]}")
    reason = more.pop("reason", "账单手续费 0.18 元，按费率应为 0.19 元")
    fields = {"ours": Decimal("0.19"), "theirs": Decimal("0.18"), **more}
    case = None
    if has_case and not fields.get("is_doubtful"):
        exception_open(
            kind=CASE_KINDS[kind],
            method=row.payment_method,
            fact=number,
            out_trade_no=number,
            amount=fields["theirs"],
            reason=reason,
        )
        case = PaymentException.objects.get(out_trade_no=number)
    return Difference.objects.create(
        day=row,
        difference_type=kind,
        fact=number,
        reason=reason,
        bill=row.trade_bill,
        line_number=fields.pop("line_number", 2),
        case=case,
        found_at=clock.now(),
        **fields,
    )
