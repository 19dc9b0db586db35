"""A merchant's day for tests: payments and refunds as rows, the gateway's bills as it would write
them, and what was planted to differ. Bills are read by the product's own way of keeping them; only
their notation is the tests' own, so that what is compared here is lines, not columns."""

import hashlib
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, Any, ClassVar

from config.gateways.merchants import Merchant
from config.gateways.versions import rows_lock, version_append
from config.models import PaymentConfig
from gateways.bill_files import Unpacked
from gateways.interface import BillRefused, BillRow, FundKind, FundRow, OddLine, payment_key
from payments.models import PaymentOrder, PaymentTransaction
from reconciliation.models import BillFile
from reconciliation.services.importing import bill_import
from reconciliation.states import BillSource, BillType
from refunds.models import Refund
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import SHANGHAI, business_day, day_start
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_number

DAY = date(2026, 11, 24)
NOON = timedelta(hours=12)
LINES_OF_PIECE = 5  # few, so that some agree as a whole
RATE = "0.60%"
MERCHANT = "1900000001"
SELLER, APP = "2088000000000001", "2021000000000001"
NUMBERS = {"wechat": MERCHANT, "alipay": SELLER}
VALUES = {
    "wechat": {"app_id": "wx1", "mch_id": MERCHANT},
    "alipay": {"app_id": APP, "seller_id": SELLER},
}


def configured(method: str, **values: str) -> uuid.UUID:
    """A running configuration version of the method; its id."""
    for key, value in {**VALUES[method], **values}.items():
        PaymentConfig.objects.update_or_create(
            payment_method=method, config_key=key, defaults={"config_value": value}
        )

    @money_unit
    def append() -> uuid.UUID:
        return version_append(method, rows_lock(method), actor=SYSTEM).id

    return append()


def merchant(method: str) -> Merchant:
    return Merchant(method, NUMBERS[method])


# --- our side -----------------------------------------------------------------------------------


def at(moment: timedelta, day: date = DAY) -> datetime:
    return day_start(day) + moment


def attempt(
    method: str,
    version: uuid.UUID,
    *,
    moved: timedelta = NOON,
    day: date = DAY,
    amount: str = "30.00",
    status: str = "success",
    **other: Any,
) -> PaymentTransaction:
    """A payment as it lies in our books, booked ``moved`` after the day's beginning."""
    moment = at(moved, day)
    is_done = status == "success"
    order = PaymentOrder.objects.create(
        order_no=new_number("ORD", moment),
        user_id=uuid.uuid4(),
        order_type="other",
        amount=Decimal(amount),
        expire_time=moment + timedelta(hours=2),
        created_at=moment - timedelta(minutes=5),
        status="paid" if is_done else "pending",
        payment_method=method if is_done else None,
        payment_time=moment if is_done else None,
        paid_on=business_day(moment) if is_done else None,
    )
    facts: dict[str, Any] = {
        "transaction_no": new_number("TXN", moment),
        "order": order,
        "payment_method": method,
        "amount": order.amount,
        "status": status,
        "out_trade_no": order.order_no,
        "config_version_id": version,
        "disposition": "applied" if is_done else "",
        "applied_order_id": order.id if is_done else None,
        "external_transaction_id": f"T{order.order_no}" if is_done else None,
        "trade_no": f"T{order.order_no}" if is_done else None,
        "initiated_at": moment - timedelta(minutes=4),
        "completed_at": moment if is_done else None,
        "booked_at": moment if is_done else None,
    }
    return PaymentTransaction.objects.create(**facts | other)


def refund(
    payment: PaymentTransaction,
    *,
    moved: timedelta = NOON,
    day: date = DAY,
    amount: str = "10.00",
    status: str = "success",
    **other: Any,
) -> Refund:
    moment = at(moved, day)
    is_done = status == "success"
    facts: dict[str, Any] = {
        "refund_no": new_number("RFD", moment),
        "order": payment.order,
        "transaction": payment,
        "user_id": payment.order.user_id,
        "refund_amount": Decimal(amount),
        "refund_reason": "退号",
        "status": status,
        "sendings": 1,
        "sent_at": moment,
        "completed_at": moment if is_done else None,
        "completed_on": day if is_done else None,
        "booked_at": moment if is_done else None,
    }
    return Refund.objects.create(**facts | other)


# --- the gateway's side -------------------------------------------------------------------------


def wall_clock(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def fee_of(fen: int) -> int:
    """0.60 % of ``fen``, rounded to fen as gateways do, in hundred-thousandths of a yuan."""
    return (fen * 6 + 500) // 1000 * 1000


def fen(amount: Decimal) -> int:
    return int(amount * 100)


def payment_row(payment: PaymentTransaction, **other: Any) -> BillRow:
    """The bill's line of one of our payments."""
    amount = fen(payment.amount)
    facts: dict[str, Any] = {
        "number": 0,
        "is_refund": False,
        "out_trade_no": payment.out_trade_no,
        "transaction_id": payment.trade_no or f"T{payment.out_trade_no}",
        "out_refund_no": "",
        "refund_id": "",
        "amount_fen": amount,
        "settled_fen": amount,
        "fee": fee_of(amount),
        "fee_rate": RATE,
        "moment": wall_clock(payment.completed_at or payment.initiated_at),
        "state": "SUCCESS",
        "app_id": VALUES[payment.payment_method]["app_id"],
        "merchant": MERCHANT if payment.payment_method == "wechat" else "",
    }
    return _row(facts, other)


def refund_row(refund: Refund, **other: Any) -> BillRow:
    payment = refund.transaction
    amount = fen(refund.refund_amount)
    facts = payment_row(payment)._asdict() | {
        "is_refund": True,
        "out_refund_no": refund.refund_no,
        "refund_id": f"R{refund.refund_no}" if payment.payment_method == "wechat" else "",
        "amount_fen": amount,
        "settled_fen": amount,
        "fee": -fee_of(amount),
        "moment": wall_clock(refund.sent_at or refund.created_at),
    }
    return _row(facts, other)


def _row(facts: dict[str, Any], other: dict[str, Any]) -> BillRow:
    if "amount_fen" in other:
        settled = other.setdefault("settled_fen", other["amount_fen"])
        fee = fee_of(settled)
        other.setdefault("fee", -fee if facts["is_refund"] else fee)
    return BillRow(**facts | other)


def strange_row(number: str, amount_fen: int = 500, **other: Any) -> BillRow:
    """A line of something that is not ours."""
    facts = {
        **dict.fromkeys(BillRow._fields, ""),
        "number": 0,
        "is_refund": False,
        "out_trade_no": number,
        "transaction_id": f"T{number}",
        "fee_rate": RATE,
        "moment": wall_clock(at(NOON)),
        "state": "SUCCESS",
    }
    return _row(facts, {"amount_fen": amount_fen, **other})


def fund_rows(rows: list[BillRow], *, opening_fen: int = 100_000, start: int = 1) -> list[FundRow]:
    """The account's movements of a trade bill's lines: money, then fee."""
    found: list[FundRow] = []
    balance = opening_fen

    def moves(row: BillRow, kind: FundKind, change_fen: int) -> None:
        nonlocal balance
        balance += change_fen
        found.append(
            FundRow(
                start + len(found),
                row.moment,
                f"F{row.out_refund_no or row.transaction_id}{kind}",
                row.refund_id if row.is_refund else row.transaction_id,
                row.out_trade_no,
                row.out_refund_no,
                kind,
                str(kind),
                change_fen,
                balance,
            )
        )

    for row in rows:
        fee_fen = abs(row.fee) // 1000
        if row.is_refund:
            moves(row, FundKind.REFUND, -row.settled_fen)
            if fee_fen:
                moves(row, FundKind.FEE_BACK, fee_fen)
        else:
            moves(row, FundKind.PAYMENT, row.settled_fen)
            if fee_fen:
                moves(row, FundKind.FEE, -fee_fen)
    return found


# --- bills in the tests' own notation -----------------------------------------------------------


def written(rows: list[Any], odd: list[str] | None = None) -> bytes:
    """One JSON list a line, numbered as they stand; odd lines as text."""
    lines = [json.dumps([number, *row[1:]]) for number, row in enumerate(rows, start=1)]
    return "\n".join([*lines, *(odd or [])]).encode()


@dataclass
class Piece:
    """Some lines by columns, as the readers hand them out."""

    lines: list[BillRow]

    def __post_init__(self) -> None:
        self.count = len(self.lines)
        refunds = [row.is_refund for row in self.lines]
        self.is_refund = refunds if any(refunds) else None
        self.amount = [row.amount_fen for row in self.lines]
        self.settled = [row.settled_fen for row in self.lines]
        self.fee = [row.fee for row in self.lines]

    def keys(self) -> list[bytes]:
        return [
            payment_key(row.out_trade_no, row.amount_fen) if row.state == "SUCCESS" else b""
            for row in self.lines
        ]

    def app_ids(self) -> str | list[str]:
        return _few([row.app_id for row in self.lines])

    def fee_rates(self) -> str | list[str]:
        return _few([row.fee_rate for row in self.lines])

    def rows(self, number: int) -> Iterator[BillRow]:
        yield from self.lines


def _few(texts: list[str]) -> str | list[str]:
    return texts[0] if len(set(texts)) == 1 else texts


@dataclass
class Opened:
    """A bill in the tests' notation, opened as the readers open a gateway's."""

    has_payments: ClassVar = True
    has_refunds: ClassVar = True
    encoding: ClassVar = "utf-8"

    file: IO[bytes]
    bill_type: str
    period: tuple[date, date] | None = None
    totals: dict[str, str] = field(default_factory=dict)
    odd_lines: tuple[OddLine, ...] = ()

    def __post_init__(self) -> None:
        content = self.file.read()
        self.sha256, self.bytes_long = hashlib.sha256(content).hexdigest(), len(content)
        self.odd_lines = tuple(
            OddLine(number, "读不懂", line)
            for number, line in enumerate(content.decode().split("\n"), start=1)
            if line and not line.startswith("[")
        )
        rows = list(self._rows())
        self.lines = len(rows) + len(self.odd_lines)
        moments = [row.moment for row in rows]
        self.first_moment, self.last_moment = min(moments, default=""), max(moments, default="")
        named = {row.merchant for row in rows} if self.bill_type == "trade" else set()
        self.merchants = frozenset(named - {""})

    def _rows(self) -> Iterator[Any]:
        self.file.seek(0)
        kind = BillRow if self.bill_type == "trade" else FundRow
        for line in self.file:
            if line.startswith(b"["):
                cells = json.loads(line)
                if kind is FundRow:
                    cells[6] = FundKind(cells[6])
                yield kind(*cells)

    def rows(self) -> Iterator[BillRow]:
        return self._rows()

    def pieces(self) -> Iterator[tuple[int, "Piece"]]:
        rows = list(self._rows())
        for begin in range(0, len(rows), LINES_OF_PIECE):
            yield begin + 1, Piece(rows[begin : begin + LINES_OF_PIECE])

    def fund_rows(self) -> Iterator[FundRow]:
        return self._rows()

    def close(self) -> None:
        self.file.close()


def open_written(_method: str, bill_type: str, file: IO[bytes], *, name: str = "") -> Opened:
    content = file.read()
    if content.startswith(b"no bill"):
        raise BillRefused("不是账单")
    return Opened(io.BytesIO(content), str(bill_type))


def unpacked_written(method: str, bill_type: str, unpacked: Unpacked) -> Opened:
    return open_written(method, bill_type, unpacked.file)


def imported(
    method: str,
    rows: list[Any],
    *,
    day: date = DAY,
    bill_type: BillType = BillType.TRADE,
    odd: list[str] | None = None,
    is_replacing: bool = False,
) -> BillFile:
    return bill_import(
        actor=SYSTEM,
        merchant=merchant(method),
        day=day,
        bill_type=bill_type,
        opened=Opened(io.BytesIO(written(rows, odd)), str(bill_type)),
        source=BillSource.UPLOADED,
        is_replacing=is_replacing,
    )
